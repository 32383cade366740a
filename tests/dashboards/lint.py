#!/usr/bin/env python3
"""Rules for dashboards that need no server: those of Grafana's dashboard-linter, and ours.

usage: lint.py [--grid NAME]

--grid prints how a dashboard lies on the screen. Of the linter's rules are here:

    template-datasource          the data sources are variables, called and labelled after their kind
    template-job, -instance      on dashboards of Tidewatch's own metrics; events of a pack have neither
    template-label-promql        variables ask label_values(SELECTOR, LABEL)
    template-on-time-change-reload
    panel-datasource, -title-description, -units, -no-targets
    target-promql                promtool accepts every expression, as a recording rule
    target-rate-interval         rate asks for $__rate_interval; increase may count over what is shown
    target-job, -instance        as above
    target-counter-agg           a counter stands in rate or increase
    uneditable-dashboard
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

import grafana
from check import JSON, ROOT, is_own, panels_of

GRAFANA = ROOT / "deploy" / "grafana"
SCHEMA_VERSION = 42
COLUMNS = 24
# Lines of the first screen: what a wide screen shows without scrolling.
FIRST_SCREEN = 22
# Units of Grafana that we use (packages/grafana-data/src/valueFormats/categories.ts).
UNITS = {"short", "none", "percentunit", "s", "d", "bytes", "ops", "opm", "reqps", "dateTimeFromNow"}
KINDS = {"stat", "gauge", "bargauge", "timeseries", "table", "piechart", "state-timeline"}
# Views of now: a sum over all time, without a past that `increase` could look at.
STATES = {"orders_lifetime_total"}
# Lines that the catalogue names: dashboard, title of the panel, values.
LINES = [
    ("creatorflow-d01", "Processing time", [30]),
    ("creatorflow-d03", "Time of a synchronisation", [300]),
    ("creatorflow-d03", "Accuracy of synchronisations", [0.999]),
    ("creatorflow-d05", "Time to a label, p95", [30]),
    ("creatorflow-d05", "Availability of carriers", [0.9, 0.99]),
    ("creatorflow-d06", "Savings of the base cost", [0.15, 0.25]),
    ("creatorflow-d07", "Answers, p95", [0.5, 1]),
    ("creatorflow-d07", "Errors by provider", [0.005, 0.05]),
    ("creatorflow-d02", "Use of resources", [0.7, 0.85]),
    ("creatorflow-d37", "Savings of shipping", [0.15, 0.25]),
    ("creatorflow-d37", "Burn of the budget", [6, 14.4]),
]


def selectors(expression):
    """Names of metrics with what follows them: (name, matchers, range, what stands before)."""
    pattern = r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}(\[[^\]]+\])?"
    for match in re.finditer(pattern, expression):
        yield match.group(1), match.group(2), match.group(3), expression[: match.start()]


def of_targets(dashboard, panel, says):
    own = is_own(dashboard)
    for target in panel["targets"]:
        if "expr" not in target:
            if not target.get("rawSql"):
                says("no SQL")
            continue
        expression = target["expr"]
        if not expression:
            says("no expression")
        if re.search(r"\b[a-z_]+_total\b(?!\{)", expression):
            says(f"a selector without matchers: {expression}")
        for name, matchers, window, before in selectors(expression):
            within = re.search(r"(\w+)\($", before)
            function = within.group(1) if within else None
            if function in ("rate", "irate") and window != "[$__rate_interval]":
                says(f"{function} asks for $__rate_interval: {expression}")
            if name.endswith("_total") and name not in STATES and function not in ("rate", "irate", "increase"):
                says(f"the counter {name} stands in neither rate nor increase: {expression}")
            if window and "$__rate_interval" in window and function not in ("rate", "irate", "increase"):
                says(f"$__rate_interval in {function}: {expression}")
            wanted = ['job=~"$job"', 'instance=~"$instance"'] if own else ['tenant=~"$tenant"']
            if any(part not in matchers for part in wanted):
                says(f"{name} lacks {' and '.join(wanted)}: {expression}")
        if not target["legendFormat"]:
            says("no legend")
        if target["instant"] == target["range"]:
            says("one moment or a range, not both")


def of_panel(dashboard, panel, says):
    if panel["type"] not in KINDS:
        says(f"the kind {panel['type']}")
    if not panel.get("title") or not panel.get("description"):
        says("no title or description")
    if panel["datasource"]["uid"] not in ("${prometheus_datasource}", "${postgres_datasource}"):
        says("its data source is no variable")
    if any(target["datasource"] != panel["datasource"] for target in panel["targets"]):
        says("a target has another data source")
    if not panel.get("targets"):
        says("asks nothing")
    units = [panel["fieldConfig"]["defaults"]["unit"]]
    units += [p["value"] for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "unit"]
    if set(units) - UNITS:
        says(f"the unit {set(units) - UNITS}")
    of_targets(dashboard, panel, says)


def of_variables(dashboard, says):
    listed = dashboard["templating"]["list"]
    labels = {"prometheus_datasource": "Prometheus data source", "postgres_datasource": "Postgres data source"}
    if {v["name"]: v["label"] for v in listed if v["type"] == "datasource"} != labels:
        says("its data sources are no variables, or are not called after their kind")
    names = {v["name"] for v in listed}
    if is_own(dashboard) and not {"job", "instance"} <= names:
        says("no job or no instance")
    if not is_own(dashboard) and "tenant" not in names:
        says("no tenant")
    for link in set(re.findall(r'"url": "([^"]*)"', json.dumps(dashboard))):
        for name in re.findall(r"\$\{(\w+)", link):
            if name not in names and name not in ("__url_time_range", "__all_variables"):
                says(f"the link {link} knows no {name}")
    text = json.dumps([dashboard["panels"], dashboard["annotations"], listed])
    for variable in listed:
        if variable["type"] == "query":
            if not re.fullmatch(r"label_values\(.*, \w+\)", variable["query"]["query"]):
                says(f"{variable['name']} is no label_values(…)")
            if variable["refresh"] != 2:
                says(f"{variable['name']} is not read again with the time")
            if not (variable["multi"] and variable["includeAll"]):
                says(f"{variable['name']} does not offer several values and all")
        if f"${variable['name']}" not in text and f"${{{variable['name']}" not in text:
            says(f"nobody uses ${variable['name']}")


def overlap(a, b):
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def of_layout(dashboard, says):
    def check_grid(panels, what):
        grids = [panel["gridPos"] for panel in panels]
        for at, grid in enumerate(grids):
            if grid["x"] < 0 or grid["x"] + grid["w"] > COLUMNS or grid["w"] < 3 or grid["h"] < 3:
                says(f"{panels[at]['title']} does not fit")
            for other in range(at):
                if overlap(grid, grids[other]):
                    says(f"{panels[at]['title']} lies on {panels[other]['title']}")
        if grids:
            area = sum(g["w"] * g["h"] for g in grids)
            height = max(g["y"] + g["h"] for g in grids) - min(g["y"] for g in grids)
            if area != height * COLUMNS:
                says(f"{what} has holes")

    first = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    check_grid(first, "the first screen")
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in first)
    if lines > FIRST_SCREEN:
        says(f"the first screen has {lines} of {FIRST_SCREEN} lines")
    for row in dashboard["panels"]:
        if row["type"] == "row":
            check_grid(row["panels"], row["title"])
            if not row["collapsed"] or not row["panels"]:
                says(f"the row {row['title']} is open or empty")
    numbers = [p["id"] for p in panels_of(dashboard)] + [p["id"] for p in dashboard["panels"] if p["type"] == "row"]
    if len(numbers) != len(set(numbers)):
        says("numbers of panels come twice")
    titles = [panel["title"] for panel in panels_of(dashboard)]
    for title in {title for title in titles if titles.count(title) > 1}:
        says(f"the title {title} comes twice")


def of_dashboard(dashboard, uids, says):
    if dashboard["schemaVersion"] != SCHEMA_VERSION:
        says(f"the version of its schema is {dashboard['schemaVersion']}, not {SCHEMA_VERSION}")
    if dashboard["editable"]:
        says("it is editable, and what is edited is lost")
    if not dashboard.get("description"):
        says("no description")
    for target in set(re.findall(r"/d/([\w-]+)", json.dumps(dashboard))):
        if target not in uids:
            says(f"a link to {target}, which is not there")
        if target.startswith("tidewatch-") and re.search(rf"/d/{target}[^\"]*__all_variables", json.dumps(dashboard)):
            says(f"a link takes its data sources to {target}, which may have others")
        if target == dashboard["uid"]:
            says("a link to itself")
    of_variables(dashboard, says)
    of_layout(dashboard, says)
    for panel in panels_of(dashboard):
        of_panel(dashboard, panel, lambda wrong, panel=panel: says(f"{panel['title']}: {wrong}"))


def of_lines(dashboards, says):
    for uid, title, values in LINES:
        found = [p for d in dashboards if d["uid"] == uid for p in panels_of(d) if p["title"] == title]
        steps = [s["value"] for p in found for s in p["fieldConfig"]["defaults"]["thresholds"]["steps"]][1:]
        if steps != values:
            says(f"{uid}: {title}: expected lines at {values}, found {steps}")


def accepted_by_promtool(dashboards, says):
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            sys.exit("promtool is missing and CI=true: install the package prometheus; .ci/setup.sh does")
        print("SKIPPED: promtool is missing: install the package prometheus")
        return 0
    rules = []
    for dashboard in dashboards:
        asked = [(p, t) for p in panels_of(dashboard) for t in p["targets"] if "expr" in t]
        asked += [
            ({"gridPos": {"w": 24}}, a["target"]) for a in dashboard["annotations"]["list"] if "target" in a
        ]
        for panel, target in asked:
            times = grafana.Range(dashboard, panel, {}, 1_800_000_000)
            for chosen in ({}, {"tenant": ["creator:a.b", "creator:c's"]}):
                # Rules of one name and other labels are one another's duplicates for promtool.
                name = f"dashboards:query_{len(rules)}:checked"
                rules.append({"record": name, "expr": grafana.promql(target["expr"], dashboard, chosen, times)})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        checked = subprocess.run([promtool, "check", "rules", file.name], capture_output=True, text=True)
    if checked.returncode != 0:
        says(f"promtool: {checked.stdout}{checked.stderr}")
    return len(rules)


def provisioned(dashboards, says):
    """What dashboards call by name is there after the first start."""
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/tidewatch.yaml").read_text())["datasources"]
    known = {(source["type"], source["uid"], source["name"]) for source in sources}
    for dashboard in dashboards:
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "datasource":
                wanted = (variable["query"], variable["current"]["value"], variable["current"]["text"])
                if wanted not in known:
                    says(f"{dashboard['uid']}: the data source {wanted} is not provisioned")
    [tidewatch] = [source for source in sources if source["uid"] == "tidewatch"]
    if grafana.seconds(tidewatch["jsonData"]["timeInterval"]) != grafana.SCRAPE_INTERVAL_S:
        says("grafana.py takes another scrape interval than the provisioned data source has")
    yaml.safe_load((GRAFANA / "provisioning/dashboards/tidewatch.yaml").read_text())


def print_grid(dashboard):
    def draw(panels):
        top = min(p["gridPos"]["y"] for p in panels)
        height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels) - top
        canvas = [[" "] * (COLUMNS * 4 + 1) for _ in range(height + 1)]
        for panel in panels:
            g = panel["gridPos"]
            left, width, above, high = g["x"] * 4, g["w"] * 4, g["y"] - top, g["h"]
            for x in range(left, left + width + 1):
                canvas[above][x] = canvas[above + high][x] = "-"
            for y in range(above, above + high + 1):
                canvas[y][left] = canvas[y][left + width] = "|"
            for at, text in enumerate([panel["title"], f"{panel['type']} {panel['fieldConfig']['defaults']['unit']}"]):
                for x, letter in enumerate(text[: width - 2]):
                    canvas[above + 1 + at][left + 1 + x] = letter
        print("\n".join("".join(line) for line in canvas))

    print(f"{dashboard['title']}\n{dashboard['description']}")
    draw([panel for panel in dashboard["panels"] if panel["type"] != "row"])
    for row in dashboard["panels"]:
        if row["type"] == "row":
            print(f"> {row['title']}")
            draw(row["panels"])


def main():
    dashboards = [json.loads(path.read_text()) for path in sorted(JSON.glob("*/*.json"))]
    if sys.argv[1:2] == ["--grid"]:
        for dashboard in dashboards:
            if dashboard["uid"] in sys.argv[2:]:
                print_grid(dashboard)
        return
    wrong = []
    checked = subprocess.run([sys.executable, GRAFANA / "generate.py", "--check"], capture_output=True, text=True)
    if checked.returncode != 0:
        wrong.append(checked.stderr.strip())
    uids = {dashboard["uid"] for dashboard in dashboards}
    if len(uids) != len(dashboards):
        wrong.append("a uid comes twice")
    for dashboard in dashboards:
        of_dashboard(dashboard, uids, lambda text, d=dashboard: wrong.append(f"{d['uid']}: {text}"))
    of_lines(dashboards, wrong.append)
    provisioned(dashboards, wrong.append)
    rules = accepted_by_promtool(dashboards, wrong.append)
    panels = sum(len(list(panels_of(dashboard))) for dashboard in dashboards)
    print("\n".join(wrong))
    print(f"{len(dashboards)} dashboards, {panels} panels, {rules} rules for promtool, {len(wrong)} mistakes")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
