"""What Grafana does with a query before a data source sees it: variables, intervals, macros.

After Grafana's templateSrv, its Prometheus data source (pkg/promlib/models/query.go) and its macros for Postgres
(pkg/tsdb/grafana-postgresql-datasource/macros.go).
"""

import math
import re
from datetime import datetime, timezone

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# `timeInterval` of the provisioned data source.
SCRAPE_INTERVAL_S = 10
# Columns of a dashboard on a wide screen, in pixels.
WIDTH_PX = 1900
# Answers of Prometheus have at most so many steps.
STEPS_MAX = 11_000
# Bounds in seconds, from which an interval is rounded to the second number (Grafana's roundInterval).
ROUND = [
    (0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5),
    (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900), (1500, 1200),
    (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600), (86400, 43200), (604800, 86400),
    (1814400, 604800),
]  # fmt: skip


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d|w)", text).groups()
    return int(number) * UNITS[unit]


def shown(interval_s):
    for unit in ("d", "h", "m", "s"):
        if interval_s >= UNITS[unit] and interval_s % UNITS[unit] == 0:
            return f"{int(interval_s // UNITS[unit])}{unit}"
    return f"{int(interval_s * 1000)}ms"


def moment(text, now_s):
    """now, now-6h."""
    return now_s if text == "now" else now_s - seconds(text.removeprefix("now-"))


def rounded(interval_s):
    return next((to for bound, to in ROUND if interval_s < bound), 2592000)


class Range:
    """Time and step of one query."""

    def __init__(self, dashboard, panel, target, now_s, scrape_interval_s=SCRAPE_INTERVAL_S):
        self.from_s = moment(dashboard["time"]["from"], now_s)
        self.to_s = moment(dashboard["time"]["to"], now_s)
        points = max(1, panel["gridPos"]["w"] * WIDTH_PX // 24)
        least = seconds(target.get("interval") or panel.get("interval") or f"{scrape_interval_s}s")
        length = self.to_s - self.from_s
        self.interval_s = max(least, rounded(length / points), math.ceil(length / STEPS_MAX))
        self.rate_interval_s = max(self.interval_s + least, 4 * least)

    def built_in(self):
        length = round(self.to_s - self.from_s)
        return {
            "__interval": shown(self.interval_s),
            "__interval_ms": str(int(self.interval_s * 1000)),
            "__rate_interval": shown(self.rate_interval_s),
            "__range": f"{length}s",
            "__range_s": str(length),
            "__range_ms": str(length * 1000),
        }

    def aligned(self):
        """Start and end are multiples of the step."""
        step = self.interval_s
        return math.floor(self.from_s / step) * step, math.floor(self.to_s / step) * step


def escaped(text):
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", lambda m: "\\" + m.group(), text)


def of_prometheus(values):
    """A backslash of a regular expression is doubled in a string of PromQL."""
    each = [
        re.sub(r"[$^*{}\[\]'+?.()|]", lambda m: "\\\\" + m.group(), value.replace("\\", "\\\\\\\\")) for value in values
    ]
    return each[0] if len(each) == 1 else f"({'|'.join(each)})"


def of_sql(values):
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def formatted(values, form, default):
    match form:
        case None:
            return default(values)
        case "regex":
            each = [escaped(value) for value in values]
            return each[0] if len(each) == 1 else f"({'|'.join(each)})"
        case "csv":
            return ",".join(values)
        case "pipe":
            return "|".join(values)
        case "raw":
            return ",".join(values)
        case "sqlstring":
            return of_sql(values)
        case "singlequote":
            return ",".join(f"'{value}'" for value in values)
        case _:
            raise ValueError(f"format {form} is not known here")


def with_variables(query, dashboard, chosen, built_in, default):
    """`chosen` are values by variable; without them a variable is All, which its own pattern replaces as it stands."""
    known = {v["name"]: v for v in dashboard["templating"]["list"] if v["type"] != "datasource"}

    def value(match):
        name, form = match.group(1) or match.group(2), match.group(3)
        if name in built_in:
            return built_in[name]
        if name not in known:
            return match.group()
        if name not in chosen:
            return known[name]["allValue"]
        return formatted(chosen[name], form, default)

    return re.sub(r"\$(\w+)|\$\{(\w+)(?::(\w+))?\}", value, query)


def promql(query, dashboard, chosen, times):
    filled = with_variables(query, dashboard, chosen, times.built_in(), of_prometheus)
    left = re.search(r"\$\{?\w+", filled)
    if left:
        raise ValueError(f"{left.group()} is no variable: {query}")
    return filled


def sql(query, dashboard, chosen, times):
    """Variables first, as in the browser; then macros, as in the data source."""

    def instant(at_s):
        return datetime.fromtimestamp(at_s, timezone.utc).strftime("'%Y-%m-%dT%H:%M:%SZ'")

    def macro(match):
        name, inner = match.group(1), [part.strip() for part in match.group(2).split(",")]
        match name:
            case "timeFilter":
                return f"{inner[0]} BETWEEN {instant(times.from_s)} AND {instant(times.to_s)}"
            case "timeFrom":
                return instant(times.from_s)
            case "timeTo":
                return instant(times.to_s)
            case "timeGroup" | "timeGroupAlias":
                width = int(seconds(inner[1].strip("'")))
                group = f"floor(extract(epoch from {inner[0]})/{width})*{width}"
                return group + (' AS "time"' if name == "timeGroupAlias" else "")
            case "time":
                return f'{inner[0]} AS "time"'
            case _:
                raise ValueError(f"$__{name} is not known here")

    built_in = {k: v for k, v in times.built_in().items() if k.startswith("__interval")}
    filled = with_variables(query, dashboard, chosen, built_in, of_sql)
    filled = re.sub(r"\$__(\w+)\(([^()]*)\)", macro, filled)
    # The end of a pattern is a dollar sign, too.
    left = re.search(r"\$\{?\w+", filled)
    if left:
        raise ValueError(f"{left.group()} is no variable: {query}")
    return filled
