"""Pushes metrics with OpenTelemetry's own SDK: every instrument, cumulative, gzip, one export.

    otlp_push.py http://HOST:PORT/api/v1/otlp/v1/metrics
"""

import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

resource = Resource.create(
    {
        "service.name": "shop",
        "service.namespace": "eu",
        "service.instance.id": "i-1",
        "host.name": "box",
    }
)
exporter = OTLPMetricExporter(endpoint=sys.argv[1], compression=Compression.Gzip, timeout=20)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
views = [View(instrument_name="sizes", aggregation=ExponentialBucketHistogramAggregation(max_size=160, max_scale=20))]
provider = MeterProvider(metric_readers=[reader], resource=resource, views=views)
meter = provider.get_meter("test")

requests = meter.create_counter("http.server.requests", unit="{request}", description="Requests so far.")
requests.add(5, {"http.route": "/a"})
requests.add(2, {"http.route": "/b"})
meter.create_up_down_counter("queue.length").add(-3)
latency = meter.create_histogram(
    "latency", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0, 10.0]
)
for value in (0.05, 0.5, 0.7, 20.0):
    latency.record(value)
sizes = meter.create_histogram("sizes", unit="By")
for value in range(1, 101):
    sizes.record(value)
meter.create_observable_gauge("temperature", callbacks=[lambda _: [Observation(21.5, {"room": "1"})]], unit="Cel")

if not provider.force_flush():
    sys.exit("the export failed")
provider.shutdown()
