"""The database of each released version as it was, and the test that upgrades it.

For a release, `make upgrade-dump` writes VERSION.sqlite.sql, VERSION.postgresql.sql and VERSION.yaml here.
"""

# For the secrets in the dumps; they protect nothing.
ENCRYPTION_KEY = "dXBncmFkZXMgb2YgZWFjaCByZWxlYXNlZCB2ZXJzaW8="
SECRET_KEY = "upgrades"
SECRETS = {
    "UPGRADE_CONNECTION_STRING": (
        "Endpoint=sb://stock.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=c3RvY2sgc3RvY2sgc3RvY2sgc3RvY2sgc3RvY2sgc3Q="
    ),
    "UPGRADE_TOKEN": "sbh_" + "u" * 43,
}
# In the database itself, entered in the admin.
STORED_CONNECTION_STRING = (
    "Endpoint=sb://orders.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;"
    "SharedAccessKey=b3JkZXJzIG9yZGVycyBvcmRlcnMgb3JkZXJzIG9yZGU="
)
