"""Sessions with PostgreSQL that end when the server is silent, and that are replaced when they become read-only.

This package is about connections. The tables are in `models`.
"""
