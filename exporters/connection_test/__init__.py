"""The connection test: a scrape of a namespace step by step, with advice for the step that failed.

It yields its steps as values, and `admin` shows them. The scrape itself is in `scraping`.
"""
