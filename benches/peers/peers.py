"""Tidewatch and its peers: how each is run over a topic, with which settings, and what it found.

What `rows` returns is the same for all: requests, errors and p95 by start of window in ms, tenant and endpoint.
"""

import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
from datetime import datetime, timezone

from events import TENANT_KIND

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
INSTALLED = pathlib.Path(os.environ.get("TIDEWATCH_PEERS") or CACHE / "tidewatch" / "peers")
# Tidewatch commits so often by default; the others get the same interval.
COMMIT_S = 10


@dataclasses.dataclass
class Job:
    """One run: over which topic, and the folder that it may write to."""

    servers: str
    topic: str
    folder: pathlib.Path


class Peer:
    """What a peer says that does not say otherwise."""

    name = ""
    # How its p95 may differ from the exact one: the field of the truth it is held against, and the share above it.
    p95 = "exact, nearest rank"
    is_interpolated = False
    p95_above_max = 0.0

    def missing(self):
        """Why it cannot be run; None when it can."""
        return None

    def version(self):
        raise NotImplementedError

    def settings(self):
        """Lines for the record of the run."""
        return []

    def prepare(self, job):
        """What is done once before a run, and not measured."""

    def command(self, job):
        raise NotImplementedError

    def environment(self, job):
        return {}

    def rows(self, job):
        raise NotImplementedError


class Tidewatch(Peer):
    name = "tidewatch"
    p95 = "HDR histogram of 2 digits: at most 1 % above the nearest rank, never below"
    p95_above_max = 0.01

    QUERY = """SELECT window_start, tenant, endpoint, sum(requests) AS requests, sum(errors) AS errors,
                      quantile(duration_ms, 0.95) AS p95_ms
               FROM calls_by_endpoint GROUP BY window_start, tenant, endpoint"""

    def __init__(self, program, dedupe_horizon):
        self.program = pathlib.Path(program).resolve()
        self.dedupe_horizon = dedupe_horizon

    def missing(self):
        return None if self.program.is_file() else f"no {self.program}: cargo build --release, or --tidewatch PATH"

    def version(self):
        return output_of([self.program, "--version"]).removeprefix("tidewatch ")

    def settings(self):
        return [f"all defaults (flush_interval {COMMIT_S}s, one worker), dedupe.horizon {self.dedupe_horizon}"]

    def prepare(self, job):
        pack = job.folder / "pack"
        shutil.copytree(HERE / "pack", pack)
        sources = pack / "sources.yaml"
        sources.write_text(sources.read_text().replace("topic: calls\n", f"topic: {job.topic}\n"))
        # A number of rows that only the read-out after the run needs.
        (job.folder / "tidewatch.toml").write_text(
            f"""packs = ["pack"]
[storage]
location = "data"
[kafka.properties]
"bootstrap.servers" = "{job.servers}"
"group.id" = "{job.folder.name}"
[dedupe]
horizon = "{self.dedupe_horizon}"
[http]
listen = "127.0.0.1:0"
[sql]
rows_max = 100_000_000
timeout = "10m"
"""
        )

    def command(self, job):
        return [self.program, "run", "--until-caught-up", "-c", job.folder / "tidewatch.toml"]

    def rows(self, job):
        config = job.folder / "tidewatch.toml"
        text = output_of([self.program, "sql", "-c", config, "--format", "csv", self.QUERY])
        rows = {}
        for row in csv.DictReader(text.splitlines()):
            tenant = row["tenant"].removeprefix(TENANT_KIND + ":")
            key = (utc_ms(row["window_start"]), tenant, row["endpoint"])
            rows[key] = (int(row["requests"]), int(row["errors"]), float(row["p95_ms"]))
        return rows


class Flink(Peer):
    name = "flink"
    p95 = "PERCENTILE: exact, interpolated between two values"
    is_interpolated = True

    # Java 17 closes packages that its serializers look into.
    OPENED = "java.lang java.net java.io java.nio java.text java.time java.util java.util.concurrent".split()

    def __init__(self, java_options, settings):
        self.java_options = java_options.split()
        self.own = {
            "parallelism.default": "1",
            # Objects are handed over instead of copied: safe in SQL, and off by default.
            "pipeline.object-reuse": "true",
            "state.backend.type": "hashmap",
            "execution.checkpointing.interval": f"{COMMIT_S}s",
            "execution.checkpointing.mode": "EXACTLY_ONCE",
            "table.local-time-zone": "UTC",
        } | dict(pair.split("=", 1) for pair in settings)
        self.folder = INSTALLED / "flink"

    def missing(self):
        if shutil.which("java") is None:
            return "java is not installed (17 or newer)"
        return None if (self.folder / "Query.class").is_file() else "not installed: benches/peers/setup.sh flink"

    def version(self):
        [jar] = self.folder.glob("flink-table-runtime-*.jar")
        [connector] = self.folder.glob("flink-sql-connector-kafka-*.jar")
        java = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, text=True, check=True).stderr
        return f"{jar.stem}, {connector.stem}, {java.splitlines()[0]}"

    def settings(self):
        settings = ", ".join(f"{k}={v}" for k, v in self.own.items())
        return [f"mini cluster in one JVM, java {' '.join(self.java_options)}", settings]

    def prepare(self, job):
        values = {"servers": job.servers, "topic": job.topic, "output": str(job.folder / "output")}
        text = (HERE / "flink" / "query.sql").read_text()
        text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)
        (job.folder / "query.sql").write_text(text)

    def command(self, job):
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in self.OPENED]
        quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", f"-Djava.io.tmpdir={job.folder}"]
        settings = self.own | {"execution.checkpointing.dir": (job.folder / "checkpoints").as_uri()}
        classes = ["-cp", f"{self.folder}/*:{self.folder}"]
        pairs = [f"{k}={v}" for k, v in settings.items()]
        return ["java", *self.java_options, *opened, *quiet, *classes, "Query", job.folder / "query.sql", *pairs]

    def rows(self, job):
        rows = {}
        # Files that begin with a dot were not committed.
        for path in (job.folder / "output").glob("part-*"):
            for start, tenant, endpoint, requests, errors, p95_ms in csv.reader(path.read_text().splitlines()):
                add(rows, (utc_ms(start), tenant, endpoint), (int(requests), int(errors), float(p95_ms)))
        return rows


