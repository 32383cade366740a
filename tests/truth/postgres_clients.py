"""Clients of Postgres' protocol ask and get what HTTP answers.

    python postgres_clients.py CLIENT HOST PORT HTTP_ADDRESS

CLIENT is one of the functions below.
"""

import datetime
import sys
import threading
import time

from wire_http import NUMBERS, ask, metric, same

CLIENT, HOST, PORT, HTTP = sys.argv[1:5]
DSN = f"host={HOST} port={PORT} user=anna dbname=tidewatch"
URL = f"postgresql://anna@{HOST}:{PORT}/tidewatch"
# Minutes of work, if nobody stops it.
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b"


def psycopg_client():
    import psycopg

    expected = ask(HTTP, NUMBERS)
    with psycopg.connect(DSN) as connection:
        assert connection.info.server_version == 160006, connection.info.server_version
        assert connection.info.parameter_status("TimeZone") == "UTC"
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            same(cursor.execute(NUMBERS).fetchall(), expected, f"psycopg, binary={binary}")
            # Prepared: the same again and again.
            for _ in range(3):
                cursor.execute(NUMBERS, prepare=True)
            same(cursor.fetchall(), expected, f"psycopg prepared, binary={binary}")
            types(cursor)
            parameters(cursor)
            long_answer(cursor)
        connection.commit()
        errors(connection)
        cursors(connection)
        copies(connection)
        transactions(connection)
    cancels(psycopg)


def types(cursor):
    """Every type, in text and in binary."""
    cursor.execute("""
        SELECT TIMESTAMP '2026-03-14 12:00:00.123456' AS plain, to_timestamp(1773489600.5) AS ns,
               CAST('2026-03-14T12:00:00Z' AS TIMESTAMP WITH TIME ZONE) AS zoned, DATE '2026-03-14' AS day,
               INTERVAL '1 day 2 hours' AS step, CAST(NULL AS INTERVAL) AS no_step,
               CAST('-12345678901234567890123456789012345.678' AS DECIMAL(38, 3)) AS money, CAST(0.05 AS DECIMAL(4, 2)) AS small,
               9223372036854775807 AS big, 1.5e300 AS float, 'infinity'::double AS infinite, true AS yes,
               make_array(1, 2, NULL) AS list, make_array('a', 'b,c') AS texts, '\\x00ff'::bytea IS NOT NULL AS bytes
    """)
    row = cursor.fetchone()
    utc = datetime.timezone.utc
    assert row[0] == datetime.datetime(2026, 3, 14, 12, 0, 0, 123456), row[0]
    assert row[1] == datetime.datetime(2026, 3, 14, 12, 0, 0, 500000, tzinfo=utc), row[1]
    assert row[2] == datetime.datetime(2026, 3, 14, 12, tzinfo=utc), row[2]
    assert row[3] == datetime.date(2026, 3, 14), row[3]
    assert row[4:6] == (datetime.timedelta(days=1, hours=2), None), row[4:6]
    assert [str(v) for v in row[6:8]] == ["-12345678901234567890123456789012345.678", "0.05"], row[6:8]
    assert row[8:12] == (9223372036854775807, 1.5e300, float("inf"), True), row[8:12]
    assert row[12:15] == ([1, 2, None], ["a", "b,c"], True), row[12:15]
    cursor.execute("SELECT duration_ms FROM api_calls WHERE duration_ms IS NOT NULL LIMIT 1")
    sketch = cursor.fetchone()[0]
    assert isinstance(sketch, bytes) and len(sketch) > 10, sketch


def parameters(cursor):
    """Values of all kinds, beside columns, in casts, in functions, in lists."""
    start = datetime.datetime(2026, 3, 14, 12, 5, tzinfo=datetime.timezone.utc)
    expected = ask(HTTP, """
        SELECT provider, sum(requests) FROM api_calls
        WHERE window_start >= '2026-03-14T12:05:00Z' AND requests > 0 AND provider IN ('easypost', 'usps', 'shopify')
        GROUP BY provider ORDER BY provider
    """)
    sql = """
        SELECT provider, sum(requests) FROM api_calls
        WHERE window_start >= %s AND requests > %s AND provider = ANY(%s) GROUP BY provider ORDER BY provider
    """
    cursor.execute(sql, (start, 0, ["easypost", "usps", "shopify"]))
    same(cursor.fetchall(), expected, "parameters")
    cursor.execute(sql.replace("= ANY(%s)", "IN (%s, %s, %s)"), (start.isoformat(), 0, "easypost", "usps", "shopify"))
    same(cursor.fetchall(), expected, "parameters as text")
    cursor.execute("SELECT %s::bigint + 1, %s::text, %s, %s::timestamptz, %s::numeric", (41, "a", "b", start, None))
    assert cursor.fetchone() == (42, "a", "b", start, None)
    cursor.execute("SELECT quantile(duration_ms, %s) FROM api_calls LIMIT %s", (0.5, 1))
    same(cursor.fetchall(), ask(HTTP, "SELECT quantile(duration_ms, 0.5) FROM api_calls"), "a parameter of a function")


