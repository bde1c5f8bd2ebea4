"""What pages show, as values: dashboard, entity table, change log, rule preview, charts and wording.

`admin` and `views` share it. It answers no requests, and is given what the user may see, or the user to ask `access`
about.
"""
