"""ADBC's driver for Flight SQL asks and gets what HTTP answers.

    python flight_clients.py URI HTTP_ADDRESS [PASSWORD]
"""

import datetime
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions
from wire_http import NUMBERS, ask, metric, same

URI, HTTP = sys.argv[1:3]
PASSWORD = sys.argv[3] if len(sys.argv) > 3 else None
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b"


def connect(password):
    options = {} if password is None else {"username": "anna", "password": password}
    return dbapi.connect(URI, db_kwargs=options, autocommit=True)


def rows(table):
    return [list(row.values()) for row in table.to_pylist()]


def main():
    if PASSWORD is not None:
        for wrong in (None, "wrong"):
            try:
                with connect(wrong) as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                raise AssertionError(f"the password {wrong!r} opened the door")
            except adbc_driver_manager.Error as error:
                assert "password" in str(error).lower(), error
    with connect(PASSWORD) as connection:
        with connection.cursor() as cursor:
            numbers(cursor)
            parameters(cursor)
            errors(cursor)
        metadata(connection)
    cancels()


def numbers(cursor):
    cursor.execute(NUMBERS)
    same(rows(cursor.fetch_arrow_table()), ask(HTTP, NUMBERS), "Flight SQL")
    cursor.execute("SELECT value, 'row ' || value AS text FROM generate_series(1, 100000) ORDER BY value")
    reader = cursor.fetch_record_batch()
    batches = [batch.num_rows for batch in reader]
    assert sum(batches) == 100_000 and len(batches) > 1, batches
    cursor.execute("SELECT provider, requests FROM api_calls WHERE requests > 1000000")
    assert cursor.fetch_arrow_table().num_rows == 0


def parameters(cursor):
    start = datetime.datetime(2026, 3, 14, 12, 5, tzinfo=datetime.timezone.utc)
    sql = "SELECT sum(requests) FROM api_calls WHERE window_start >= {} AND provider = {}"
    expected = ask(HTTP, sql.format("'2026-03-14T12:05:00Z'", "'usps'"))
    cursor.execute(sql.format("$1", "$2"), (start, "usps"))
    same(rows(cursor.fetch_arrow_table()), expected, "parameters")
    cursor.execute("SELECT quantile(duration_ms, $1) FROM api_calls", (0.5,))
    expected = ask(HTTP, "SELECT quantile(duration_ms, 0.5) FROM api_calls")
    same(rows(cursor.fetch_arrow_table()), expected, "a parameter of a function")
    cursor.execute("SELECT $1 || '!' AS text", ("a",))
    assert cursor.fetchone() == ("a!",)
    # Prepared once, run twice: each sees what is there then.
    cursor.adbc_prepare("SELECT count(*) FROM api_calls")
    for _ in range(2):
        cursor.execute("SELECT count(*) FROM api_calls")
        same(cursor.fetchall(), ask(HTTP, "SELECT count(*) FROM api_calls"), "prepared")


def errors(cursor):
    cases = [
        ("SELECT * FROM nowhere", "not found"),
        ("SELECT requestz FROM api_calls", "requestz"),
        ("SELEKT 1", "syntax error"),
        ("DROP TABLE api_calls", "read-only"),
        ("INSERT INTO api_calls VALUES (1)", "read-only"),
        ("SELECT value FROM generate_series(1, 100001)", "sql.rows_max"),
    ]
    for sql, words in cases:
        try:
            cursor.execute(sql)
            cursor.fetch_arrow_table()
        except Exception as error:
            assert words in str(error), f"{sql}: {error}"
        else:
            raise AssertionError(f"{sql}: an answer")


def metadata(connection):
    assert connection.adbc_get_info()["vendor_name"] == "Tidewatch", connection.adbc_get_info()
    assert sorted(connection.adbc_get_table_types()) == ["TABLE", "VIEW"]
    catalogs = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    assert [c["catalog_name"] for c in catalogs] == ["tidewatch"], catalogs
    schemas = catalogs[0]["catalog_db_schemas"]
    assert [s["db_schema_name"] for s in schemas] == ["public"], schemas
    tables = {t["table_name"]: t for t in schemas[0]["db_schema_tables"]}
    assert tables["api_calls"]["table_type"] == "TABLE" and tables["api_error_ratio"]["table_type"] == "VIEW"
    columns = [c["column_name"] for c in tables["api_calls"]["table_columns"]]
    assert {"window_start", "provider", "requests", "duration_ms", "completeness"} <= set(columns), columns
    schema = connection.adbc_get_table_schema("api_calls")
    assert str(schema.field("window_start").type) == "timestamp[us, tz=UTC]", schema
    objects = connection.adbc_get_objects(depth="tables", table_name_filter="api_c%", table_types_filter=["TABLE"])
    names = [t["table_name"] for t in objects.read_all().to_pylist()[0]["catalog_db_schemas"][0]["db_schema_tables"]]
    assert "api_calls" in names and all(n.startswith("api_c") for n in names), names


def cancels():
    """A client that goes away stops its query."""
    key = 'tidewatch_wire_queries_total{outcome="cancelled",protocol="flight"}'
    before = metric(HTTP, "tidewatch_wire_queries_total").get(key, 0)
    connection = connect(PASSWORD)
    cursor = connection.cursor()
    threading.Timer(1.0, cursor.adbc_cancel).start()
    started = time.monotonic()
    try:
        cursor.execute(ENDLESS)
        cursor.fetch_arrow_table()
        raise AssertionError("an endless query has ended")
    except Exception as error:
        assert not isinstance(error, AssertionError), error
    assert time.monotonic() - started < 15
    cursor.close()
    connection.close()
    deadline = time.monotonic() + 15
    while metric(HTTP, "tidewatch_wire_queries_total").get(key, 0) <= before:
        assert time.monotonic() < deadline, metric(HTTP, "tidewatch_wire_queries_total")
        time.sleep(0.2)


main()
print("flight: all is well")
