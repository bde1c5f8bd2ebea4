"""Reads Azure Service Bus namespaces through their management endpoint; knows neither Django nor Prometheus.

reader        all of a namespace within a deadline: its jobs are done side by side by `work`, as far as `parallelism`
              allows
requests      sends within a `budget`, which asks the namespace's `bucket`, with `credentials` and through the `client`
client        one request at a time: `answers` bounds what comes in, `names` looks host names up, `retry_after` reads
              the header of that name
credentials   keys and signatures; those of Entra ID are in `entra`, which asks for tokens by `token_transport`
atom          a page -> entities: its texts are read by the `scanner`, which learns the `layout` of entries, or by
              `tree`; `shapes` says which elements of an entry are read, `values` as what
listing       which pages to request, and the proof that they miss no entity
selection     which of the entities are shown
turns         which topics' subscriptions come first if the budget doesn't allow all; `carryover` from an earlier read
continuation  what is read on after the answer
entities      what a read returns; `errors`: why it failed
connection    connection strings, endpoints, and which of them are allowed
reachability  the way to an endpoint step by step, for trials
loop          the one that all of it runs on
faults        what a log may show of an unexpected exception
clock         what durations and ages are measured by
"""
