#!/usr/bin/env python3
"""Exact durations per window and service, from sorted lists: the truth for rollups of nezha_events.py.

usage: nezha_quantiles.py EVENTS.ndjson[.gz] OUT.csv

The quantile q of n values is the one of rank ceil(q * n), counted from 1. Service * is all of them.
"""

import argparse
import csv
import json
from collections import defaultdict

from files import read_text, write_text

COLUMNS = ["level", "window_start", "service", "count", "min", "max", "sum", "p50", "p95", "p99"]


def at_percent(ordered, percent):
    return ordered[-(-len(ordered) * percent // 100) - 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("out")
    args = parser.parse_args()

    durations = defaultdict(list)
    with read_text(args.events) as events:
        for line in events:
            event = json.loads(line)
            data, time = event["data"], event["time"]
            for window in (("minute", time[:16] + ":00Z"), ("hour", time[:13] + ":00:00Z")):
                durations[*window, data["service"]].append(data["duration_us"])
                durations[*window, "*"].append(data["duration_us"])

    with write_text(args.out) as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(COLUMNS)
        for key, values in sorted(durations.items()):
            values.sort()
            rows.writerow(
                [*key, len(values), values[0], values[-1], sum(values)]
                + [at_percent(values, percent) for percent in (50, 95, 99)]
            )


main()
