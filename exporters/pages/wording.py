"""Page texts for each kind of object.

They cover what to do if there is none yet, what stops when one is deleted, and the names of its fields.
"""

EMPTY = {
    "namespace": "A namespace is one Service Bus to scrape. Add one with its connection string; it can be tried out "
    "before it is saved.",
    "credential": "A credential lets the hub read namespaces: a connection string, or an identity of Entra ID.",
    "labelrule": "Label rules rewrite series as Prometheus's relabel_configs do. Without any, they are as "
    "docs/metrics.md lists them.",
    "scrapetoken": "Prometheus shows a scrape token to get a team's metrics. The hub makes it and shows it once.",
    "walllink": "A wall link is a secret address for a screen that shows a team's targets without anybody signed in.",
    "team": "Namespaces, credentials and tokens belong to teams, and people see what is of their teams.",
    "membership": "Members of a team see its targets. Editors also change namespaces, rules and tokens; owners also "
    "credentials and members.",
}

STOPS = {
    "namespace": "Scrapes are answered 404 from then on, service discovery leaves the target out, and its history of "
    "scrapes goes with it. To stop for a while, pause it instead.",
    "credential": "What used it can't be read without another one.",
    "labelrule": "From the next scrape on, series have the labels that they have without the rule: dashboards and "
    "alerts that use the new ones find nothing.",
    "scrapetoken": "Prometheus gets 401 with it from then on, and its targets are down until it shows another one.",
    "walllink": "Screens that show its address get 404 from then on.",
    "team": "Its namespaces are not scraped any more, its credentials and tokens are gone, and its members lose their "
    "access.",
    "membership": "The user loses the team's targets and rights at once.",
    "user": "The user is signed out and can't sign in any more. What the user changed stays in the histories.",
}

# Where the hub uses another term than Django.
FIELDS = {"user": {"is_superuser": "Platform administrator"}}
