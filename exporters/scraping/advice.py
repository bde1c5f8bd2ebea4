"""What to do about each reason for which a scrape fails."""

from ..servicebus.errors import Reason

# What to do about a failure. Shown after the message, which describes what is wrong.
ADVICE: dict[Reason, str] = {
    Reason.UNAUTHORIZED: "Enter a valid key with the Manage right in the credential. An Entra ID identity needs a "
    "role on the namespace.",
    Reason.FORBIDDEN: "Assign the identity a role on the namespace, or allow the hub's address in its firewall.",
    Reason.NOT_FOUND: "Check the host and the connection string's EntityPath.",
    Reason.DNS: "Check the spelling of the host and, for a private endpoint, the private DNS zone.",
    Reason.TLS: "Check the host and, behind a TLS proxy, HUB_CA_FILE.",
    Reason.CONNECTION: "Check firewalls, the port and the private endpoint.",
    Reason.TIMEOUT: "Raise Prometheus's scrape_timeout and the namespace's timeout, or exclude entities.",
    Reason.THROTTLED: "Lower the requests per second, or scrape less often.",
    Reason.SERVER_ERROR: "If it persists, check Azure's status page.",
    Reason.MALFORMED: "Check the host and any proxies in between.",
    Reason.TOO_LARGE: "Check the host and any proxies in between.",
    Reason.CHANGED: "Scrape again when entities are no longer being added or deleted.",
    Reason.CREDENTIAL: "Open the credential and test it.",
    Reason.BUDGET: "Raise the namespace's requests per second, or exclude entities.",
    Reason.OVERLOADED: "Give the hub more CPU, add a replica, or scrape less often.",
    Reason.INTERNAL: "This is a bug in the hub. Report the traceback in its log.",
}
