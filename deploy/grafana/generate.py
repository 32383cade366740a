#!/usr/bin/env python3
"""Dashboards of Grafana from their sources: dashboards/FOLDER/NAME.yaml → json/FOLDER/NAME.json.

usage: generate.py [--check]

With --check nothing is written: it fails where the JSON is not what the sources give.

A source says what a panel asks and what it is for; everything that all panels have alike is said here. Panels fill
lines of 24 columns from left to right. What stands under `panels` is the first screen, `rows` are collapsed below it.

    - stat: Title                    # or gauge, bargauge, timeseries, bars, table, pie, timeline
      about: what it shows, and what to do when it is bad
      q: an expression of PromQL     # or {legend: expression, …}; `sql` asks the Postgres data source instead
      unit: s                        # a unit of Grafana; of a column of a table: `units: {column: unit}`
      thresholds: [green, [30, red]] # from the lowest value; a chart draws lines there
      map: status                    # or paused: words and colours for numbers
      to: creatorflow/d05            # the dashboard that shows more; `to_title` names it otherwise
      w: 6                           # columns, and `h` lines, where the kind's own do not fit
      step: 1h                       # smallest step: the width of the windows

Stats, gauges, bars of now, tables and pies ask for one moment, charts for the whole range. Short forms in queries:

    %T  tenant=~"$tenant"                          %S  the same and shop=~"$shop", a label of views
    %I  the same and shop_id=~"$shop", of rollups  %P  job=~"$job", instance=~"$instance"
    %t  the tenants in SQL                         %s  the shops in SQL, by the column shop
"""

import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
# That of Grafana 12.
SCHEMA_VERSION = 42
COLUMNS = 24

SHORT = {
    "%T": 'tenant=~"$tenant"',
    "%S": 'tenant=~"$tenant", shop=~"$shop"',
    "%I": 'tenant=~"$tenant", shop_id=~"$shop"',
    "%P": 'job=~"$job", instance=~"$instance"',
    # A list of names would be as long as there are tenants; the pattern for all is `.*`.
    "%t": "tenant ~ '^(${tenant:regex})$'",
    "%s": "coalesce(shop, '') ~ '^(${shop:regex})$'",
}

# Kind of a source: type of Grafana, columns, lines.
KINDS = {
    "stat": ("stat", 4, 4),
    "gauge": ("gauge", 4, 5),
    "bargauge": ("bargauge", 8, 8),
    "timeseries": ("timeseries", 12, 8),
    "bars": ("timeseries", 12, 8),
    "table": ("table", 12, 8),
    "pie": ("piechart", 6, 8),
    "timeline": ("state-timeline", 24, 8),
}
OF_NOW = {"stat", "gauge", "bargauge", "table", "pie"}

GREY, GREEN, YELLOW, RED, BLUE = "#8e8e8e", "green", "yellow", "red", "blue"
MAPS = {
    "status": {0: ("nominal", GREEN), 1: ("warning", YELLOW), 2: ("critical", RED), 3: ("unknown", GREY)},
    "paused": {0: ("running", GREEN), 1: ("paused", YELLOW)},
    "switch": {0: ("off", GREY), 1: ("on", BLUE)},
    "up": {0: ("no", RED), 1: ("yes", GREEN)},
}

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus_datasource}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres_datasource}"}
GRAFANA = {"type": "grafana", "uid": "-- Grafana --"}


class Mistake(Exception):
    """A source that makes no dashboard."""


def filled(query):
    for short, long in SHORT.items():
        query = query.replace(short, long)
    return " ".join(query.split())


def uid_of(name):
    """creatorflow/d03 → creatorflow-d03, as rules name dashboards, too."""
    return name.lower().replace("/", "-")


def link_to(name, title):
    """What was chosen is kept. But dashboards of Tidewatch itself may have other data sources, which are variables."""
    kept = "${__url_time_range}"
    if not name.startswith("tidewatch/"):
        kept += "&${__all_variables}"
    elif name == "tidewatch/alerting":
        kept += "&${tenant:queryparam}"
    return {"title": title, "url": f"/d/{uid_of(name)}?{kept}", "targetBlank": False}


