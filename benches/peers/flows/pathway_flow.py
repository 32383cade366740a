"""The query in Pathway. Settings come from the environment: SERVERS, TOPIC, OUTPUT, COMMIT_MS."""

import os
from datetime import timedelta

import pathway as pw


class Calls(pw.Schema):
    time: str
    tenantid: str
    endpoint: str
    status_code: int
    duration_ms: int


settings = {
    "bootstrap.servers": os.environ["SERVERS"],
    "group.id": "pathway",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": "false",
}
paths = {name: f"/data/{name}" for name in ("endpoint", "status_code", "duration_ms")}
calls = pw.io.kafka.read(
    settings,
    os.environ["TOPIC"],
    schema=Calls,
    format="json",
    json_field_paths=paths,
    # Ends where the topic ends; until then as "streaming": a minibatch per commit.
    mode="static",
    autocommit_duration_ms=int(os.environ["COMMIT_MS"]),
)
calls = calls.select(
    pw.this.tenantid,
    pw.this.endpoint,
    pw.this.duration_ms,
    at=pw.this.time.dt.strptime("%Y-%m-%dT%H:%M:%S.%fZ"),
    is_error=pw.cast(int, pw.this.status_code >= 500),
)
# Without a behaviour, the cheaper of both: exactly_once_behavior buffers every event until its window is over, and
# drops what partitions deliver out of step.
windows = calls.windowby(
    calls.at, window=pw.temporal.tumbling(duration=timedelta(seconds=10)), instance=(calls.tenantid, calls.endpoint)
)
counted = windows.reduce(
    window_start=pw.this._pw_window_start,
    tenant=pw.reducers.any(pw.this.tenantid),
    endpoint=pw.reducers.any(pw.this.endpoint),
    requests=pw.reducers.count(),
    errors=pw.reducers.sum(pw.this.is_error),
    durations=pw.reducers.sorted_tuple(pw.this.duration_ms),
)
# Rank ⌈0.95 n⌉: Pathway has no percentiles.
rows = counted.select(
    pw.this.window_start,
    pw.this.tenant,
    pw.this.endpoint,
    pw.this.requests,
    pw.this.errors,
    p95_ms=pw.this.durations[(95 * pw.this.requests + 99) // 100 - 1],
)
pw.io.csv.write(rows, os.environ["OUTPUT"])
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
