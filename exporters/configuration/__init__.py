"""The stored configuration as frozen values in memory: how it is loaded, kept fresh, and copied to disk.

Scrapes read only these values, so that they work while the database is down. Users change the configuration through
`models`, and nothing here reads a namespace.
"""