def mapping(name):
    options = {
        str(value): {"text": text, "color": colour, "index": at}
        for at, (value, (text, colour)) in enumerate(MAPS[name].items())
    }
    return [{"type": "value", "options": options}]


def thresholds(steps):
    base, *above = steps
    return {
        "mode": "absolute",
        "steps": [{"color": base, "value": None}] + [{"value": value, "color": colour} for value, colour in above],
    }


def targets(panel, kind):
    asked_for = "table" if kind == "table" else "time_series"
    if "sql" in panel:
        target = {
            "refId": "A",
            "datasource": POSTGRES,
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": filled(panel["sql"]),
            "format": "time_series" if kind in ("timeseries", "bars", "timeline") else "table",
        }
        return [target]
    queries = panel["q"]
    if isinstance(queries, str):
        queries = {panel.get("legend", panel[kind]): queries}
    found = []
    for at, (legend, expression) in enumerate(queries.items()):
        of_now = kind in OF_NOW
        target = {
            "refId": chr(ord("A") + at),
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": filled(expression),
            "legendFormat": legend,
            "format": asked_for,
            "instant": of_now,
            "range": not of_now,
        }
        if "step" in panel:
            target["interval"] = panel["step"]
        found.append(target)
    return found


def transformations(panel, kind, asked):
    """One row per label set; columns are called as the queries are."""
    if kind != "table" or "sql" in panel:
        return []
    if len(asked) == 1:
        named = {"Value": asked[0]["legendFormat"]}
    else:
        named = {f"Value #{target['refId']}": target["legendFormat"] for target in asked}
    hidden = {name: True for name in ["Time", "__name__", *panel.get("hide", [])]}
    organize = {"id": "organize", "options": {"excludeByName": hidden, "renameByName": named, "indexByName": {}}}
    return ([{"id": "merge", "options": {}}] if len(asked) > 1 else []) + [organize]


def overrides(panel):
    def by_name(name, properties):
        return {"matcher": {"id": "byName", "options": name}, "properties": properties}

    found = [by_name(name, [{"id": "unit", "value": unit}]) for name, unit in panel.get("units", {}).items()]
    found += [by_name(name, [{"id": "mappings", "value": mapping(of)}]) for name, of in panel.get("maps", {}).items()]
    return found


def field_config(panel, kind):
    defaults = {"unit": panel.get("unit", "short"), "thresholds": thresholds(panel.get("thresholds", [GREEN]))}
    defaults["color"] = {"mode": "thresholds" if kind in OF_NOW | {"timeline"} else "palette-classic"}
    if kind == "pie":
        defaults["color"] = {"mode": "palette-classic"}
    if "map" in panel:
        defaults["mappings"] = mapping(panel["map"])
    for key in ("min", "max", "decimals", "noValue"):
        if key in panel:
            defaults[key] = panel[key]
    if "to" in panel:
        defaults["links"] = [link_to(panel["to"], panel.get("to_title", "More"))]
    custom = {}
    if kind in ("timeseries", "bars"):
        bars = kind == "bars"
        custom = {
            "drawStyle": "bars" if bars else "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 70 if bars else 10,
            "showPoints": "never" if bars else "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if bars or panel.get("stack") else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if "thresholds" in panel else "off"},
            "axisSoftMin": 0,
        }
    elif kind == "table":
        custom = {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}, "inspect": False}
    elif kind == "timeline":
        custom = {"lineWidth": 0, "fillOpacity": 80}
    if custom:
        defaults["custom"] = custom
    return {"defaults": defaults, "overrides": overrides(panel)}


