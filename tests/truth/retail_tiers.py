#!/usr/bin/env python3
"""Every rollup of Online Retail at every width, beside what DuckDB computes from the CSV alone: counts and money exactly.

usage: retail_tiers.py CSV[.gz] TABLES TIDEWATCH [--maintained]

TABLES is the folder of the tables, TIDEWATCH our program. Our answers are those of `tidewatch sql`, windows cut to each
width; once tables are maintained, also the rows that each tier holds, as DuckDB reads the Delta tables. Prints a line
for each comparison; exit code 1 when something differs. The program and the events of the CSV are not read for the truth.
"""

import argparse
import io
import subprocess
import sys

import duckdb
import pyarrow
import pyarrow.csv

from read_delta import by_duckdb

WIDTHS = {"10s": 10, "1m": 60, "1h": 3600, "1d": 86400}
ROLLUPS = {"revenue": "invoice NOT LIKE 'C%'", "cancelled": "invoice LIKE 'C%'"}

# An invoice counts at the time of its first line: the first that the file has.
INVOICES = """
CREATE TABLE invoice AS
SELECT invoice, arg_min(country, line) AS country, arg_min(time, line) AS time, count(*) AS lines, sum(amount) AS amount
FROM (
    SELECT row_number() OVER () AS line, InvoiceNo AS invoice, Country AS country, strptime(InvoiceDate, '%Y-%m-%d %H:%M:%S') AS time,
           Quantity::INTEGER * UnitPrice::DECIMAL(12, 3) AS amount
    FROM read_csv(?, header = true, all_varchar = true, quote = '"', escape = '"', parallel = false)
)
GROUP BY invoice
"""


def truth(rollup, seconds):
    sign = "-" if rollup == "cancelled" else ""
    return (
        f"SELECT time_bucket(INTERVAL {seconds} SECOND, time, TIMESTAMP '2000-01-01') AS window_start, country, count(*) AS invoices, "
        f"sum({sign}amount)::DECIMAL(38, 3) AS amount, sum(lines) AS lines FROM invoice WHERE {ROLLUPS[rollup]} GROUP BY ALL"
    )


def asked(program, tables, rollup, seconds):
    """The answer of our SQL, as a relation."""
    query = (
        f"SELECT date_bin(INTERVAL '{seconds} seconds', window_start) AS window_start, country, sum(invoices) AS invoices, "
        f"sum(amount) AS amount, sum(lines) AS lines FROM {rollup} GROUP BY 1, 2"
    )
    done = subprocess.run([program, "sql", "--data", tables, "--format", "csv", query], check=True, capture_output=True)
    text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(("window_start", "amount"), pyarrow.string()))
    return pyarrow.csv.read_csv(io.BytesIO(done.stdout), convert_options=text)


def stored(tables, rollup, tier):
    """The rows of one tier, partials of a window added."""
    query = (
        f"SELECT window_start, country, sum(invoices) AS invoices, sum(amount) AS amount, sum(lines) AS lines FROM t "
        f"WHERE tier = '{tier}' GROUP BY ALL"
    )
    return by_duckdb(f"{tables}/{rollup}", query)


def differences(connection, exact, ours):
    connection.register("ours", ours)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE answer AS SELECT window_start::TIMESTAMPTZ::TIMESTAMP AS window_start, country, "
        "invoices::BIGINT AS invoices, amount::DECIMAL(38, 3) AS amount, lines::BIGINT AS lines FROM ours"
    )
    connection.unregister("ours")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE truth AS {exact}")
    rows = connection.execute("SELECT count(*) FROM truth").fetchone()[0]
    missing = connection.execute("FROM truth EXCEPT ALL FROM answer ORDER BY ALL").fetchall()
    surplus = connection.execute("FROM answer EXCEPT ALL FROM truth ORDER BY ALL").fetchall()
    return rows, [("truth", *row) for row in missing] + [("ours", *row) for row in surplus]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("tables")
    parser.add_argument("program")
    parser.add_argument("--maintained", action="store_true", help="windows are rolled up: every tier holds all of them")
    args = parser.parse_args()

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(INVOICES, [args.csv])
    wrong = 0
    for rollup in ROLLUPS:
        for tier, seconds in WIDTHS.items():
            answers = {f"{rollup} by {tier}": asked(args.program, args.tables, rollup, seconds)}
            if args.maintained or tier == "10s":
                answers[f"{rollup} in tier {tier}"] = stored(args.tables, rollup, tier)
            for name, ours in answers.items():
                rows, found = differences(connection, truth(rollup, seconds), ours)
                print(f"{'same' if rows and not found else 'DIFFERS':8}{name}: {rows} rows")
                for row in found[:8]:
                    print("        " + " ".join(map(str, row)))
                wrong += bool(found) or not rows
    print(f"{wrong} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
