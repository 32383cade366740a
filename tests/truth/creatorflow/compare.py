"""Two results beside each other: every row of the truth is there, none besides, and every value is near enough."""

from dataclasses import dataclass

# How a column is compared.
EXACT = "exact"  # the same value
FLOAT = "float"  # the same but for the rounding of doubles
AGE = "age"  # seconds between two times, each rounded as a double of seconds since 1970
QUANTILE = "quantile"  # 0 to 1 % above the exact order statistic: a histogram of two digits
FINE_QUANTILE = "fine quantile"  # 0 to 0.1 % above: three digits
PER_QUANTILE = "per quantile"  # something divided by such a quantile of two digits: 0 to 1 % below
OF_QUANTILES = "of quantiles"  # one such quantile divided by another: 1 % to either side
OF_DISTINCT = "of distinct"  # something made of a distinct count that the truth has as `distinct_orders`
ROUNDED = "rounded"  # a whole number beside what it was rounded from
DISTINCT = "distinct"  # exact up to 1,000, then within DISTINCT_ERROR

# The estimate has a standard error of 0.81 % at most, and less for few thousands: three of them.
DISTINCT_EXACT_MAX = 1000
DISTINCT_ERROR = 0.025
ROUNDING = 1e-9

SHOWN_MAX = 8


@dataclass
class Outcome:
    rows: int
    differences: list
    blank: list  # columns of which the truth knows nothing in any row


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def differs(kind, column):
    """SQL that is true where our value `o` is not near enough to the truth `t`."""
    t, o = f"t.{column}", f"o.{column}"
    both = f"{t} IS NOT NULL AND {o} IS NOT NULL"
    near = f"abs({o}::DOUBLE - {t}::DOUBLE) <= {ROUNDING} * greatest(1, abs({t}::DOUBLE))"
    bound = {QUANTILE: 0.01, FINE_QUANTILE: 0.001}.get(kind)
    match kind:
        case "exact":
            return f"{t} IS DISTINCT FROM {o}"
        case "float":
            wrong = f"NOT ({near})"
        case "age":
            wrong = f"abs({o}::DOUBLE - {t}::DOUBLE) > 1e-6"
        case "distinct":
            wrong = (
                f"CASE WHEN {t} <= {DISTINCT_EXACT_MAX} THEN {t} <> {o} "
                f"ELSE abs({o}::DOUBLE - {t}) > {DISTINCT_ERROR} * {t} END"
            )
        case "of distinct":
            wrong = (
                f"CASE WHEN t.distinct_orders <= {DISTINCT_EXACT_MAX} THEN NOT ({near}) "
                f"ELSE abs({o}::DOUBLE - {t}) > {DISTINCT_ERROR} * (1 + abs({t})) END"
            )
        case "per quantile":
            wrong = f"NOT ({o}::DOUBLE BETWEEN {t}::DOUBLE / 1.01 AND {t}::DOUBLE OR {near})"
        case "of quantiles":
            wrong = f"NOT ({o}::DOUBLE BETWEEN {t}::DOUBLE / 1.01 AND {t}::DOUBLE * 1.01 OR {near})"
        case "rounded":
            wrong = f"abs({o}::DOUBLE - {t}::DOUBLE) > 0.5 + {ROUNDING}"
        case _:
            within = f"{o}::DOUBLE BETWEEN {t}::DOUBLE AND {t}::DOUBLE * (1 + {bound})"
            wrong = f"NOT ({within} OR {near})"
    return f"({t} IS NULL) <> ({o} IS NULL) OR ({both} AND {wrong})"


def plain(connection, relation):
    """Select list that brings both sides to one type: times without a zone, whole and exact numbers as decimals."""
    items = []
    for name, kind, *_ in connection.execute(f"DESCRIBE {relation}").fetchall():
        column = quoted(name)
        if kind.startswith("TIMESTAMP"):
            items.append(f"{column}::TIMESTAMP AS {column}")
        elif kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UBIGINT", "HUGEINT") or kind.startswith("DECIMAL"):
            items.append(f"{column}::DECIMAL(38, 9) AS {column}")
        else:
            items.append(column)
    return ", ".join(items)


def compare(connection, truth_sql, ours, keys, columns):
    """`ours` is an Arrow table, whose rows are those with `here`; `columns` maps a column to how it is compared."""
    connection.register("answered", ours)
    connection.execute("CREATE OR REPLACE TEMP VIEW answer AS SELECT * EXCLUDE (here) FROM answered WHERE here")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE truth_raw AS {truth_sql}")
    for table, relation in (("truth", "truth_raw"), ("ours", "answer")):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {plain(connection, relation)}, true AS here FROM {relation}"
        )
    connection.execute("DROP VIEW answer")
    connection.unregister("answered")
    same_key = " AND ".join(f"t.{quoted(key)} IS NOT DISTINCT FROM o.{quoted(key)}" for key in keys)
    names = ", ".join(quoted(key) for key in keys)
    differences = []
    for table in ("truth", "ours"):
        twice = connection.execute(
            f"SELECT {names}, count(*) FROM {table} GROUP BY {names} HAVING count(*) > 1 LIMIT {SHOWN_MAX}"
        ).fetchall()
        differences += [f"{table}: key {row[:-1]} stands in {row[-1]} rows" for row in twice]
    tests = {column: differs(kind, quoted(column)) for column, kind in columns.items()}
    any_differs = " OR ".join(f"({test})" for test in tests.values()) or "false"
    flags = "".join(f", ({test}) AS {quoted('differs ' + column)}" for column, test in tests.items())
    values = "".join(f", t.{quoted(c)} AS {quoted('t ' + c)}, o.{quoted(c)} AS {quoted('o ' + c)}" for c in columns)
    selected = ", ".join(f"coalesce(t.{quoted(key)}, o.{quoted(key)})::VARCHAR" for key in keys)
    joined = f"FROM truth t FULL JOIN ours o ON {same_key} WHERE t.here IS NULL OR o.here IS NULL OR {any_differs}"
    wrong = connection.execute(f"SELECT count(*) {joined}").fetchone()[0]
    found = connection.execute(f"SELECT t.here, o.here, [{selected}]{values}{flags} {joined} LIMIT {SHOWN_MAX}")
    for row in found.fetchall():
        differences.append(describe(row, list(columns)))
    if wrong > SHOWN_MAX:
        differences.append(f"… {wrong} rows differ in all")
    counts = ", ".join(["count(*)", *(f"count({quoted(column)})" for column in columns)])
    rows, *known = connection.execute(f"SELECT {counts} FROM truth").fetchone()
    return Outcome(rows, differences, [column for column, count in zip(columns, known) if rows and not count])


def describe(row, columns):
    in_truth, in_ours, key, *rest = row
    shown = ", ".join("NULL" if part is None else str(part) for part in key)
    values = {column: (rest[2 * i], rest[2 * i + 1]) for i, column in enumerate(columns)}
    if in_ours is None:
        return f"({shown}) is missing; truth has " + ", ".join(f"{c} = {t}" for c, (t, _) in values.items())
    if in_truth is None:
        return f"({shown}) is surplus; ours has " + ", ".join(f"{c} = {o}" for c, (_, o) in values.items())
    flags = rest[2 * len(columns) :]
    wrong = [column for column, flag in zip(columns, flags) if flag]
    return f"({shown}) " + ", ".join(f"{c}: truth {values[c][0]}, ours {values[c][1]}" for c in wrong)
