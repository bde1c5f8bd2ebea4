"""Page texts for each kind of object.

They cover what to do if there is none yet, what stops when one is deleted, and the names of its fields.
"""

EMPTY = {
    "namespace": "A namespace is a Service Bus namespace to scrape. Add one with its connection string; you can "
    "test it before you save it.",
    "credential": "A credential lets the hub read namespaces. It is a connection string or an Entra ID identity.",
    "labelrule": "Label rules rewrite series like Prometheus's relabel_configs. Without rules, series are as listed "
    "in docs/metrics.md.",
    "scrapetoken": "Prometheus uses a scrape token to read a team's metrics. The hub creates it and shows it once.",
    "walllink": "A wall link is a secret address that shows a team's targets on a screen without sign-in.",
    "team": "Namespaces, credentials and tokens belong to teams. Users see those of their own teams.",
    "membership": "Members of a team see its targets. Editors can also change namespaces, rules and tokens; owners "
    "also credentials and members.",
}

STOPS = {
    "namespace": "Scrapes will get 404, service discovery will omit the target, and its scrape history will be "
    "deleted. To stop temporarily, pause it instead.",
    "credential": "Namespaces that use it can't be read until you choose another credential.",
    "labelrule": "From the next scrape, series no longer have the labels that the rule sets. Dashboards and alerts "
    "that use these labels will find no data.",
    "scrapetoken": "Prometheus will be refused (401), and its targets will be down until it uses another token.",
    "walllink": "Screens that use its address will get 404.",
    "team": "Its namespaces will no longer be scraped, its credentials and tokens will be deleted, and its members "
    "will lose access.",
    "membership": "The user immediately loses access to the team.",
    "user": "The user is signed out and can no longer sign in. The user's changes remain in the history.",
}

# Where the hub uses another term than Django.
FIELDS = {"user": {"is_superuser": "Platform administrator"}}
