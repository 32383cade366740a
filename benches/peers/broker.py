"""Apache Kafka for the comparison, and its topics."""

import pathlib
import subprocess

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from events import Truth, events

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "kafka"
FLUSH_S = 120


class Broker:
    """A broker in a folder of its own; stopped at the end of the block."""

    def __init__(self, folder):
        self.folder = folder
        self.servers = None

    def __enter__(self):
        try:
            started = subprocess.run([SCRIPTS / "start.sh", self.folder], stdout=subprocess.PIPE, text=True)
        except BaseException:
            # Ctrl-C ends the script, and not the broker that it may have started.
            self.__exit__()
            raise
        if started.returncode != 0:
            raise SystemExit("tests/kafka/start.sh failed: the comparison needs Apache Kafka")
        self.servers = started.stdout.split()[-1]
        return self

    def __exit__(self, *_):
        if self.folder.is_dir():
            subprocess.run([SCRIPTS / "stop.sh", self.folder], check=True)

    def fill(self, topic, partitions, count):
        """Writes the first `count` events, lz4, and returns what is true of them."""
        # Kept while it is waited for: the client that goes away takes the answer with it.
        admin = AdminClient({"bootstrap.servers": self.servers})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
        settings = {"bootstrap.servers": self.servers, "acks": "all", "linger.ms": 50, "compression.type": "lz4"}
        producer = Producer(settings)
        failed = []
        truth = Truth()
        for tenant, endpoint, time_ms, status, duration_ms, body in events(count):
            truth.add(tenant, endpoint, time_ms, status, duration_ms)
            while True:
                try:
                    producer.produce(
                        topic,
                        body,
                        key=f"t{tenant:02}",
                        # Not by hash: of few tenants that would make partitions of very different length.
                        partition=tenant % partitions,
                        # Replayed events: Tidewatch refuses what is far in the future of its record.
                        timestamp=time_ms,
                        on_delivery=lambda error, _: failed.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        left = producer.flush(FLUSH_S)
        if left or failed:
            raise SystemExit(f"{left} events were not written to {topic}, {len(failed)} refused: {failed[:1]}")
        return truth.finish()
