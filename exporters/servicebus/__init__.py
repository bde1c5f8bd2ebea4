"""Reads Azure Service Bus namespaces through their management endpoint, independently of Django and Prometheus.

reader        reads a whole namespace according to `read_options`, within a deadline: it runs `jobs` concurrently,
              as far as `parallelism` allows
requests      sends requests within a `budget`, with `credentials` and through the `client`
budget        the budget of one read: `request_rate` limits the requests to a host, and `unproven_credentials` those
              with a credential that the host has not accepted yet
client        sends one request: `answers` limits the size of responses, `names` looks up host names, `retry_after`
              parses the header of that name
credentials   keys and signatures; those of Entra ID are in `entra`, which requests tokens through `token_transport`
atom          a page -> entities: its texts are read by the `scanner`, which learns the `entry_layout`, or by
              `element_tree`, which is slower and reads every page; `entity_fields` declares which elements of an entry
              are read, and `values` converts them
listing       which pages to request, and the proof that they miss no entity
selection     which of the entities are shown
schedule      which topics' subscriptions come first if the budget doesn't allow all; `previous` has those of an earlier
              read, and `background_read` reads more after a scrape was answered
entities      what a read returns; `errors`: why it failed; `events`: what happened, for metrics and logs
connection    connection strings, endpoints, and which endpoints are allowed
reachability  the path to an endpoint step by step, for connection tests
loop          the asyncio loop that all of it runs on
tracebacks    what a log may show of an unexpected exception
clock         the clock for durations and ages
"""
