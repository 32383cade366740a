#!/usr/bin/env python3
"""Every query of every dashboard, filled as Grafana fills it, answered by a running Tidewatch.

usage: check.py [--time] PROGRAM [DASHBOARD…]
       check.py [--time] --at BASE POSTGRES_PORT PROMETHEUS [DASHBOARD…]

With --time one question is asked at a time, and three times; the median of the three counts, as the server answers
one query over a connection that is there, as Grafana's pools have them. TOOK=FILE has all times as JSON.

An error fails, and so does an empty answer: no row, or no number in it. What comes before `or vector(0)` must answer
by itself. PROGRAM is tidewatch: it gets a simulated week (server.py). Dashboards are named as in creatorflow-d01.
"""

import concurrent.futures
import contextlib
import json
import math
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time
import urllib.request

import psycopg
import yaml

import grafana
from server import SCRAPE_INTERVAL_S, Server, answer

ROOT = pathlib.Path(__file__).resolve().parents[2]
JSON = ROOT / "deploy" / "grafana" / "json"
ZERO = " or vector(0)"
# What has only begun is not in an answer yet: a range ends with its last whole step. So long is waited in all for
# panels to show something, and so long between two looks.
PATIENCE_S = 180
ROUNDS = 3
AGAIN_S = 15


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def is_own(dashboard):
    """Shows metrics of Tidewatch itself, which a Prometheus has."""
    [source] = [v for v in dashboard["templating"]["list"] if v["name"] == "prometheus_datasource"]
    return source["current"]["value"] == "prometheus"


