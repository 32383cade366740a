"""What the comparison of a view is, and the pieces that many of them share.

The truth of a view is its definition in the catalogue of metrics, over raw events; the SQL of the pack was not read for
it, apart from names of columns and the width of windows.
"""

from compare import EXACT, FINE_QUANTILE, FLOAT, QUANTILE
from rollup import Comparison, order_statistic, start_of

MINUTE, HOUR, DAY = 60, 3600, 86400

# In truths: the moment for which our side answered.
NOW = "getvariable('now')"

PROCESSING_MS = "coalesce((epoch_us(processed_at) - epoch_us(processing_started_at)) // 1000, processing_ms)"
SYNC_MS = "coalesce(sync_latency_ms, (epoch_us(synced_at) - epoch_us(source_changed_at)) // 1000)"


def view(name, keys, truth, kinds=None, value=EXACT, minute=""):
    """`kinds`: how other columns than `value` are compared."""
    columns = ({"value": value} if value else {}) | (kinds or {})
    keys = keys.split()
    names = ", ".join(f'"{column}"' for column in [*keys, *columns])
    return Comparison(f"view {name}", truth, f"SELECT {names} FROM {name}", keys, columns, minute)


def counted(name, source, seconds, keys, value="count(*)", where="true", at=None, kind=EXACT, having="true"):
    """One value per window, tenant and labels."""
    at = at or {}
    labels = keys.split()
    listed = "".join(f', ({at.get(label, label)}) AS "{label}"' for label in labels)
    truth = (
        f"SELECT {start_of(seconds)} AS window_start, tenant{listed}, {value} AS value FROM {source} WHERE {where} "
        f"GROUP BY ALL HAVING {having}"
    )
    return view(name, " ".join(["window_start", "tenant", *labels]), truth, value=kind, minute="window_start" if seconds == MINUTE else "")


def quantiles(name, source, seconds, keys, milliseconds, where="true", at=None, time="time", fine=False):
    """p50, p90, p95, p99, mean in seconds and count of a duration."""
    at = at or {}
    labels = keys.split()
    listed = "".join(f', ({at.get(label, label)}) AS "{label}"' for label in labels)
    kind = FINE_QUANTILE if fine else QUANTILE
    statistics = "".join(f", {order_statistic(p)('ms')}::DOUBLE / 1000 AS p{p}" for p in (50, 90, 95, 99))
    names = "".join(f', "{label}"' for label in labels)
    truth = (
        f"SELECT window_start, tenant{names}{statistics}, sum(ms)::DOUBLE / nullif(count(ms), 0) / 1000 AS mean, "
        f"count(ms) AS count FROM (SELECT {start_of(seconds, time)} AS window_start, tenant{listed}, {milliseconds} AS ms "
        f"FROM {source} WHERE {where}) GROUP BY ALL"
    )
    columns = {f"p{p}": kind for p in (50, 90, 95, 99)} | {"mean": FLOAT, "count": EXACT}
    minute = "window_start" if seconds == MINUTE else ""
    return view(name, " ".join(["window_start", "tenant", *labels]), truth, columns, value=None, minute=minute)


def pane(time="time"):
    """The window of 10 s that a moment lies in: what a metric of the last minutes is made of."""
    return start_of(10, time)


def wide_pane(time="time"):
    """The same for days ago, where windows have been rolled up into minutes once maintenance ran."""
    return f"make_timestamp(epoch_us({time}) // getvariable('wide_pane_us') * getvariable('wide_pane_us'))"


def far_pane(time="time"):
    """The same for more than 30 days ago, of minutes that become hours."""
    return f"make_timestamp(epoch_us({time}) // getvariable('far_pane_us') * getvariable('far_pane_us'))"


def recent(interval, moment):
    return f"({moment} > {NOW} - INTERVAL {interval} AND {moment} <= {NOW})"


def score(tenant, **parts):
    """A weighted mean of what is known, if that is at least half of the weight (2.21). Part: its SQL and its parameter."""
    weights = {part: f"param({tenant}, '{parameter}')" for part, (_, parameter) in parts.items()}
    total = " + ".join(f"coalesce({weights[part]} * ({sql}), 0)" for part, (sql, _) in parts.items())
    known = " + ".join(f"CASE WHEN ({sql}) IS NULL THEN 0 ELSE {weights[part]} END" for part, (sql, _) in parts.items())
    return f"CASE WHEN {known} >= 0.5 * ({' + '.join(weights.values())}) THEN ({total}) / ({known}) END"


def newest(value, where="true"):
    """The value that the latest-state table of the catalogue has: higher sequence wins, then later time."""
    return (
        f"arg_max({value}, row(coalesce(sequence, -1), time, {value})) FILTER (WHERE ({value}) IS NOT NULL AND ({where}))"
    )
