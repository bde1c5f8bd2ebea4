"""Compute what pages show: dashboard, entity table, change log, rule preview, charts and wording.

`admin` and `views` share this package, which doesn't handle requests. Callers pass in the objects that the user may
see, or the user, whose permissions it then looks up in `access`.
"""
