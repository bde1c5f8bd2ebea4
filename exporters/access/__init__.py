"""Who may do what: roles, scrape tokens, sign-in, limits on guesses and on expensive pages, and the audit log.

Every query on behalf of a user goes through `roles`. This package answers and refuses requests, but renders nothing
except the page for a refusal.
"""
