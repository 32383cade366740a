"""Runs one statement per line of the standard input; answers with milliseconds and the number of rows."""

import sys
import time

import duckdb

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for line in sys.stdin:
    try:
        started = time.perf_counter()
        # As Arrow, which costs neither of the two a conversion.
        answer = connection.execute(line).fetch_arrow_table()
        print((time.perf_counter() - started) * 1e3, answer.num_rows, flush=True)
    except duckdb.Error as error:
        print(str(error).replace("\n", " "), flush=True)