class PythonPeer(Peer):
    def __init__(self):
        self.python = INSTALLED / self.name / "bin" / "python"

    def missing(self):
        works = self.python.is_file() and subprocess.run([self.python, "-c", f"import {self.name}"]).returncode == 0
        return None if works else f"not installed: benches/peers/setup.sh {self.name}"

    def version(self):
        ask = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]), 'in Python', sys.version.split()[0])"
        return output_of([self.python, "-c", ask, self.name])

    def environment(self, job):
        output = str(job.folder / "output.csv")
        return {"SERVERS": job.servers, "TOPIC": job.topic, "OUTPUT": output, "PYTHONDONTWRITEBYTECODE": "1"}


class Bytewax(PythonPeer):
    name = "bytewax"
    p95 = "exact, nearest rank, of a sorted list in Python"
    BATCH = 1000

    def settings(self):
        return [
            f"one worker, KafkaSource(batch_size={self.BATCH}) as its documentation advises for throughput",
            "a batch at a time is decoded, with orjson; fold_window(ordered=False)",
            f"recovery: snapshots every {COMMIT_S} s",
        ]

    def prepare(self, job):
        recovery = job.folder / "recovery"
        recovery.mkdir()
        output_of([self.python, "-m", "bytewax.recovery", recovery, "1"])

    def command(self, job):
        flow = HERE / "flows" / "bytewax_flow.py"
        recovery = ["-r", job.folder / "recovery", "-s", COMMIT_S, "-b", 0]
        return [self.python, "-m", "bytewax.run", flow, "-w", 1, *recovery]

    def environment(self, job):
        return super().environment(job) | {"BATCH": str(self.BATCH)}

    def rows(self, job):
        rows = {}
        for start, tenant, endpoint, requests, errors, p95_ms in csv.reader(open(job.folder / "output.csv")):
            add(rows, (int(start) * 1000, tenant, endpoint), (int(requests), int(errors), float(p95_ms)))
        return rows


class Pathway(PythonPeer):
    name = "pathway"
    p95 = "exact, nearest rank, of its sorted_tuple"
    # Its default.
    AUTOCOMMIT_MS = 1500

    def settings(self):
        return [
            f"PATHWAY_THREADS=1, autocommit_duration_ms={self.AUTOCOMMIT_MS} (its default)",
            "windowby without a behaviour: like Tidewatch it drops nothing that is late and amends what it said",
            "no persistence, which is less than the others do: snapshots of operators need a licence key",
        ]

    def command(self, job):
        return [self.python, HERE / "flows" / "pathway_flow.py"]

    def environment(self, job):
        return super().environment(job) | {"PATHWAY_THREADS": "1", "COMMIT_MS": str(self.AUTOCOMMIT_MS)}

    def rows(self, job):
        # A log of changes: what was said and taken back leaves nothing.
        changes = {}
        for row in csv.DictReader(open(job.folder / "output.csv")):
            key = (utc_ms(row["window_start"]), row["tenant"], row["endpoint"])
            found = (key, (int(row["requests"]), int(row["errors"]), float(row["p95_ms"])))
            changes[found] = changes.get(found, 0) + int(row["diff"])
        rows = {}
        for (key, values), count in changes.items():
            for _ in range(count):
                add(rows, key, values)
        return rows


def add(rows, key, values):
    """A window that comes twice is an error, not the last of both."""
    if key in rows:
        raise ValueError(f"two rows for {json.dumps(key)}: {rows[key]} and {values}")
    rows[key] = values


def utc_ms(text):
    """Of 2026-03-14 18:00:00, with or without T, fraction and Z."""
    seconds = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", text)
    moment = datetime.strptime(" ".join(seconds.groups()), "%Y-%m-%d %H:%M:%S")
    return int(moment.replace(tzinfo=timezone.utc).timestamp()) * 1000


def output_of(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
