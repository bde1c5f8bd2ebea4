"""Management commands, and the preparations for serving: migrations, an administrator, safe settings.

Code that runs while the hub serves requests does not belong here, except for the local health probe.
"""
