"""A Tidewatch with everything in it that dashboards show, and a Prometheus that scrapes it."""

import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).resolve().parent
TRUTH = HERE.parent / "truth" / "creatorflow"
# What is asked for now asks for the last minutes: events go on beyond the end of the test.
AHEAD = timedelta(minutes=90)
WEEK = timedelta(days=7)
# A quiet week, what is rare, and troubles of the last hours.
TROUBLES = [
    # scenario, begins so long ago, lasts, events per second, seed
    ("stock_out", timedelta(hours=3), "8m", "4", "21"),
    ("carrier_outage", timedelta(hours=2), "12m", "2", "22"),
    ("viral_spike", timedelta(hours=1), "12m", "4", "23"),
    ("webhook_backlog", timedelta(minutes=20), "60m", "1", "24"),
]

SETTINGS = """
packs = ["builtin:creatorflow", "builtin:prometheus"]
[storage]
location = "data"
[files]
paths = [{files}]
[ingest]
future_max = "3h"
# After the end of a file as well: commits of a development build on a busy machine take a while.
drain_timeout = "10m"
[personal]
salt = "of tests"
[push]
path = "push"
[http]
listen = "127.0.0.1:{port}"
[postgres]
listen = "127.0.0.1:{postgres}"
[alerting]
pack_rules = false
rules = ["{rules}"]
config = "alertmanager.yml"
[sql]
rows_max = 5_000_000
timeout = "5m"
memory_bytes_max = 2_000_000_000
[log]
filter = "warn"
"""

# The second receiver is never there.
ALERTMANAGER = """
route:
  receiver: sink
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  routes:
    - receiver: nobody
      matchers: [severity="info"]
      continue: true
    - receiver: sink
receivers:
  - name: sink
    webhook_configs: [{{url: "http://127.0.0.1:{sink}/"}}]
  - name: nobody
    webhook_configs: [{{url: "http://127.0.0.1:9/"}}]
"""

# A development build reads all rollups for a scrape; on a busy machine that takes a while.
SCRAPE_INTERVAL_S = 30
PROMETHEUS = """
global: {{ scrape_interval: {interval}s, scrape_timeout: {interval}s }}
scrape_configs:
  - job_name: tidewatch
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def text_of(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:00Z")


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes what alerts tell."""

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def answer(base, path, timeout=300, **parameters):
    """What an API of Prometheus says; an error is an answer, too."""
    url = f"{base}{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        try:
            return json.loads(body)
        except ValueError:
            return {"status": "error", "error": f"HTTP {error.code}: {body[:300]}"}
    except OSError as error:
        return {"status": "error", "error": f"{base}: {error}"}


class Server:
    """Processes in a folder, until `stop`."""

    def __init__(self, program, folder):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.port, self.postgres, self.prometheus = free_port(), free_port(), None
        self.base = f"http://127.0.0.1:{self.port}"
        self.processes = []

    def simulate(self):
        now = datetime.now(timezone.utc)
        start = text_of(now + AHEAD - WEEK)
        files = ["week.ndjson", "rare.ndjson"]
        self.events("week", start, "7d", "0.05", "7", files[0])
        subprocess.run([sys.executable, TRUTH / "rare_events.py", start, self.folder / files[1]], check=True)
        for scenario, ago, lasts, rate, seed in TROUBLES:
            files.append(f"{scenario}.ndjson")
            self.events(scenario, text_of(now - ago), lasts, rate, seed, files[-1])
        return files

    def events(self, scenario, start, duration, rate, seed, file):
        arguments = ["--scenario", scenario, "--start", start, "--duration", duration, "--rate", rate, "--seed", seed]
        command = [self.program, "simulate", "--to", "file", "--path", self.folder / file, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def start(self):
        files = self.simulate()
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        (self.folder / "alertmanager.yml").write_text(ALERTMANAGER.format(sink=sink.server_address[1]))
        named = ", ".join(f'"{file}"' for file in files)
        settings = SETTINGS.format(files=named, port=self.port, postgres=self.postgres, rules=HERE / "rules.yaml")
        (self.folder / "tidewatch.toml").write_text(settings)
        # First, so that it sees how the counters grow.
        self.start_prometheus()
        self.run("tidewatch", [self.program, "run", "-c", self.folder / "tidewatch.toml"])
        self.wait_for("events to be counted", self.is_caught_up, 1200)
        self.wait_for("alerts to fire", self.fires, 600)
        if self.prometheus:
            self.wait_for("Prometheus to have scraped twice", self.is_scraped, 600)
        return self

    def start_prometheus(self):
        program = shutil.which("prometheus")
        if program is None:
            if os.environ.get("CI") == "true":
                sys.exit("prometheus is missing and CI=true: install the package prometheus; .ci/setup.sh does")
            print("SKIPPED: dashboards of Tidewatch itself: prometheus is missing: install the package prometheus")
            return
        port = free_port()
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(port=self.port, interval=SCRAPE_INTERVAL_S))
        self.run("prometheus", [
            program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ])  # fmt: skip
        self.prometheus = f"http://127.0.0.1:{port}"

    def run(self, name, command):
        log = open(self.folder / f"{name}.log", "w")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder))

    def wait_for(self, what, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            for process in self.processes:
                if process.poll() is not None:
                    log = (self.folder / "tidewatch.log").read_text()[-2000:]
                    sys.exit(f"{process.args[0]} ended with {process.returncode}:\n{log}")
            if time.monotonic() > deadline:
                sys.exit(f"{what}: not within {seconds} s")
            time.sleep(1)

    def is_caught_up(self):
        try:
            with urllib.request.urlopen(f"{self.base}/metrics", timeout=60) as response:
                text = response.read().decode()
        except OSError:
            return False
        value = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[:1] not in "#"}
        lag = [v for name, v in value.items() if name.startswith("tidewatch_ingest_lag_records")]
        rows = [v for name, v in value.items() if name.startswith("tidewatch_commit_rows_total")]
        return bool(lag) and max(lag) == 0 and sum(rows) > 0

    def fires(self):
        found = answer(self.base, "/api/v1/query", query='count by (class) (ALERTS{alertstate="firing"})')
        classes = {s["metric"]["class"] for s in found.get("data", {}).get("result", [])}
        return classes >= {"system", "performance", "integration", "business"}

    def is_scraped(self):
        query = "min(count_over_time(tidewatch_notify_circuit_open[5m])) >= 2"
        return bool(answer(self.prometheus, "/api/v1/query", query=query).get("data", {}).get("result"))

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
