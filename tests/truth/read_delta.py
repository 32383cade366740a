#!/usr/bin/env python3
"""Runs SQL over a Delta table, named t, by readers that are not ours; prints the result as CSV.

usage: read_delta.py TABLE_DIR "SELECT ... FROM t" [--engine duckdb|polars|deltalake]

duckdb     DuckDB's delta_scan (delta-kernel-rs); without its extension as deltalake, and stderr says so
deltalake  the table as delta-rs sees it, handed to DuckDB as a PyArrow data set
polars     Polars' scan_delta and SQLContext

Timestamps are ISO 8601 in UTC (those without a zone have no Z), binary is hex, null is empty,
lists and structs are JSON.
"""

import argparse
import csv
import datetime
import json
import sys
from decimal import Decimal
from pathlib import Path


def load_extension(connection):
    """From the package duckdb-ext-delta, or from DuckDB's own folder of extensions."""
    import duckdb

    try:
        import duckdb_ext

        folders = [Path(folder) for folder in duckdb_ext.__path__]
    except ImportError:
        folders = []
    found = [file for folder in folders for file in folder.glob(f"extensions/v{duckdb.__version__}/*/delta.duckdb_extension")]
    connection.execute(f"LOAD '{found[0]}'" if found else "LOAD delta")


def connect():
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def by_duckdb(table, sql):
    import duckdb

    connection = connect()
    try:
        load_extension(connection)
    except duckdb.Error as error:
        print(f"read_delta.py: no delta extension ({str(error).splitlines()[0]}); reading by deltalake", file=sys.stderr)
        return by_deltalake(table, sql)
    literal = table.replace("'", "''")
    connection.execute(f"CREATE VIEW t AS SELECT * FROM delta_scan('{literal}')")
    return connection.execute(sql).fetch_arrow_table()


def by_deltalake(table, sql):
    import deltalake

    connection = connect()
    connection.register("t", deltalake.DeltaTable(table).to_pyarrow_dataset())
    return connection.execute(sql).fetch_arrow_table()


def by_polars(table, sql):
    import polars

    return polars.SQLContext(t=polars.scan_delta(table)).execute(sql, eager=True).to_arrow()


def plain(value):
    """A value as JSON takes it, with nothing rounded."""
    match value:
        case datetime.datetime():
            if value.tzinfo is None:
                return value.isoformat()
            return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat() + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


def cell(value):
    match plain(value):
        case None:
            return ""
        case bool(flag):
            return "true" if flag else "false"
        case list() | dict() as nested:
            return json.dumps(nested, ensure_ascii=False, separators=(",", ":"))
        case other:
            return other


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("sql")
    parser.add_argument("--engine", choices=["duckdb", "polars", "deltalake"], default="duckdb")
    args = parser.parse_args()

    read = {"duckdb": by_duckdb, "polars": by_polars, "deltalake": by_deltalake}[args.engine]
    try:
        result = read(args.table, args.sql)
    except Exception as error:  # three libraries with their own families of errors
        raise SystemExit(f"read_delta.py: {args.engine}: {error}") from None
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(result.column_names)
    for batch in result.to_batches():
        rows.writerows(zip(*([cell(value) for value in column.to_pylist()] for column in batch.columns)))


if __name__ == "__main__":
    main()
