"""The events of the comparison, and what is true of them. The same number gives the same events, everywhere.

Calls to an API, in the form and size that CreatorFlow's have: CloudEvents of some 750 bytes, of which the query reads
five fields. Time runs at EVENTS_PER_SECOND, each event up to DISORDER_MS out of order. All events of a tenant are in
one partition: a watermark per key, per partition or of all does then drop none of them.
"""

import random
from datetime import datetime, timedelta, timezone

START = datetime(2026, 3, 14, 18, tzinfo=timezone.utc)
START_MS = int(START.timestamp() * 1000)
WINDOW_MS = 10_000
EVENTS_PER_SECOND = 2000
DISORDER_MS = 1000
TENANTS = 20
ENDPOINTS = [
    "/orders", "/orders/{id}", "/orders/{id}/items", "/rates", "/labels",
    "/shipments/{id}", "/products", "/products/{id}/stock", "/payments", "/webhooks",
]  # fmt: skip
TENANT_KIND = "shop"
# Shares of all calls, added up.
OUTCOMES = [(0.03, 503, "server_error"), (0.05, 404, "client_error"), (1.0, 200, "success")]

EVENT = (
    '{"specversion":"1.0","id":"01KP%022d","source":"/gateway/eu-%d","type":"com.example.peers.call.completed.v1",'
    '"subject":"api%s","time":"%s.%03dZ","datacontenttype":"application/json","tenantkind":"' + TENANT_KIND + '",'
    '"tenantid":"t%02d","partitionkey":"t%02d","data":{"call_id":"cl_%016x","logical_call_id":"lc_%016x",'
    '"endpoint":"%s","operation":"POST %s","method":"POST","direction":"outbound","shop_id":"shp_%d",'
    '"status_code":%d,"outcome":"%s","duration_ms":%d,"attempt":1,"rate_limit_limit":300,"rate_limit_remaining":%d,'
    '"rate_limit_reset_at":"2026-03-14T18:01:00.000Z","cost_micro":200,"currency":"USD","request_bytes":%d,'
    '"response_bytes":%d}}'
)


def events(count):
    """Yields tenant, endpoint, event time in ms, status, duration in ms, and the event's bytes."""
    # Its floats are the same on every machine and in every Python.
    chance = random.Random(1).random
    seconds = {}
    for number in range(count):
        tenant = int(chance() * TENANTS)
        endpoint = ENDPOINTS[int(chance() * len(ENDPOINTS))]
        time_ms = START_MS + number * 1000 // EVENTS_PER_SECOND - int(chance() * DISORDER_MS)
        drawn = chance()
        status, outcome = next(kind for below, *kind in OUTCOMES if drawn < below)
        # Few are slow: most take 20 to 200 ms, one in a thousand some 20 s.
        duration_ms = 20 + int(180 * chance()) + int(20 / (chance() + 0.001))
        second, ms = divmod(time_ms, 1000)
        text = seconds.get(second)
        if text is None:
            moment = START + timedelta(seconds=second - START_MS // 1000)
            text = seconds[second] = moment.strftime("%Y-%m-%dT%H:%M:%S")
        body = EVENT % (
            number, tenant % 3, endpoint, text, ms, tenant, tenant, number * 0x9E3779B97F4A7C15 % 2**64,
            number * 0xC2B2AE3D27D4EB4F % 2**64, endpoint, endpoint, tenant, status, outcome, duration_ms,
            number % 300, 180 + number % 2000, 200 + number * 7 % 9000,
        )  # fmt: skip
        yield tenant, endpoint, time_ms, status, duration_ms, body.encode()


class Truth:
    """What every peer must find: rows by start of window in ms, tenant and endpoint."""

    def __init__(self):
        self.rows = {}

    def add(self, tenant, endpoint, time_ms, status, duration_ms):
        key = (time_ms - time_ms % WINDOW_MS, f"t{tenant:02}", endpoint)
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = [0, 0, []]
        row[0] += 1
        row[1] += status >= 500
        row[2].append(duration_ms)

    def finish(self):
        """Makes rows of requests, errors, p95 by nearest rank and p95 by interpolation."""
        for row in self.rows.values():
            values = sorted(row[2])
            row[2:] = [nearest_rank(values), interpolated(values)]
        return self


def nearest_rank(values):
    """The value at rank ⌈0.95 n⌉ of sorted values, in whole numbers."""
    return values[(95 * len(values) + 99) // 100 - 1]


def interpolated(values):
    """Between the two values around position 0.95 (n − 1): SQL's percentile_cont."""
    whole, rest = divmod(95 * (len(values) - 1), 100)
    if rest == 0:
        return float(values[whole])
    return values[whole] + (values[whole + 1] - values[whole]) * rest / 100
