"""What a rollup is, and the two queries it gives: over raw events, and over our tables.

Every rollup is compared at its own windows (or keys), and those with windows also merged: per hour and tenant, and all
into one row.
"""

from dataclasses import dataclass, field

from compare import DISTINCT, EXACT, FLOAT, QUANTILE

PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True)
class Measure:
    kind: str  # count, sum, avg, min, max, last, hdr, distinct
    value: str = "1"
    where: str = "true"


def count(where="true"):
    return Measure("count", "1", where)


def total(value, where="true"):
    return Measure("sum", value, where)


def mean(value, where="true"):
    return Measure("avg", value, where)


def least(value, where="true"):
    return Measure("min", value, where)


def most(value, where="true"):
    return Measure("max", value, where)


def last(value, where="true"):
    return Measure("last", value, where)


def hdr(value, where="true"):
    return Measure("hdr", value, where)


def distinct(value, where="true"):
    return Measure("distinct", value, where)


@dataclass(frozen=True)
class Branch:
    """Rows of one source. Dimensions have the name of a column, or an expression here."""

    source: str
    measures: dict
    dimensions: dict = field(default_factory=dict)
    where: str = "true"


def rows(source, where="true", at=None, **measures):
    return Branch(source, measures, at or {}, where)


@dataclass(frozen=True)
class Rollup:
    name: str
    seconds: int | None  # width of a window; None for a table of keys
    dimensions: list
    branches: list

    def measures(self):
        """Name → kind; a name is of one kind in all branches."""
        return {name: measure.kind for branch in self.branches for name, measure in branch.measures.items()}

    def keys(self):
        return (["window_start"] if self.seconds else []) + ["tenant", *self.dimensions]


def windowed(name, seconds, dimensions, *branches):
    return Rollup(name, seconds, dimensions.split(), list(branches))


def keyed(name, dimensions, *branches):
    return Rollup(name, None, dimensions.split(), list(branches))


def start_of(seconds, time="time"):
    return f"make_timestamp((epoch_us({time}) // {seconds * 1_000_000}) * {seconds * 1_000_000})"


def order_statistic(percent):
    """The value of rank ceil(q * n), counted from 1, in whole numbers."""
    return lambda column: f"list_sort(list({column}) FILTER (WHERE {column} IS NOT NULL))[(count({column}) * {percent} + 99) // 100]"


def value_rows(rollup):
    """One row per event and branch: window, dimensions, and a value per measure, or null where it is not counted."""
    parts = []
    for branch in rollup.branches:
        window = [f"{start_of(rollup.seconds)} AS window_start"] if rollup.seconds else []
        dimensions = [f'({branch.dimensions.get(d, chr(34) + d + chr(34))}) AS "{d}"' for d in rollup.dimensions]
        values = [f'CASE WHEN {m.where} THEN {m.value} END AS "{n}"' for n, m in branch.measures.items()]
        select = ", ".join(window + ["tenant"] + dimensions + values + ["time AS at_time", "sequence AS at_sequence"])
        parts.append(f"SELECT {select} FROM {branch.source} WHERE {branch.where}")
    return " UNION ALL BY NAME ".join(parts)


def truth_of(rollup, keys, with_last=True):
    """Select list per key: column → SQL over value rows."""
    columns = {}
    for name, kind in rollup.measures().items():
        column = f'"{name}"'
        match kind:
            case "count":
                columns[name] = f"count({column})"
            case "sum":
                columns[name] = f"sum({column})"
            case "min" | "max":
                columns[name] = f"{kind}({column})"
            case "avg":
                columns[f"{name}_sum"] = f"sum({column})"
                columns[f"{name}_count"] = f"count({column})"
            case "distinct":
                columns[name] = f"count(DISTINCT {column})"
            case "hdr":
                columns[f"{name}_count"] = f"count({column})"
                for percent in PERCENTS:
                    columns[f"{name}_p{percent}"] = order_statistic(percent)(column)
            case "last" if with_last:
                # The greatest sequence wins, then the later time, then the greater value; no sequence is the least.
                newest = f"row(coalesce(at_sequence, -1), at_time, {column})"
                columns[name] = f"arg_max({column}, {newest}) FILTER (WHERE {column} IS NOT NULL)"
                columns[f"{name}_at"] = f"arg_max(at_time, {newest}) FILTER (WHERE {column} IS NOT NULL)"
    if not rollup.seconds:
        columns["updated_at"] = "max(at_time)"
    return columns


