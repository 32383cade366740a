#!/usr/bin/env python3
"""Reads HdrHistogram V2 encodings, uncompressed, as hex lines from stdin, with the Python library.

Prints "count min max p50 p95 p99" per line. min, max and quantiles are bucket bounds, as in all HdrHistogram
libraries: the lowest value of the smallest bucket, the highest one of the others.
"""

import sys
import zlib

from hdrh.histogram import HdrHistogram

HEADER_BYTES = 40


def at_percent(histogram, percent):
    """The value of rank ceil(q * n); the library's own percentiles round the rank to the nearest."""
    rank = max(1, -(-histogram.total_count * percent // 100))
    seen = 0
    for index in range(histogram.counts_len):
        seen += histogram.get_count_at_index(index)
        if seen >= rank:
            return histogram.get_highest_equivalent_value(histogram.get_value_from_index(index))
    return 0


def main():
    for number, line in enumerate(sys.stdin, 1):
        if not (line := line.strip()):
            continue
        try:
            encoded = bytes.fromhex(line)
            # The library takes compressed bytes only; inside they are the uncompressed encoding.
            histogram = HdrHistogram.decode(zlib.compress(encoded, 1), b64_wrap=False)
            # It does not look at the length in the header; the Java library does.
            if (payload := int.from_bytes(encoded[4:8], "big")) != len(encoded) - HEADER_BYTES:
                raise ValueError(f"the header says {payload} bytes of payload, found {len(encoded) - HEADER_BYTES}")
        except Exception as error:  # the library has no common class of errors
            raise SystemExit(f"hdr_read.py: line {number}: {type(error).__name__}: {error}") from None
        print(
            histogram.total_count,
            histogram.get_min_value(),
            histogram.get_max_value(),
            *(at_percent(histogram, percent) for percent in (50, 95, 99)),
        )


main()
