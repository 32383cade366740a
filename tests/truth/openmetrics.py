#!/usr/bin/env python3
"""Parses a metrics exposition with Prometheus' own Python client; prints name, type and number of samples.

usage: openmetrics.py FILE [--format openmetrics|text]      (- reads stdin)

Exit code 1 when it does not parse.
"""

import argparse
import io
import sys

from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--format", choices=["openmetrics", "text"], default="openmetrics")
    args = parser.parse_args()

    parse = (openmetrics_parser if args.format == "openmetrics" else text_parser).text_fd_to_metric_families
    try:
        raw = sys.stdin.buffer.read() if args.file == "-" else open(args.file, "rb").read()
        families = list(parse(io.StringIO(raw.decode("utf-8"), newline="\n")))
    except OSError as error:
        raise SystemExit(f"openmetrics.py: {error}") from None
    except Exception as error:  # the parsers raise ValueError, and others where they expect no such input
        raise SystemExit(f"openmetrics.py: {args.file} is not {args.format}: {type(error).__name__}: {error}") from None
    for family in families:
        print(family.name, family.type, len(family.samples), sep="\t")


main()
