#!/usr/bin/env python3
"""Spans of the Nezha data set as CloudEvents, one JSON object per line, in the order of the file.

usage: nezha_events.py DATA OUT.ndjson[.gz]

DATA is spans-2022-08-22.csv.gz, or a folder that has it (the shared data folder, or the one below).
"""

import argparse
import csv
import json
import time
from pathlib import Path

from files import read_text, write_text

SPANS = "spans-2022-08-22.csv.gz"


def spans_path(data):
    for path in (data, data / SPANS, data / "nezha-onlineboutique" / SPANS):
        if path.is_file():
            return path
    raise SystemExit(f"nezha_events.py: no {SPANS} in {data}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out")
    args = parser.parse_args()

    second, prefix, count = None, "", 0
    with read_text(spans_path(args.data)) as spans, write_text(args.out) as out:
        for span in csv.DictReader(spans):
            start = int(span["start_us"])
            # In integers: a float of the seconds would be off by a microsecond now and then.
            if start // 1_000_000 != second:
                second = start // 1_000_000
                prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            event = {
                "specversion": "1.0",
                # The data has no span id; a service starts one span of a trace at a time.
                "id": f'{span["trace16"]}-{span["service"]}-{start}',
                "source": "nezha",
                "type": "com.test.span_finished",
                "time": f"{prefix}.{start % 1_000_000:06}Z",
                "tenant": "creator:nezha",
                # The same tenant in the two attributes that the decoder reads.
                "tenantkind": "creator",
                "tenantid": "nezha",
                "data": {
                    "service": span["service"],
                    "operation": span["operation"],
                    "duration_us": int(span["duration_us"]),
                },
            }
            out.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n")
            count += 1
    print(f"{count} events")


main()