def kinds_of(rollup, with_last=True):
    kinds = {}
    for name, kind in rollup.measures().items():
        match kind:
            case "distinct":
                kinds[name] = DISTINCT
            case "avg":
                kinds[f"{name}_sum"] = kinds[f"{name}_count"] = EXACT
            case "hdr":
                kinds[f"{name}_count"] = EXACT
                kinds |= {f"{name}_p{percent}": QUANTILE for percent in PERCENTS}
            case "last":
                if with_last:
                    kinds[name] = kinds[f"{name}_at"] = EXACT
            case _:
                kinds[name] = EXACT
    if not rollup.seconds:
        kinds["updated_at"] = EXACT
    return kinds


@dataclass(frozen=True)
class Comparison:
    name: str
    truth: str
    ours: str
    keys: list
    columns: dict
    # The column that holds the minute of each row: minutes become hours when they are a month old.
    minute: str = ""


def by_window(rollup):
    """Rows as they stand: our side merges nothing but the partials of one key."""
    keys = rollup.keys()
    names = ", ".join(f'"{key}"' for key in keys)
    ours = []
    for name, kind in rollup.measures().items():
        match kind:
            case "avg":
                ours += [f'"{name}_sum"', f'"{name}_count"']
            case "hdr":
                # No value seen is no sketch, and no value is what a count of it is.
                ours.append(f'coalesce(hdr_count("{name}"), 0) AS "{name}_count"')
                ours += [f'hdr_quantile("{name}", {percent / 100}) AS "{name}_p{percent}"' for percent in PERCENTS]
            case "distinct":
                ours.append(f'coalesce(distinct_count("{name}"), 0) AS "{name}"')
            case "last":
                ours += [f'"{name}"', f'"{name}_at"']
            case _:
                ours.append(f'"{name}"')
    if not rollup.seconds:
        ours.append("updated_at")
    columns = ", ".join(f'{sql} AS "{name}"' for name, sql in truth_of(rollup, keys).items())
    truth = f"SELECT {names}, {columns} FROM ({value_rows(rollup)}) GROUP BY {names}"
    return Comparison(rollup.name, truth, f"SELECT {names}, {', '.join(ours)} FROM {rollup.name}", keys, kinds_of(rollup))


def merged(rollup, level):
    """Sketches, sums and extremes over many windows and series at once."""
    ours = []
    for name, kind in rollup.measures().items():
        column = f'"{name}"'
        match kind:
            case "count" | "sum":
                ours.append(f"sum({column}) AS {column}")
            case "min" | "max":
                ours.append(f"{kind}({column}) AS {column}")
            case "avg":
                ours += [f'sum("{name}_sum") AS "{name}_sum"', f'sum("{name}_count") AS "{name}_count"']
            case "hdr":
                ours.append(f'coalesce(hdr_count(hdr_merge({column})), 0) AS "{name}_count"')
                ours += [f'quantile({column}, {percent / 100}) AS "{name}_p{percent}"' for percent in PERCENTS]
            case "distinct":
                ours.append(f"coalesce(approx_distinct({column}), 0) AS {column}")
    keys, truth_keys, our_keys = {
        "hour": (["window_start", "tenant"], start_of(3600, "window_start"), "date_trunc('hour', window_start)"),
        "all": (["everything"], "'all'", "'all'"),
    }[level]
    truth_list = f"{truth_keys} AS {keys[0]}" + (", tenant" if level == "hour" else "")
    our_list = f"{our_keys} AS {keys[0]}" + (", tenant" if level == "hour" else "")
    group = "GROUP BY 1, 2" if level == "hour" else "GROUP BY 1"
    columns = truth_of(rollup, keys, with_last=False)
    if not columns:
        return None
    truth_columns = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    truth = f"SELECT {truth_list}, {truth_columns} FROM ({value_rows(rollup)}) GROUP BY ALL"
    # Grouping by a name that is also a column would mean the column.
    truth = truth.replace("GROUP BY ALL", group)
    asked = f"SELECT {our_list}, {', '.join(ours)} FROM {rollup.name} {group}"
    return Comparison(f"{rollup.name} by {level}", truth, asked, keys, kinds_of(rollup, with_last=False))


def comparisons(rollup, only_merged=False):
    found = [] if rollup.seconds and only_merged else [by_window(rollup)]
    if rollup.seconds:
        found += [merged(rollup, "hour"), merged(rollup, "all")]
    return [comparison for comparison in found if comparison]