def long_answer(cursor):
    cursor.execute("SELECT value, 'row ' || value FROM generate_series(1, 100000) ORDER BY value")
    rows = cursor.fetchall()
    assert len(rows) == 100_000 and rows[-1] == (100_000, "row 100000"), rows[-1]


def errors(connection):
    cases = [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT requestz FROM api_calls", "42703"),
        ("SELECT nothing_like_it(1)", "42883"),
        ("SELEKT 1", "42601"),
        ("SELECT 1 / 0", "22012"),
        ("INSERT INTO api_calls VALUES (1)", "25006"),
        ("CREATE TABLE a (b int)", "25006"),
        ("DROP TABLE api_calls", "25006"),
        ("SELECT value FROM generate_series(1, 100001)", "54000"),
        ("SET client_encoding TO 'LATIN1'", "22023"),
        ("SHOW nothing", "42704"),
        ("FETCH 1 FROM nothing", "34000"),
    ]
    connection.autocommit = True
    for sql, state in cases:
        for prepare in (False, True):
            try:
                connection.execute(sql, prepare=prepare)
            except Exception as error:
                assert getattr(error, "sqlstate", None) == state, f"{sql}: expected {state}, found {error!r}"
            else:
                raise AssertionError(f"{sql}: expected {state}, found an answer")
    try:
        connection.execute("SELECT * FROM nowhere")
    except Exception as error:
        assert "api_calls" in error.diag.message_hint, error.diag.message_hint
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.autocommit = False


def cursors(connection):
    """Server-side cursors, which pandas and others read long answers by."""
    for binary in (False, True):
        with connection.cursor("numbers", binary=binary) as cursor:
            cursor.itersize = 30_000
            cursor.execute("SELECT value FROM generate_series(1, 70000) ORDER BY value")
            assert [row[0] for row in cursor] == list(range(1, 70_001)), f"binary={binary}"
    connection.commit()


def copies(connection):
    with connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT 1 AS a, 'x,y' AS b UNION ALL SELECT 2, NULL ORDER BY 1) TO STDOUT") as copy:
            assert b"".join(copy) == b"1\tx,y\n2\t\\N\n"
        with cursor.copy("COPY (SELECT 1 AS a, 'x,y' AS b) TO STDOUT (FORMAT csv, HEADER)") as copy:
            assert b"".join(copy) == b'a,b\n1,"x,y"\n'
        with cursor.copy("COPY (SELECT 7 AS a, 'x' AS b) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int8", "text"])
            assert list(copy.rows()) == [(7, "x")]
        with cursor.copy("COPY (SELECT 7 AS a WHERE false) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int8"])
            assert list(copy.rows()) == []


def transactions(connection):
    import psycopg

    connection.rollback()
    with connection.transaction():
        with connection.transaction():
            assert connection.execute("SELECT 1").fetchone() == (1,)
    try:
        connection.execute("SELECT * FROM nowhere")
    except psycopg.errors.UndefinedTable:
        pass
    try:
        connection.execute("SELECT 1")
        raise AssertionError("a transaction went on after its error")
    except psycopg.errors.InFailedSqlTransaction:
        connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    for statement in ("DISCARD ALL", "SET TIME ZONE 'UTC'", "SET application_name = 'test'", "RESET ALL"):
        connection.execute(statement)
    connection.rollback()


