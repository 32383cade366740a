#!/usr/bin/env python3
"""Revenue and refunds of Online Retail per day and country, by DuckDB from the CSV alone, in decimals.

usage: retail_revenue.py CSV[.gz] OUT.csv

The truth for rollups of retail_events.py, which this does not read.
"""

import argparse
import csv

import duckdb

from files import write_text

QUERY = """
WITH lines AS (
    SELECT
        InvoiceNo AS invoice,
        Country AS country,
        strptime(InvoiceDate, '%Y-%m-%d %H:%M:%S') AS time,
        Quantity::INTEGER * UnitPrice::DECIMAL(12, 3) AS amount
    FROM read_csv(?, header = true, all_varchar = true, quote = '"', escape = '"')
), invoices AS (
    SELECT
        invoice,
        any_value(country) AS country,
        min(time)::DATE AS day,
        CASE WHEN invoice LIKE 'C%' THEN 'cancelled' ELSE 'revenue' END AS kind,
        sum(amount) AS amount
    FROM lines
    GROUP BY invoice
)
SELECT
    day::VARCHAR AS day,
    country,
    kind,
    count(*) AS invoices,
    sum(CASE kind WHEN 'cancelled' THEN -amount ELSE amount END) AS amount
FROM invoices
GROUP BY day, country, kind
ORDER BY day, country, kind
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("out")
    args = parser.parse_args()

    result = duckdb.execute(QUERY, [args.csv])
    columns = [column[0] for column in result.description]
    with write_text(args.out) as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(result.fetchall())


main()
