"""The search term of a page."""

from django.http import HttpRequest

# For search terms in lists, choices and targets.
MAX_SEARCH_CHARACTERS = 200


def search_term(request: HttpRequest) -> str:
    """Return the text of ?q=, without surrounding white space and up to the limit."""
    return request.GET.get("q", "").strip()[:MAX_SEARCH_CHARACTERS]
