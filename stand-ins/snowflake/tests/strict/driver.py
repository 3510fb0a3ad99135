"""What a user of Snowflake's Python driver does: transactions, loads, errors. Fails where the stand-in differs."""

import sys

import snowflake.connector
from snowflake.connector.errors import DatabaseError, ProgrammingError

PORT, PASSWORD = int(sys.argv[1]), sys.argv[2]


def connect(password=PASSWORD, **more):
    return snowflake.connector.connect(
        account="testaccount",
        host="127.0.0.1",
        port=PORT,
        protocol="http",
        user="loader",
        password=password,
        database="SHOP",
        schema="PUBLIC",
        login_timeout=20,
        network_timeout=20,
        **more,
    )


def refused(code, action):
    try:
        action()
    except (DatabaseError, ProgrammingError) as error:
        assert error.errno == code, error
        return
    raise AssertionError(f"no refusal with {code}")


def transactions(cursor):
    cursor.execute("CREATE TABLE t (n NUMBER(38,0), name VARCHAR)")
    cursor.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    assert cursor.rowcount == 2, cursor.rowcount
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (3, 'three')")
    refused(100038, lambda: cursor.execute("INSERT INTO t VALUES ('x', 'y')"))
    cursor.execute("ROLLBACK")
    assert cursor.execute("SELECT n, name FROM t ORDER BY n").fetchall() == [(1, "one"), (2, "two")]
    assert [column.name for column in cursor.description] == ["N", "NAME"]


def loads(cursor):
    """The driver uploads over TLS only: the file is there already."""
    listed = cursor.execute("LIST @s").fetchall()
    assert [file[0] for file in listed] == ["s/rows.json.gz"], listed
    copy = (
        "COPY INTO t (n, name) FROM (SELECT $1:n, $1:name FROM @s/) FILES = ('rows.json.gz') "
        "FILE_FORMAT = (TYPE = 'JSON')"
    )
    loaded = cursor.execute(copy).fetchall()
    assert loaded[0][:4] == ("rows.json.gz", "LOADED", 2, 2), loaded
    again = cursor.execute(copy).fetchall()
    assert again == [("Copy executed with 0 files processed.",)], again


def main():
    refused(390100, lambda: connect(password="wrong"))
    refused(390189, lambda: connect(role="owner"))
    with connect() as connection, connection.cursor() as cursor:
        transactions(cursor)
        loads(cursor)
        refused(2003, lambda: cursor.execute("SELECT * FROM nowhere"))
        refused(1003, lambda: cursor.execute("NONSENSE"))


main()
