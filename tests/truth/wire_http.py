"""Answers over HTTP, which the answers of every other protocol are compared with."""

import datetime
import decimal
import json
import urllib.request

# Counts, exact decimals, floats, instants, text, nulls, a sketch and its bytes' length.
NUMBERS = """
    SELECT provider, sum(requests) AS requests, sum(cost_micro) AS cost_micro,
           quantile(duration_ms, 0.95) AS p95_ms, CAST(sum(errors) AS DOUBLE) / sum(requests) AS error_ratio,
           min(window_start) AS first_window, approx_distinct(shops) AS shops,
           CAST(sum(cost_micro) AS DECIMAL(38, 2)) / 7 AS seventh, CAST(NULL AS TEXT) AS nothing
    FROM api_calls GROUP BY provider ORDER BY provider
"""


def ask(address, sql):
    """Rows as lists; instants as aware datetimes, decimals exact."""
    request = urllib.request.Request(
        f"http://{address}/api/v1/sql", data=sql.encode(), headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request) as response:
        answer = json.loads(response.read(), parse_float=decimal.Decimal)
    instants = [i for i, c in enumerate(answer["columns"]) if c["type"].startswith("timestamp")]
    rows = answer["rows"]
    for row in rows:
        for i in instants:
            row[i] = row[i] and datetime.datetime.fromisoformat(row[i].replace("Z", "+00:00"))
    return rows


def metric(address, name):
    """The sum of a metric over its labels, by the label outcome."""
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        lines = response.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{")}


def same(found, expected, what):
    """Compares rows, which must not be none."""
    found, expected = [list(map(plain, row)) for row in found], [list(map(plain, row)) for row in expected]
    assert found == expected, f"{what}:\n  found    {found[:3]}\n  expected {expected[:3]}"
    assert found, f"{what}: no rows"


def plain(value):
    """One spelling of equal values: numbers as exact decimals, a float by its shortest text."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, (decimal.Decimal, float, int)) and not isinstance(value, bool):
        return decimal.Decimal(repr(value) if isinstance(value, float) else value).normalize() + 0
    return value
