"""The query as a dataflow of Bytewax. Settings come from the environment: SERVERS, TOPIC, OUTPUT, BATCH."""

import os
from datetime import datetime, timedelta, timezone

import orjson
from bytewax import operators as op
from bytewax.connectors.files import FileSink
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing as win

ALIGN_TO = datetime(2026, 1, 1, tzinfo=timezone.utc)
LENGTH = timedelta(seconds=10)
ALLOWED_DISORDER = timedelta(seconds=5)


def decode(messages):
    """All of a batch at once: one call of Python from the engine instead of one per event."""
    calls = []
    for message in messages:
        event = orjson.loads(message.value)
        data = event["data"]
        call = (datetime.fromisoformat(event["time"]), data["status_code"] >= 500, data["duration_ms"])
        calls.append((f"{event['tenantid']} {data['endpoint']}", call))
    return calls


def count(state, call):
    state[0] += 1
    state[1] += call[1]
    state[2].append(call[2])
    return state


def merge(a, b):
    return [a[0] + b[0], a[1] + b[1], a[2] + b[2]]


def line(keyed):
    key, (window, (requests, errors, durations)) = keyed
    # Rank ⌈0.95 n⌉: Bytewax has no percentiles.
    p95_ms = sorted(durations)[(95 * requests + 99) // 100 - 1]
    return key, f"{int((ALIGN_TO + window * LENGTH).timestamp())},{key.replace(' ', ',')},{requests},{errors},{p95_ms}"


source = KafkaSource([os.environ["SERVERS"]], [os.environ["TOPIC"]], tail=False, batch_size=int(os.environ["BATCH"]))
flow = Dataflow("calls_by_endpoint")
messages = op.input("kafka", flow, source)
calls = op.flat_map_batch("decode", messages, decode)
clock = win.EventClock(ts_getter=lambda call: call[0], wait_for_system_duration=ALLOWED_DISORDER)
windower = win.TumblingWindower(align_to=ALIGN_TO, length=LENGTH)
# Unordered: counting asks for no order, and keeping it costs.
windows = win.fold_window("count", calls, clock, windower, lambda: [0, 0, []], count, merge, ordered=False)
lines = op.map("line", windows.down, line)
op.output("file", lines, FileSink(os.environ["OUTPUT"]))