class Asked:
    """Where questions go, and what was wrong with the answers."""

    def __init__(self, base, postgres, prometheus):
        self.bases = {"tidewatch": base, "prometheus": prometheus}
        self.postgres = f"host=127.0.0.1 port={postgres} user=grafana dbname=tidewatch"
        self.count, self.skipped, self.took = 0, 0, []
        # The connection that is kept when time matters, and how long the last answer took.
        self.kept, self.last_s = None, 0.0
        self.patience_s = PATIENCE_S
        # Some tenants of the store, to choose from.
        self.tenants = ["creator:crt_0001", "creator:crt_0002"]

    def sql(self):
        """A query over HTTP."""
        request = urllib.request.Request(
            self.bases["tidewatch"] + "/api/v1/sql", b"SELECT count(*) FROM api_calls", {"content-type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=60).close()

    def metrics(self, dashboard):
        return self.bases["prometheus" if is_own(dashboard) else "tidewatch"]

    def prometheus(self, base, target, times, expression):
        began = time.monotonic()
        if target.get("instant"):
            said = answer(base, "/api/v1/query", query=expression, time=times.to_s)
        else:
            start, end = times.aligned()
            said = answer(base, "/api/v1/query_range", query=expression, start=start, end=end, step=times.interval_s)
        self.last_s = time.monotonic() - began
        if said.get("status") != "success":
            return f"error: {said.get('error')}"
        result = said["data"]["result"]
        samples = [s for series in result for s in series.get("values", [series.get("value")]) if s]
        if not result:
            return "empty: no series"
        if not any(math.isfinite(float(value)) for _, value in samples):
            return "empty: no number"
        return None

    def connection(self):
        if self.kept:
            return contextlib.nullcontext(self.kept)
        return psycopg.connect(self.postgres, autocommit=True)

    def rows(self, query):
        try:
            with self.connection() as connection:
                began = time.monotonic()
                rows = connection.execute(query).fetchall()
                self.last_s = time.monotonic() - began
        except psycopg.Error as error:
            return f"error: {error}"
        if not rows:
            return "empty: no row"
        if not any(value is not None and not isinstance(value, str) for row in rows for value in row):
            return "empty: no number"
        return None

    def query(self, dashboard, panel, target, chosen):
        """What is wrong with the answers, beside what was asked."""
        # `timeInterval` of a data source is how often it scrapes.
        scrape_interval = SCRAPE_INTERVAL_S if is_own(dashboard) else grafana.SCRAPE_INTERVAL_S
        times = grafana.Range(dashboard, panel, target, time.time(), scrape_interval)
        if "rawSql" in target:
            query = grafana.sql(target["rawSql"], dashboard, chosen, times)
            return self.rows(query), query
        base = self.metrics(dashboard)
        if base is None:
            self.skipped += 1
            return None, ""
        expression = grafana.promql(target["expr"], dashboard, chosen, times)
        parts = [expression.replace(ZERO, "")] if ZERO in expression else []
        for each in [*parts, expression]:
            wrong = self.prometheus(base, target, times, each)
            if wrong:
                return wrong, each
        return None, expression

    def variable(self, dashboard, variable):
        base = self.metrics(dashboard)
        if base is None:
            return None, ""
        query = grafana.with_variables(variable["query"]["query"], dashboard, {}, {}, grafana.of_prometheus)
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
        now = time.time()
        start = grafana.moment(dashboard["time"]["from"], now)
        began = time.monotonic()
        said = answer(base, f"/api/v1/label/{label}/values", **{"match[]": selector}, start=start, end=now)
        self.last_s = time.monotonic() - began
        if said.get("status") != "success":
            return f"error: {said.get('error')}", query
        return (None if said["data"] else "empty: no value"), query

    def annotation(self, dashboard, annotation):
        base = self.metrics(dashboard)
        if base is None:
            return None, ""
        panel, target = {"gridPos": {"w": 24}}, annotation["target"]
        wrong, expression = None, ""
        # Trouble may be minutes old or days; long ranges have long steps, and end with a whole one.
        for start in ("now-6h", "now-6d"):
            shown = {**dashboard, "time": {"from": start, "to": "now"}}
            times = grafana.Range(shown, panel, target, time.time())
            expression = grafana.promql(target["expr"], shown, {}, times)
            wrong = self.prometheus(base, target, times, expression)
            if not (wrong or "").startswith("empty"):
                break
        return wrong, expression


def questions(asked, dashboard, seen):
    """Each as its name and what answers it. The same question is asked once."""
    some = {"tenant": asked.tenants}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", lambda v=variable: asked.variable(dashboard, v)
    for annotation in dashboard["annotations"]["list"]:
        if "target" in annotation and annotation["target"]["expr"] not in seen:
            seen.add(annotation["target"]["expr"])
            yield f"annotation {annotation['name']}", lambda a=annotation: asked.annotation(dashboard, a)
    several = set()
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            asks = target.get("expr") or target["rawSql"]
            name = f"{panel['title']} ({target['refId']})"
            yield name, lambda p=panel, t=target: asked.query(dashboard, p, t, {})
            # Several tenants at once: their form is the data source's, so once for each is enough.
            if "tenant" in asks and panel["datasource"]["type"] not in several:
                several.add(panel["datasource"]["type"])

                def chosen(panel=panel, target=target):
                    wrong, query = asked.query(dashboard, panel, target, some)
                    return (wrong if wrong and not wrong.startswith("empty") else None), query

                yield f"{name} for two tenants", chosen


def left_out(asked):
    """Metrics that have no panel although they are there."""
    listed = yaml.safe_load((JSON.parent / "left_out.yaml").read_text())
    there = answer(asked.bases["tidewatch"], "/api/v1/metadata")["data"]
    names = [name for reason in listed.values() for name in reason if name in there]
    return [f"left_out.yaml: {name} is there: give it a panel" for name in names]


def timed(asked, ask):
    found, query = ask()
    return asked.last_s, found, query


def kind_of(query):
    return "SQL" if re.match(r"\s*(SELECT|WITH)\b", query, re.I) else "PromQL"


def check(asked, names, is_timed):
    wrong, seen = left_out(asked), set()
    if is_timed:
        asked.kept, asked.patience_s = psycopg.connect(asked.postgres, autocommit=True), 0
    # Those of Tidewatch itself first: their curves grow while the machine is not busy with the others.
    files = sorted(JSON.glob("*/*.json"), reverse=True)
    for path in files:
        dashboard = json.loads(path.read_text())
        if names and dashboard["uid"] not in names:
            continue
        began = time.monotonic()

        def ask(question):
            name, ask = question
            if is_own(dashboard):
                # What is shown of queries is there when somebody asks.
                asked.sql()
            took, found, query = timed(asked, ask)
            while (found or "").startswith("empty") and asked.patience_s > 0:
                asked.patience_s -= AGAIN_S
                time.sleep(AGAIN_S)
                asked.sql()
                took, found, query = timed(asked, ask)
            if is_timed:
                took = statistics.median([took, *(timed(asked, ask)[0] for _ in range(ROUNDS - 1))])
            asked.count += 1
            if query:
                asked.took.append((took, f"{path.stem}: {name}", query))
            return name, found, query

        with concurrent.futures.ThreadPoolExecutor(1 if is_timed else 2) as pool:
            for name, found, query in pool.map(ask, questions(asked, dashboard, seen)):
                if found:
                    wrong.append(f"{dashboard['uid']}: {name}: {found[:400]}\n    {query}")
                    print(wrong[-1], flush=True)
        print(f"{dashboard['uid']}: {time.monotonic() - began:.0f} s", flush=True)
    return wrong


def main():
    is_timed = sys.argv[1:2] == ["--time"]
    arguments = sys.argv[2 if is_timed else 1 :]
    if arguments[:1] == ["--at"]:
        base, postgres, prometheus, *names = arguments[1:]
        asked, server = Asked(base, postgres, prometheus if prometheus != "-" else None), None
    else:
        program, *names = arguments
        folder = tempfile.TemporaryDirectory()
        server = Server(program, folder.name)
    try:
        if server:
            server.start()
            asked = Asked(server.base, server.postgres, server.prometheus)
        wrong = check(asked, names, is_timed)
    finally:
        if server:
            server.stop()
    if is_timed:
        for kind in ("SQL", "PromQL", "all"):
            took = sorted(took for took, _, query in asked.took if kind in ("all", kind_of(query)))
            if took:
                ninth = took[len(took) * 9 // 10]
                print(f"{kind}: {len(took)}, median {1000 * statistics.median(took):.0f} ms, 90 % {1000 * ninth:.0f} ms")
        if os.environ.get("TOOK"):
            pathlib.Path(os.environ["TOOK"]).write_text(json.dumps(sorted(asked.took, reverse=True), indent=1))
    for took, name, _ in sorted(asked.took, reverse=True)[:20 if is_timed else 5]:
        print(f"  {took:.1f} s {name}")
    print(f"{asked.count} questions, {len(wrong)} without an answer, {asked.skipped} skipped")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
