#!/usr/bin/env python3
"""The numbers of the pack creatorflow, computed by DuckDB from raw events and compared with those of a server.

usage: python tests/truth/creatorflow http://HOST:PORT EVENTS.ndjson [EVENTS.ndjson ...] [--only TEXT] [--expect-rows]

Prints a line for each rollup and view: how many rows of it are as they should be, or which are not, with their keys.
Exit code 1 when something differs.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

import duckdb
import pyarrow.ipc

from compare import compare
from events import load
from rollup import comparisons
from rollups import ROLLUPS


def ask(server, sql):
    request = urllib.request.Request(
        f"{server}/api/v1/sql?format=arrow", data=sql.encode(), headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return pyarrow.ipc.open_stream(response.read()).read_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("events", nargs="+")
    parser.add_argument("--only", default="", help="only comparisons with this text in their name")
    args = parser.parse_args()

    connection = duckdb.connect()
    events = load(connection, args.events)
    wanted = [c for rollup in ROLLUPS for c in comparisons(rollup)]
    wanted = [c for c in wanted if args.only in c.name]
    wrong = 0
    for comparison in wanted:
        started = time.monotonic()
        try:
            ours = ask(args.server, comparison.ours)
            outcome = compare(connection, comparison.truth, ours, comparison.keys, comparison.columns)
            rows, differences = outcome.rows, outcome.differences
        except urllib.error.HTTPError as error:
            rows, differences = 0, [error.read().decode(errors="replace")]
        except duckdb.Error as error:
            rows, differences = 0, [f"{type(error).__name__}: {error}"]
        took = time.monotonic() - started
        print(f"{'DIFFERS' if differences else 'same':8}{comparison.name}: {rows} rows, {took:.1f} s", flush=True)
        for difference in differences:
            print(f"        {difference}")
        wrong += bool(differences)
    print(f"{events} events, {len(wanted)} comparisons, {wrong} differ")
    sys.exit(1 if wrong else 0)


main()