def cancels(psycopg):
    before = metric(HTTP, "tidewatch_wire_queries_total")
    with psycopg.connect(DSN, autocommit=True) as connection:
        for way in ("cancel", "timeout"):
            started = time.monotonic()
            if way == "cancel":
                timer = threading.Timer(1.0, connection.cancel_safe)
                timer.start()
            else:
                connection.execute("SET statement_timeout = '1s'")
            try:
                connection.execute(ENDLESS)
                raise AssertionError(f"{way}: an endless query has ended")
            except psycopg.errors.QueryCanceled:
                assert time.monotonic() - started < 15, way
            connection.execute("SET statement_timeout = 0")
            assert connection.execute("SELECT 1").fetchone() == (1,), way
    after = metric(HTTP, "tidewatch_wire_queries_total")
    for outcome in ("cancelled", "timeout"):
        key = f'tidewatch_wire_queries_total{{outcome="{outcome}",protocol="postgres"}}'
        assert after.get(key, 0) > before.get(key, 0), (key, after)


def sqlalchemy_client():
    import sqlalchemy

    engine = sqlalchemy.create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        same(connection.execute(sqlalchemy.text(NUMBERS)).fetchall(), ask(HTTP, NUMBERS), "SQLAlchemy")
    inspector = sqlalchemy.inspect(engine)
    assert inspector.get_schema_names() == ["public"] or "public" in inspector.get_schema_names()
    tables, views = inspector.get_table_names(), inspector.get_view_names()
    assert "api_calls" in tables and "api_error_ratio" in views and "api_calls" not in views, (tables, views)
    columns = {c["name"]: c for c in inspector.get_columns("api_calls")}
    expected = {"window_start": "TIMESTAMP", "provider": "TEXT", "requests": "BIGINT", "cost_micro": "NUMERIC",
                "duration_ms": "BYTEA", "duration_mean_ms": "DOUBLE_PRECISION"}
    found = {name: columns[name]["type"].__class__.__name__ for name in expected}
    assert found == expected, found
    assert columns["window_start"]["type"].timezone is True
    assert inspector.get_pk_constraint("api_calls")["constrained_columns"] == []
    assert inspector.get_indexes("api_calls") == [] and inspector.get_foreign_keys("api_calls") == []
    table = sqlalchemy.Table("api_calls", sqlalchemy.MetaData(), autoload_with=engine)
    query = sqlalchemy.select(table.c.provider, sqlalchemy.func.sum(table.c.requests).label("n"))
    query = query.where(table.c.requests > 0).group_by(table.c.provider).order_by(table.c.provider)
    with engine.connect() as connection:
        found = connection.execute(query).fetchall()
    sql = "SELECT provider, sum(requests) FROM api_calls WHERE requests > 0 GROUP BY provider ORDER BY provider"
    same(found, ask(HTTP, sql), "SQLAlchemy's own query")


def adbc_client():
    import adbc_driver_postgresql.dbapi as dbapi

    with dbapi.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute(NUMBERS)
        table = cursor.fetch_arrow_table()
        expected = ask(HTTP, NUMBERS)
        # The driver gives decimals as text.
        rows = [list(row.values()) for row in table.to_pylist()]
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if isinstance(value, str) and not isinstance(expected[i][j], str):
                    row[j] = __import__("decimal").Decimal(value)
        same(rows, expected, "ADBC for Postgres")
        cursor.execute("SELECT value FROM generate_series(1, 100000)")
        assert cursor.fetch_arrow_table().num_rows == 100_000
        cursor.execute("SELECT provider, requests FROM api_calls WHERE requests > 1000000")
        assert cursor.fetch_arrow_table().num_rows == 0
        cursor.execute("SELECT sum(requests) FROM api_calls WHERE requests > $1 AND provider = $2", (0, "usps"))
        sql = "SELECT sum(requests) FROM api_calls WHERE provider = 'usps'"
        same(cursor.fetchall(), ask(HTTP, sql), "a parameter")


def duckdb_client():
    import pathlib
    import sysconfig

    import duckdb

    folder = pathlib.Path(sysconfig.get_paths()["purelib"]) / "duckdb_ext" / "extensions"
    extension = next(folder.glob(f"v{duckdb.__version__}/*/postgres_scanner.duckdb_extension"))
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"ATTACH '{DSN}' AS tidewatch (TYPE postgres, READ_ONLY)")

    def rows(sql):
        return [list(row.values()) for row in connection.execute(sql).fetch_arrow_table().to_pylist()]

    found = rows(f"SELECT * FROM postgres_query('tidewatch', $q${NUMBERS}$q$)")
    same(sorted(row[:7] for row in found), [row[:7] for row in ask(HTTP, NUMBERS)], "DuckDB, postgres_query")
    sql = "SELECT provider, sum(requests) FROM {} GROUP BY provider ORDER BY provider"
    same(rows(sql.format("tidewatch.public.api_calls")), ask(HTTP, sql.format("api_calls")), "DuckDB, an attached table")


