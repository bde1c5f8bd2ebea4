"""What a request may be at most; docs/limits.md lists what happens above each."""

# Django reads a body into memory, and nothing of it goes to the temporary folder. The largest form is a page of 100
# label rules.
MAX_REQUEST_BYTES = 1024 * 1024
# Of the page that imports hub.yaml, for platform administrators alone. 10,000 namespaces take about 3 MB.
MAX_IMPORT_BYTES = 5 * 1024 * 1024
MAX_FORM_FIELDS = 1000
MAX_FORM_FILES = 1
# gunicorn's bounds. Longer ones are refused before the hub sees the request.
MAX_URL_BYTES = 4094
MAX_HEADERS = 100
MAX_HEADER_BYTES = 8190
# Of what somebody searches for in a list, a choice or the targets.
MAX_SEARCH_CHARACTERS = 200
