#!/usr/bin/env python3
"""Invoices of Online Retail as CloudEvents, one JSON object per line, in the order of their first lines.

usage: retail_events.py CSV[.gz] OUT.ndjson[.gz]

Invoice numbers that start with C are cancellations; all others, bad-debt adjustments (A) too, are orders.
"""

import argparse
import csv
import json
from decimal import Decimal

from files import read_text, write_text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("out")
    args = parser.parse_args()

    invoices = {}
    with read_text(args.csv) as lines:
        for line in csv.DictReader(lines):
            # A few invoices run into the next minute: the first line's counts.
            invoice = invoices.setdefault(
                line["InvoiceNo"],
                {"country": line["Country"], "time": line["InvoiceDate"], "amount": Decimal(), "lines": 0},
            )
            invoice["amount"] += int(line["Quantity"]) * Decimal(line["UnitPrice"])
            invoice["lines"] += 1

    with write_text(args.out) as out:
        for number, invoice in invoices.items():
            is_cancelled = number.startswith("C")
            # No price has more than three decimals, so this rounds nothing.
            amount = f'{-invoice["amount"] if is_cancelled else invoice["amount"]:.3f}'
            event = {
                "specversion": "1.0",
                "id": number,
                "source": "retail",
                "type": "com.test.order_cancelled" if is_cancelled else "com.test.order_created",
                "time": invoice["time"].replace(" ", "T") + "Z",
                "tenant": "creator:retail",
                # The same tenant in the two attributes that the decoder reads.
                "tenantkind": "creator",
                "tenantid": "retail",
                "data": {
                    "country": invoice["country"],
                    "refund" if is_cancelled else "total": amount,
                    "lines": invoice["lines"],
                },
            }
            out.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n")
    print(f"{len(invoices)} events")


main()