def grafana_client():
    """The statements of Grafana's Postgres data source, and its macros as it expands them."""
    import psycopg

    span = "window_start BETWEEN '2026-03-14T12:00:00Z' AND '2026-03-14T13:00:00Z'"
    constraint = """quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )"""
    hidden = """('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog',
        '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information', 'timescaledb_experimental')"""
    with psycopg.connect(DSN, autocommit=True) as connection:

        def rows(sql):
            return connection.execute(sql).fetchall()

        assert rows("SELECT current_setting('server_version_num')::int/100 as version") == [(1600,)]
        assert rows("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'") == []
        schemas = rows(f'SELECT schema_name AS "name" FROM information_schema.schemata '
                       f"WHERE schema_name NOT IN {hidden} ORDER BY schema_name")
        assert schemas == [("public",)], schemas
        tables = rows(f"""SELECT CASE WHEN {constraint} THEN quote_ident(table_name)
                ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
            FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN {hidden}
            ORDER BY CASE WHEN {constraint} THEN 0 ELSE 1 END, 1""")
        assert ("api_calls",) in tables and ("api_error_ratio",) in tables and tables == sorted(tables), tables[:5]
        columns = rows(f"""SELECT quote_ident(column_name) AS "column", data_type AS "type"
            FROM information_schema.columns
            WHERE CASE WHEN array_length(parse_ident('api_calls'),1) = 2
                THEN quote_ident(table_schema) = (parse_ident('api_calls'))[1]
                  AND quote_ident(table_name) = (parse_ident('api_calls'))[2]
                ELSE quote_ident(table_name) = 'api_calls' AND {constraint} END""")
        assert dict(columns)["window_start"] == "timestamp with time zone", columns
        assert dict(columns)["requests"] == "bigint" and dict(columns)["provider"] == "text", columns

        total = ask(HTTP, f"SELECT sum(requests) FROM api_calls WHERE {span}")[0][0]
        # $__timeGroupAlias(window_start, '5m', 0), $__timeFilter(window_start)
        groups = rows(f"""SELECT floor(extract(epoch from window_start)/300)*300 AS "time", provider AS metric,
                sum(requests) AS value FROM api_calls WHERE {span} GROUP BY 1, 2 ORDER BY 1, 2""")
        assert sum(g[2] for g in groups) == total and all(g[0] % 300 == 0 for g in groups), groups[:3]
        # The same for TimescaleDB.
        buckets = rows(f"""SELECT time_bucket('300.000s',window_start) AS "time", provider AS metric,
                sum(requests) AS value FROM api_calls WHERE {span} GROUP BY 1, 2 ORDER BY 1, 2""")
        assert [(b[0].timestamp(), b[1], b[2]) for b in buckets] == [(float(t), p, v) for t, p, v in groups]
        # $__time, $__timeFrom(), $__timeTo()
        found = rows("""SELECT window_start AS "time", sum(requests) FROM api_calls
            WHERE window_start > '2026-03-14T12:00:00Z' AND window_start < '2026-03-14T13:00:00Z'
            GROUP BY 1 ORDER BY 1 LIMIT 5""")
        assert len(found) == 5 and found[0][0].tzinfo is not None, found
        # $__timeEpoch, $__unixEpochFilter, $__unixEpochNanoFilter, $__unixEpochGroupAlias
        epoch = "(SELECT extract(epoch from window_start) as \"time\", requests FROM api_calls) e"
        sql = f"SELECT sum(requests) FROM {epoch} WHERE time >= 1773489600 AND time <= 1773493200"
        assert rows(sql) == [(total,)], (rows(sql), total)
        nanos = epoch.replace('as "time"', '* 1000000000 as "time"')
        sql = f"SELECT sum(requests) FROM {nanos} WHERE time >= 1773489600000000000 AND time <= 1773493200000000000"
        assert rows(sql) == [(total,)], rows(sql)
        found = rows(f'SELECT floor((time)/60)*60 AS "time", sum(requests) FROM {epoch} GROUP BY 1 ORDER BY 1')
        assert sum(r[1] for r in found) == total, found
        # What its health check sends.
        assert rows("SELECT 1") == [(1,)]


{
    "psycopg": psycopg_client,
    "sqlalchemy": sqlalchemy_client,
    "adbc": adbc_client,
    "duckdb": duckdb_client,
    "grafana": grafana_client,
}[CLIENT]()
print(f"{CLIENT}: all is well")