def options(panel, kind):
    values = kind == "pie" and "sql" in panel or kind == "bargauge" and "sql" in panel
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": bool(values)}
    many = not isinstance(panel.get("q", ""), str) or "legend" in panel
    if kind == "stat":
        return {
            "reduceOptions": reduced,
            "orientation": "auto",
            "colorMode": "background" if "map" in panel else "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "textMode": "value_and_name" if many else "value",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        }
    if kind == "gauge":
        return {
            "reduceOptions": reduced, "orientation": "auto", "showThresholdLabels": False, "showThresholdMarkers": True,
            "sizing": "auto", "minVizWidth": 75, "minVizHeight": 75,
        }  # fmt: skip
    if kind == "bargauge":
        return {
            "reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic", "valueMode": "color",
            "namePlacement": "auto", "showUnfilled": True, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16,
            "maxVizHeight": 300, "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        }  # fmt: skip
    if kind == "pie":
        return {
            "reduceOptions": reduced, "pieType": "donut", "displayLabels": ["percent"], "sort": "desc",
            "tooltip": {"mode": "single", "sort": "none"},
            "legend": {"showLegend": True, "displayMode": "table", "placement": "right", "values": ["value"], "calcs": []},
        }  # fmt: skip
    if kind == "table":
        sort = [{"displayName": panel["sort"].lstrip("-"), "desc": panel["sort"].startswith("-")}] if "sort" in panel else []
        return {"showHeader": True, "cellHeight": "sm", "sortBy": sort}
    if kind == "timeline":
        return {
            "mergeValues": True, "showValue": "never", "alignValue": "left", "rowHeight": 0.9,
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        }  # fmt: skip
    shown = {"showLegend": many or "sql" in panel, "displayMode": "list", "placement": "bottom", "calcs": []}
    return {"legend": shown, "tooltip": {"mode": "multi", "sort": "desc"}}


def kind_of(panel):
    kinds = [kind for kind in KINDS if kind in panel]
    if len(kinds) != 1:
        raise Mistake(f"a panel has one of {', '.join(KINDS)}: {panel}")
    return kinds[0]


def panel_of(panel, number, place):
    kind = kind_of(panel)
    for needed in ("about",):
        if not panel.get(needed):
            raise Mistake(f"panel {panel[kind]}: expected `{needed}`")
    if ("q" in panel) == ("sql" in panel):
        raise Mistake(f"panel {panel[kind]}: expected either q or sql")
    asked = targets(panel, kind)
    made = {
        "id": number,
        "type": KINDS[kind][0],
        "title": panel[kind],
        "description": " ".join(panel["about"].split()),
        "datasource": asked[0]["datasource"],
        "gridPos": place,
        "targets": asked,
        "fieldConfig": field_config(panel, kind),
        "options": options(panel, kind),
    }
    changed = transformations(panel, kind, asked)
    if changed:
        made["transformations"] = changed
    if "step" in panel:
        made["interval"] = panel["step"]
    if "to" in panel:
        made["links"] = [{
            "type": "link", "title": panel.get("to_title", "More"), "url": link_to(panel["to"], "")["url"],
            "asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": False, "tags": [],
            "targetBlank": False, "tooltip": "",
        }]  # fmt: skip
    return made


def placed(panels, top, number):
    """Panels in lines of 24 columns; all of a line are as high as its highest."""
    made, line, used = [], [], 0

    def flush():
        nonlocal top, line, used
        height = max((h for _, _, h in line), default=0)
        left = 0
        for panel, width, _ in line:
            made.append(panel_of(panel, number + len(made), {"x": left, "y": top, "w": width, "h": height}))
            left += width
        if line and left != COLUMNS:
            titles = ", ".join(panel[kind_of(panel)] for panel, _, _ in line)
            raise Mistake(f"a line has {left} of {COLUMNS} columns: {titles}")
        top, line, used = top + height, [], 0

    for panel in panels:
        _, width, height = KINDS[kind_of(panel)]
        width, height = panel.get("w", width), panel.get("h", height)
        if used + width > COLUMNS:
            flush()
        line.append((panel, width, height))
        used += width
    flush()
    return made, top


def row_of(title, number, top, inner):
    return {
        "id": number, "type": "row", "title": title, "collapsed": True, "panels": inner,
        "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
    }  # fmt: skip


def variable_of_label(name, label, query, default=".*"):
    return {
        "type": "query", "name": name, "label": label, "datasource": PROMETHEUS, "hide": 0, "skipUrlSync": False,
        "query": {"query": query, "refId": "variable", "qryType": 1},
        # Values are read again with the time range: tenants come and go.
        "refresh": 2, "sort": 1, "regex": "", "multi": True, "includeAll": True, "allValue": default,
        "current": {"text": ["All"], "value": ["$__all"]}, "options": [],
    }  # fmt: skip


def variable_of_source(name, label, plugin, uid, title):
    return {
        "type": "datasource", "name": name, "label": label, "query": plugin, "hide": 0, "skipUrlSync": False,
        "current": {"text": title, "value": uid}, "regex": "", "multi": False, "includeAll": False, "refresh": 1,
        "options": [],
    }  # fmt: skip


def variables(source):
    metrics = source.get("metrics", "tidewatch")
    titles = {"tidewatch": "Tidewatch", "prometheus": "Prometheus"}
    found = [
        variable_of_source("prometheus_datasource", "Prometheus data source", "prometheus", metrics, titles[metrics]),
        variable_of_source(
            "postgres_datasource", "Postgres data source", POSTGRES["type"], "tidewatch-sql", "Tidewatch SQL"
        ),
    ]
    known = {
        "tenant": ("Tenant", "label_values(orders_received_orders_total, tenant)"),
        "shop": ("Shop", 'label_values(orders_received_orders_total{tenant=~"$tenant"}, shop_id)'),
        "job": ("Job", "label_values(tidewatch_ingest_partitions, job)"),
        "instance": ("Instance", 'label_values(tidewatch_ingest_partitions{job=~"$job"}, instance)'),
        "tenant_of_alerts": ("Tenant", "label_values(ALERTS, tenant)"),
    }
    for name in source.get("variables", ["tenant", "shop"]):
        label, query = known[name]
        # Linters and readers of `job` and `instance` expect a pattern that wants a value.
        default = ".+" if name in ("job", "instance") else ".*"
        found.append(variable_of_label(name.removesuffix("_of_alerts"), label, query, default))
    return found


def annotation(name, colour, expression, title, tags, text, step):
    return {
        "name": name, "datasource": PROMETHEUS, "enable": True, "hide": False, "iconColor": colour,
        "target": {"refId": "Anno", "expr": filled(expression), "interval": step},
        "titleFormat": title, "tagKeys": tags, "textFormat": text, "useValueForTime": False,
    }  # fmt: skip


ALERTS = annotation(
    "Firing alerts", RED, 'ALERTS{alertstate="firing", %T}', "{{alertname}}", "severity,class,tenant", "{{tenant}}", "1m"
)
# Five times the mean of the day before, and not by chance: fewer than 20 orders in 5 minutes are no spike.
SPIKES = annotation(
    "Order spikes",
    "purple",
    """sum by (tenant) (increase(orders_received_orders_total{%T}[5m])) >= 20
       and sum by (tenant) (increase(orders_received_orders_total{%T}[5m]))
         > 5 * sum by (tenant) (increase(orders_received_orders_total{%T}[1d])) / 288""",
    "Spike of orders",
    "tenant",
    "{{tenant}}",
    "1m",
)
FAILOVERS = annotation(
    "Failovers", "orange", "sum by (tenant, provider) (increase(api_failovers_total{%T}[1h])) > 0", "Failover",
    "provider", "{{provider}} of {{tenant}}", "1h",
)  # fmt: skip


def annotations(source):
    own = {"type": "dashboard", "name": "Annotations & Alerts", "builtIn": 1, "datasource": GRAFANA, "enable": True,
           "hide": True, "iconColor": "rgba(0, 211, 255, 1)"}  # fmt: skip
    known = {"alerts": ALERTS, "spikes": SPIKES, "failovers": FAILOVERS}
    return {"list": [own] + [known[name] for name in source.get("annotations", ["alerts", "spikes", "failovers"])]}


# At the right of the first line of every dashboard of a pack.
HEADLINE = [
    {
        "stat": "Firing alerts",
        "about": "Alerts that fire now for the chosen tenants, those of no tenant among them when all are chosen.",
        "q": 'count(ALERTS{alertstate="firing", %T}) or vector(0)',
        "thresholds": [GREEN, [1, RED]],
        "to": "tidewatch/alerting",
        "to_title": "Alerts",
        "w": 3,
    },
    {
        "stat": "Data age",
        "about": "How long ago something was counted last, an order or a call; at most an hour is looked at. Minutes mean "
        "that nothing happens, that events are late, or that counting is: the pipeline tells which.",
        # system.lag would be exact, and reads the offsets of every table for it: too much for each page.
        "sql": "SELECT coalesce(greatest(0, extract(epoch FROM now()) - extract(epoch FROM max(window_end))), 3600) AS seconds "
        "FROM (SELECT window_end FROM orders_received WHERE window_start > now() - INTERVAL '1 hour' "
        "UNION ALL SELECT window_end FROM api_calls WHERE window_start > now() - INTERVAL '1 hour') AS recent",
        "unit": "s",
        "thresholds": [GREEN, [60, YELLOW], [300, RED]],
        "to": "tidewatch/pipeline",
        "to_title": "Pipeline",
        "w": 3,
    },
]


def with_headline(panels):
    """The first panels that fill a line with the headline stay before it."""
    free = COLUMNS - sum(panel["w"] for panel in HEADLINE)
    used = 0
    for at, panel in enumerate(panels):
        used += panel.get("w", KINDS[kind_of(panel)][1])
        if used == free:
            return panels[: at + 1] + HEADLINE + panels[at + 1 :]
    raise Mistake(f"the first panels fill no {free} columns, which the headline needs beside it")


def dashboard(name, source):
    folder = name.split("/")[0]
    first = source["panels"]
    if source.get("headline", True):
        first = with_headline(first)
    made, top = placed(first, 0, 1)
    number = len(made) + 1
    for title, panels in source.get("rows", {}).items():
        inner, below = placed(panels, top + 1, number + 1)
        made.append(row_of(title, number, top, inner))
        # A collapsed row takes one line.
        number, top = number + 1 + len(inner), top + 1
    others = {
        "type": "dashboards", "title": "Others", "tags": [folder], "asDropdown": True, "includeVars": folder != "tidewatch",
        "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": "",
    }  # fmt: skip
    if "tenant" not in source.get("variables", ["tenant"]):
        # Nothing was chosen that a link could keep.
        made = json.loads(json.dumps(made).replace("&${tenant:queryparam}", ""))
    return {
        "uid": uid_of(name),
        "title": source["title"],
        "description": " ".join(source["description"].split()),
        "tags": [folder, *source.get("tags", [])],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        # Changes belong into the sources: what is changed in Grafana is lost with the next start.
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": source.get("from", "now-6h"), "to": "now"},
        "timepicker": {"refresh_intervals": ["10s", "30s", "1m", "5m", "15m"]},
        "refresh": source.get("refresh", "30s"),
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "preload": False,
        "links": [others],
        "annotations": annotations(source),
        "templating": {"list": variables(source)},
        "panels": made,
    }


def main():
    check = sys.argv[1:] == ["--check"]
    wanted = {}
    for path in sorted(HERE.glob("dashboards/*/*.yaml")):
        name = path.relative_to(HERE / "dashboards").with_suffix("").as_posix()
        try:
            made = dashboard(name, yaml.safe_load(path.read_text()))
        except (Mistake, KeyError) as mistake:
            sys.exit(f"{path.relative_to(HERE)}: {mistake!r}")
        wanted[HERE / "json" / f"{name}.json"] = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    there = set(HERE.glob("json/*/*.json"))
    if check:
        wrong = [p for p, text in wanted.items() if p not in there or p.read_text() != text]
        wrong += sorted(there - wanted.keys())
        if wrong:
            names = ", ".join(p.relative_to(HERE).as_posix() for p in wrong)
            sys.exit(f"not what the sources give: {names}; run deploy/grafana/generate.py")
        return
    for path in there - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
