"""Reads a table as a user of Snowflake's Python connector does: prints a JSON document per row.

Arguments: host, port, user, and a password or the path of a private key in PEM, then the statement.
"""

import json
import sys

import snowflake.connector
from cryptography.hazmat.primitives import serialization


def credentials(kind, value):
    if kind == "password":
        return {"password": value}
    with open(value, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), password=None)
    return {
        "private_key": key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    }


def main():
    host, port, user, kind, value, statement = sys.argv[1:]
    connection = snowflake.connector.connect(
        account="testaccount",
        host=host,
        port=int(port),
        protocol="http",
        user=user,
        database="SHOP",
        schema="PUBLIC",
        login_timeout=20,
        network_timeout=20,
        **credentials(kind, value),
    )
    with connection, connection.cursor() as cursor:
        for row in cursor.execute(statement):
            print(json.dumps(row, default=str))


main()
