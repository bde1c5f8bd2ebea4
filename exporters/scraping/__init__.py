"""One scrape, from a target to its result: admission, the shared read, the budget, the record in the history.

Callers have checked access. What replicas share is stored through `shared_state`; the requests to Service Bus are made
in `servicebus`.
"""
