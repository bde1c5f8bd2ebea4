"""Secrets: encryption at rest, the key ring, references, the inspection of entered secrets, and redaction.

Only this package encrypts and decrypts. It provides functions for single values, and a model field. The tables that
hold secrets are in `models`; the code that turns a secret into an Authorization header is in `servicebus`.
"""
