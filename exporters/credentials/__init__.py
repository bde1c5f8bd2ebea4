"""Secrets: encryption at rest, the key ring, references, the inspection of entered secrets, and redaction.

Only this package encrypts and decrypts. It works on values and on one field type; the tables that hold secrets are in
`models`. How a secret becomes an Authorization header is in `servicebus`.
"""
