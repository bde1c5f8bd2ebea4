"""Limits for requests; docs/limits.md describes what happens above each."""

# Django reads a body into memory and never into the temporary folder. The largest form is a page of 100 label rules.
MAX_REQUEST_BYTES = 1024 * 1024
# For the page that imports hub.yaml, used by platform administrators only. 10,000 namespaces take about 3 MB.
MAX_IMPORT_BYTES = 5 * 1024 * 1024
MAX_FORM_FIELDS = 1000
MAX_FORM_FILES = 1
# gunicorn's limits. It refuses larger requests before the hub sees them.
MAX_URL_BYTES = 4094
MAX_HEADERS = 100
MAX_HEADER_BYTES = 8190
