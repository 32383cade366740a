#!/usr/bin/env python3
"""The numbers of the pack creatorflow, computed by DuckDB from raw events and compared with those of a server.

usage: python tests/truth/creatorflow http://HOST:PORT EVENTS.ndjson [EVENTS.ndjson ...] [--only TEXT] [--merged]

Prints a line for each rollup and view: how many rows of it are as they should be, or which are not, with their keys.
Also what nothing compares: a view that is neither compared nor named with a compared one that reads it, and, while the
events are fresh, comparisons without rows and columns without values. Exit code 1 when something differs or is missing.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow.ipc

from compare import Outcome, compare
from events import load
from facts import derive
from metrics import EMPTY, VIEWS, uncovered
from rollup import comparisons
from rollups import ROLLUPS
from views import NOW

PACK = Path(__file__).parents[3] / "packs/creatorflow"

# So long after the newest event the metrics of the last five minutes still have some to speak of.
FRESH = timedelta(minutes=4)


def ask(server, sql):
    request = urllib.request.Request(
        f"{server}/api/v1/sql?format=arrow", data=sql.encode(), headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return pyarrow.ipc.open_stream(response.read()).read_all()


def answer(server, comparison):
    """Our rows, and the moment that now() was for them."""
    # In front of every row, also where there is none.
    ours = ask(server, f"SELECT t.*, a.asked_at FROM (SELECT now() AS asked_at) a LEFT JOIN (SELECT *, true AS here FROM ({comparison.ours})) t ON true")
    moment = ours.column("asked_at")[0].as_py().astimezone(timezone.utc).replace(tzinfo=None)
    return ours.drop_columns(["asked_at"]), moment


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("events", nargs="+")
    parser.add_argument("--only", default="", help="only comparisons with this text in their name")
    parser.add_argument("--merged", action="store_true", help="leave out windows as they were counted: fine ones are gone")
    args = parser.parse_args()

    connection = duckdb.connect()
    events = load(connection, args.events)
    derive(connection)
    for name, before, after in (("wide_pane_us", 10, 60), ("far_pane_us", 60, 3600)):
        connection.execute(f"SET VARIABLE {name} = ?", [(after if args.merged else before) * 1_000_000])
    newest = connection.execute("SELECT max(time) FROM event").fetchone()[0]
    # Views first: those of the last minutes, at once.
    wanted = VIEWS + [c for rollup in ROLLUPS for c in comparisons(rollup, args.merged)]
    wanted = [c for c in wanted if args.only in c.name]
    wrong = 0
    for missing in uncovered(*((PACK / name).read_text() for name in ("views.sql", "rollups.sql")), ROLLUPS):
        print(f"DIFFERS {missing}")
        wrong += 1
    for comparison in wanted:
        started = time.monotonic()
        if args.merged and comparison.minute:
            comparison = of_the_last_month(comparison)
        try:
            ours, moment = answer(args.server, comparison)
            connection.execute("SET VARIABLE now = ?::TIMESTAMP", [moment])
            outcome = compare(connection, comparison.truth, ours, comparison.keys, comparison.columns)
            # Of the last minutes nothing is known once they have passed.
            if moment - newest < FRESH:
                outcome.differences += nothing_compared(comparison.name, outcome)
        except urllib.error.HTTPError as error:
            outcome = Outcome(0, [error.read().decode(errors="replace")], [])
        except duckdb.Error as error:
            outcome = Outcome(0, [f"{type(error).__name__}: {error}"], [])
        took = time.monotonic() - started
        print(f"{'DIFFERS' if outcome.differences else 'same':8}{comparison.name}: {outcome.rows} rows, {took:.1f} s", flush=True)
        for difference in outcome.differences:
            print(f"        {difference}")
        wrong += bool(outcome.differences)
    print(f"{events} events, {len(wanted)} comparisons, {wrong} differ")
    sys.exit(1 if wrong else 0)


def nothing_compared(name, outcome):
    """Two sides without rows, or without values, are equal for nothing."""
    if not outcome.rows:
        return [] if name in EMPTY else ["there is nothing to compare: rare_events.py should make some"]
    return [f"{column} has no value anywhere" for column in outcome.blank if f"{name} {column}" not in EMPTY]


def of_the_last_month(comparison):
    return replace(
        comparison,
        truth=f"SELECT * FROM ({comparison.truth}) WHERE {comparison.minute} > {NOW} - INTERVAL 29 DAY",
        ours=f"SELECT * FROM ({comparison.ours}) WHERE {comparison.minute} > now() - INTERVAL '29 days'",
    )


main()
