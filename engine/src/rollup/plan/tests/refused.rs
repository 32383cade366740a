//! Mistakes, as their author reads them: file, place, what is wrong, what to do.

use super::*;

/// The one mistake of a definition, which stands in the second line after `SELECT `.
fn mistake(definition: &str) -> String {
    let errors = parse(&format!("CREATE ROLLUP r AS\nSELECT {definition};")).expect_err(definition);
    assert_eq!(errors.len(), 1, "{definition}");
    errors[0].to_string().replace("\n  hint: ", " → ")
}

fn expect(cases: &[(&str, &str)]) {
    for (definition, expected) in cases {
        let got = mistake(&definition.replace("TEN", "tumble(INTERVAL '10 seconds')"));
        let expected = format!("rollups.sql:{expected}");
        // A text that ends with an ellipsis may go on.
        let matches = expected.strip_suffix('…').map_or(got == expected, |start| got.starts_with(start));
        assert!(matches, "{definition}\n     got {got}\nexpected {expected}");
    }
}

#[test]
fn aggregates_without_a_mergeable_state() {
    expect(&[
        (
            "count(DISTINCT api) AS x FROM call GROUP BY TEN",
            "2:14: rollup r: count(DISTINCT …) cannot be merged from parts → use approx_distinct(x): exact up to 1024 values per window, within about 1 % beyond",
        ),
        (
            "sum(DISTINCT duration_ms) AS x FROM call GROUP BY TEN",
            "2:12: rollup r: sum(DISTINCT …) cannot be merged from parts → …",
        ),
        (
            "median(duration_ms) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: median cannot be merged from parts: a percentile of percentiles is not a percentile → keep hdr(x) and ask for quantile(x, 0.5) when reading",
        ),
        (
            "approx_percentile_cont(duration_ms, 0.9) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: approx_percentile_cont cannot be merged from parts…",
        ),
        (
            "first_value(api) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: first_value depends on the order of events → last(x) keeps the value of the newest event, by sequence and event time",
        ),
        (
            "stddev(duration_ms) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: stddev is kept in floats whose sum depends on the order of events → …",
        ),
        ("bool_and(is_retry) AS x FROM call GROUP BY TEN", "2:8: rollup r: bool_and has no mergeable state here → …"),
        (
            "avg(ratio) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: avg of a float depends on the order of events, so replay would not give the same number → declare the field as int64 in the smallest unit (minor units, milliseconds) or as decimal(SCALE)",
        ),
        (
            "sum(duration_ms / 2.0) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: sum of a float depends on the order of events…",
        ),
        (
            "sum(duration_ms ORDER BY api) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: ORDER BY inside an aggregate depends on the order of events",
        ),
        (
            "min(is_retry) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: min of Boolean is not kept → numbers, timestamps and texts have a smallest and a largest value",
        ),
        (
            "count(api, provider) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: count of several columns is not kept → count one column, with FILTER (WHERE other IS NOT NULL) for the others",
        ),
        (
            "hdr(hdr(duration_ms)) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: hdr(Binary) is not possible → any DataFusion scalar function; aggregates: count, sum, min, max, avg, hdr, approx_distinct, last, samples",
        ),
        ("sum(count(*)) AS x FROM call GROUP BY TEN", "1:15: rollup r: Aggregate function calls cannot be nested…"),
        (
            "hdr(duration_ms, 4) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: 4 significant digits are not possible → 1, 2 (the default) or 3, as in hdr(duration_ms, 3)",
        ),
        (
            "hdr(duration_ms, status_code) AS x FROM call GROUP BY TEN",
            "2:8: rollup r: `call.status_code` is not a number of significant digits → …",
        ),
        ("hdr(ratio) AS x FROM call GROUP BY TEN", "2:8: rollup r: hdr(Float64) is not possible → …"),
        (
            "sum(duration_ms) / count(*) AS x FROM call GROUP BY TEN",
            "2:39: rollup r: `sum(call.duration_ms) / count(Int64(1)) AS count(*)` is computed from aggregates and cannot be merged from parts → keep the parts as measures of their own and put the expression into a view or a query",
        ),
    ]);
}

#[test]
fn shapes_other_than_one_source_grouped_by_a_window() {
    expect(&[
        (
            "count(*) AS n FROM call GROUP BY TEN HAVING count(*) > 5",
            "2:71: rollup r: HAVING is not possible in a rollup → a rollup is SELECT dimensions, aggregates FROM one source [WHERE …] GROUP BY [tumble(…),] dimensions [UNION ALL BY NAME SELECT …]; everything else belongs into a view or a query over it",
        ),
        (
            "count(*) AS n FROM call JOIN refund ON call.event_id = refund.event_id GROUP BY TEN",
            "2:32: rollup r: a join is not possible in a rollup → …",
        ),
        ("count(*) AS n FROM call, refund GROUP BY TEN", "1:15: rollup r: a join is not possible in a rollup → …"),
        ("count(*) AS n FROM call GROUP BY TEN ORDER BY n", "2:71: rollup r: ORDER BY is not possible in a rollup → …"),
        ("count(*) AS n FROM call GROUP BY TEN LIMIT 5", "2:71: rollup r: LIMIT is not possible in a rollup → …"),
        ("DISTINCT count(*) AS n FROM call GROUP BY TEN", "2:8: rollup r: DISTINCT is not possible in a rollup → …"),
        (
            "sum(count(*)) OVER () AS n FROM call GROUP BY TEN",
            "2:22: rollup r: a window function is not possible in a rollup → …",
        ),
        (
            "count(*) AS n FROM (SELECT * FROM call) AS c GROUP BY TEN",
            "2:22: rollup r: a subquery or an alias of the source is not possible in a rollup → …",
        ),
        (
            "count(*) AS n FROM call WHERE api IN (SELECT api FROM call) GROUP BY TEN",
            "2:32: rollup r: a subquery is not possible in a rollup → an event counts by its own columns alone; join or compare in a view or a query",
        ),
        (
            "count(*) FILTER (WHERE EXISTS (SELECT 1 FROM refund)) AS n FROM call GROUP BY TEN",
            "2:25: rollup r: a subquery is not possible in a rollup → …",
        ),
        (
            "count(*) AS n FROM call",
            "1:15: rollup r: neither a window nor a key in GROUP BY → add tumble(INTERVAL '10 seconds') for windows, or the columns that one row each is kept for",
        ),
        (
            "api FROM call",
            "2:1: rollup r: no GROUP BY → add GROUP BY tumble(INTERVAL '10 seconds') and the dimensions; without tumble(…) one row is kept per key",
        ),
        (
            "api FROM call GROUP BY TEN, api",
            "2:1: rollup r: no aggregate, so there is nothing to keep → add count(*) AS events",
        ),
        (
            "api, count(*) AS n FROM call GROUP BY TEN, ROLLUP(api, provider)",
            "2:37: rollup r: ROLLUP, CUBE and GROUPING SETS are not possible in a rollup → group by all dimensions; coarser groups are merges of these, made by the query",
        ),
        (
            "api, count(*) AS n FROM call GROUP BY CUBE(TEN, api)",
            "2:37: rollup r: ROLLUP, CUBE and GROUPING SETS are not possible…",
        ),
        (
            "count(*) AS n FROM call WHERE random() < 0.5 GROUP BY TEN",
            "2:38: rollup r: `random` gives another answer each time, so replay would not give the same number → use the columns of the event, such as event_time",
        ),
        (
            "count(*) FILTER (WHERE event_time < now()) AS n FROM call GROUP BY TEN",
            "2:44: rollup r: `now` gives another answer each time…",
        ),
        (
            "count(*) AS n FROM call WHERE api = $1 GROUP BY TEN",
            "2:1: rollup r: the placeholder `$1` has no value → write the value itself",
        ),
    ]);
}

#[test]
fn windows_that_do_not_tile_the_hour() {
    expect(&[
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '7 seconds')",
            "2:41: rollup r: a window of 7 s is not possible → between 1 second and 15 minutes, in whole parts of an hour; wider windows are merges of these, made by the query",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '500 milliseconds')",
            "2:41: rollup r: a window of 0.5 s is not possible → …",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '20 minutes')",
            "2:41: rollup r: a window of 1200 s is not possible → …",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '-10 seconds')",
            "2:41: rollup r: a window of -10 s is not possible → …",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 day')",
            "2:41: rollup r: a window of 86400 s is not possible → …",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 month')",
            "2:41: rollup r: the window must be a literal interval of days or less → as in tumble(INTERVAL '10 seconds')",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '10 seconds 1 nanosecond')",
            "2:41: rollup r: the window must be a literal interval…",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble(INTERVAL '5 seconds' + INTERVAL '5 seconds')",
            "2:41: rollup r: the window must be a literal interval…",
        ),
        (
            "count(*) AS n FROM call GROUP BY tumble('10 seconds')",
            "1:15: rollup r: tumble takes an interval, as in tumble(INTERVAL '10 seconds')",
        ),
        (
            "count(*) AS n FROM call GROUP BY TEN, tumble(INTERVAL '1 second')",
            "2:41: rollup r: two windows in GROUP BY; a rollup has one",
        ),
        (
            "count(*) AS n FROM call WHERE TEN < event_time GROUP BY TEN",
            "2:38: rollup r: tumble names the window and has no value of its own → it stands in GROUP BY, alone; event_time is the time of the event",
        ),
        ("max(TEN) AS n FROM call GROUP BY TEN", "2:12: rollup r: tumble names the window…"),
        (
            "date_part('hour', TEN) AS hour, count(*) AS n FROM call GROUP BY TEN, date_part('hour', TEN)",
            "2:26: rollup r: tumble names the window…",
        ),
    ]);
}

#[test]
fn names_that_are_unknown_doubled_or_unfit() {
    let valid = "there are event_time, tenant, tenant_kind, tenant_id, event_id, event_source, subject, sequence, event_hash, api, cost, customer_tier, duration_ms, is_retry, outcome, provider, ratio, reset_at, shop_id, status_code";
    expect(&[
        ("count(colour) AS n FROM call GROUP BY TEN", &format!("2:14: rollup r: no field named colour → {valid}")),
        (
            "count(*) AS n FROM call WHERE call.colour = 'red' GROUP BY TEN",
            &format!("2:43: rollup r: no field named call.colour → {valid}"),
        ),
        (
            "count(*) AS n FROM calls GROUP BY TEN",
            "2:27: rollup r: no source named calls → FROM names a source of sources.yaml",
        ),
        (
            "nosuch(api) AS n FROM call GROUP BY TEN",
            "2:8: rollup r: no function named nosuch → any DataFusion scalar function; …",
        ),
        ("sum(api) AS n FROM call GROUP BY TEN", "2:8: rollup r: sum(Utf8) is not possible → …"),
        (
            "count(*) AS n, sum(status_code) AS n FROM call GROUP BY TEN",
            "2:20: rollup r: two columns would be named `n` → give one of them another name with AS",
        ),
        (
            "avg(status_code) AS n, count(*) AS n_count FROM call GROUP BY TEN",
            "2:43: rollup r: two columns would be named `n_count` → avg(x) AS name is stored as name_sum and name_count, last(x) AS name also as name_at and name_seq; window_start is the window, tier and rolled_up say how wide it is",
        ),
        (
            "count(*) AS window_start FROM call GROUP BY TEN",
            "2:20: rollup r: two columns would be named `window_start` → …",
        ),
        (
            "count(*) AS \"API\", api FROM call GROUP BY TEN, api",
            "2:20: rollup r: two columns would be named `API` → …",
        ),
        (
            "count(*) FROM call GROUP BY TEN",
            "1:15: rollup r: column `count(*)` needs a plain name → give it one with AS: letters, digits and underscores",
        ),
        (
            "ratio, count(*) AS n FROM call GROUP BY TEN, ratio",
            "2:8: rollup r: dimension `ratio` has type Float64 → dimensions are text, integers, booleans or timestamps; a number can be cut into classes with CASE or a cast",
        ),
        (
            "count(*) AS n FROM call GROUP BY TEN, provider",
            "2:72: rollup r: `call.provider` is grouped by but not selected, so its rows could not be told apart → add `call.provider` to the SELECT list",
        ),
        (
            "provider, count(*) AS n FROM call GROUP BY TEN",
            "2:8: rollup r: `provider` is selected, but neither grouped by nor aggregated → add provider to GROUP BY",
        ),
        ("count(*) AS n FRM call GROUP BY TEN", "2:22: rollup r: Expected: end of statement, found: FRM"),
        ("count(*) AS n FROM call GROUP BY tumble(INTERVAL '10 seconds'", "1:15: rollup r: Expected: ), found: EOF"),
    ]);
}

#[test]
fn all_mistakes_of_a_file_are_found_each_at_its_place() {
    let text =
        "-- errors per é\nCREATE ROLLUP a AS SELECT count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');
CREATE ROLLUP a AS SELECT count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');
CREATE ROLLUP refund AS SELECT count(*) AS n FROM refund GROUP BY tumble(INTERVAL '1 second');
CREATE ROLLUP \"../up\" AS SELECT count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');
CREATE ROLLUP dead_letters AS SELECT count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');
CREATE TABLE t AS SELECT 1;
/* é */ CREATE ROLLUP b AS SELECT 'é', count(*) AS n, min(colour) AS x FROM call GROUP BY tumble(INTERVAL '1 second');";
    let errors = parse(text).unwrap_err();
    let errors: Vec<_> = errors.iter().map(|e| format!("{}:{} {}", e.line, e.column, e.message)).collect();
    assert_eq!(
        errors,
        [
            "7:1 expected CREATE ROLLUP name [WITH (key = 'value')] AS SELECT …",
            "3:15 rollup a is defined twice",
            "4:15 rollup refund has the name of a source",
            "5:15 a rollup cannot be named `../up`",
            "6:15 a rollup cannot be named `dead_letters`",
            "8:59 rollup b: no field named colour",
        ]
    );
    assert_eq!(
        parse("CREATE ROLLUP r AS SELECT 'open").unwrap_err()[0].to_string(),
        "rollups.sql:1:27: Unterminated string literal"
    );
}

#[test]
fn mistakes_in_sources_are_told_with_their_line() {
    let source = |name: &str, rest: &str| format!("sources:\n  - name: {name}\n    topic: t\n    type: a.b\n{rest}");
    for (text, expected) in [
        ("sources: [".to_owned(), "sources.yaml:2:1: did not find expected node content…"),
        ("source: []".to_owned(), "sources.yaml:1:1: unknown field `source`, expected `personal` or `sources`"),
        ("sources: [{name: a, topic: t}]".to_owned(), "sources.yaml:1:11: sources[0]: missing field `type`"),
        (source("a", "    colour: red"), "sources.yaml:5:5: sources[0]: unknown field `colour`…"),
        (
            source("a", "    fields:\n      x: int32"),
            "sources.yaml:6:10: sources[0].fields.x: unknown type `int32`; expected string, int64, float64, boolean, timestamp, decimal(SCALE), sample, or {enum: [...]}",
        ),
        (
            source("a", "    fields:\n      x: decimal(19)"),
            "sources.yaml:6:10: sources[0].fields.x: `decimal(19)`: decimal takes the digits after the point, 0 to 18, as in decimal(2)",
        ),
        (
            source("a", "    fields:\n      x: {type: int64, require: true}"),
            "sources.yaml:6:24: sources[0].fields.x: unknown field `require`, expected one of …",
        ),
        (
            source("a", "    fields:\n      x: {type: int64, on_unknown: other}"),
            "sources.yaml:6:10: sources[0].fields.x: a field has either `type`, or `enum` with optional `aliases` and `on_unknown`",
        ),
        (
            source("a", "    fields:\n      x: {enum: [a], aliases: {b: c}}"),
            "sources.yaml:6:10: sources[0].fields.x: alias `b` stands for `c`, which the enum does not list",
        ),
        (source("A-b", ""), "sources.yaml:2: source name `A-b` must be lower-case letters, digits and underscores"),
        (
            source("a", "    fields: {tenant: string}"),
            "sources.yaml:2: source a: a field has the name of an envelope column or of another field → event_time, …",
        ),
        (
            source("a", "    fields: {x.y: string, x_y: string}"),
            "sources.yaml:2: source a: a field has the name of an envelope column or of another field → …",
        ),
        (
            source("a", "    fields: {x: string, x.y: string}"),
            "sources.yaml:2: source a: `x` is a value and an object → `x` cannot have a type when there are fields `x.…`",
        ),
        (
            source("a", "    fields: {x: string, y: {type: string, path: x.z}}"),
            "sources.yaml:2: source a: `x` is a value and an object → …",
        ),
        (
            source("a", "    fields: {x: string, y: {type: string, path: x}}"),
            "sources.yaml:2: source a: two fields lie at the same place of data → …",
        ),
        (source("a", "    time_fallback: [x]"), "sources.yaml:2: source a: time_fallback `x` is not one of its fields"),
        (
            source("a", "  - name: b\n    topic: u\n    type: a.b"),
            "sources.yaml:5: type `a.b` comes from the topics t and u → sources of one type read one topic…",
        ),
        (
            source("a", "    explode: x\n    fields: {x: string}"),
            "sources.yaml:2: source a: `x` is a value and the array of explode → fields lie below the array, as in `x.id`",
        ),
        (
            source("a", "    explode: x.y\n    fields: {x: string}"),
            "sources.yaml:2: source a: `x` is a value and an object → …",
        ),
        (source("a", "    explode: x..y"), "sources.yaml:2: source a: `x..y` is no place of data: a key is empty"),
        (
            source("a", "    explode: x\n    time_fallback: [x.at]\n    fields: {x.at: timestamp}"),
            "sources.yaml:2: source a: time_fallback `x.at` lies in the array of explode → …",
        ),
        (
            source("a", "    fields: {x: {type: string, personal: drop}}"),
            "sources.yaml:5:42: sources[0].fields.x.personal: unknown variant `drop`, expected `hash`",
        ),
        (
            source("a", "    fields: {contact.email: string}\npersonal: {drop: [Email]}"),
            "sources.yaml:2: source a: `contact.email` lies at the personal key `email`, which is dropped → remove the field, or list the key under `hash`",
        ),
        (
            source("a", "    fields: {contact.city: string}\npersonal: {hash: [contact]}"),
            "sources.yaml:2: source a: `contact.city` lies at the personal key `contact`, of which only a hash is kept → …",
        ),
        (
            source("a", "    fields: {age: {type: int64, personal: hash}}"),
            "sources.yaml:2: source a: `age` lies at the personal key `age`, and a hash is text → declare the field as string",
        ),
        (
            source("a", "    explode: people\npersonal: {drop: [people]}"),
            "sources.yaml:2: source a: explode lies at the personal key `people` → …",
        ),
        (
            source("a", "    fields: {x: {type: string, personal: hash}}\npersonal: {drop: [X]}"),
            "sources.yaml:2: the personal key `x` is both dropped and hashed → …",
        ),
        (source("a", "\npersonal: {hash: [tenantid]}"), "sources.yaml:6: `tenantid` cannot be a personal key → …"),
        (source("a", "  - name: a\n    topic: u\n    type: a.c"), "sources.yaml:2: source a is declared twice"),
    ] {
        let errors = Catalog::parse(&named(&text, "sources.yaml"), &[]).expect_err(expected);
        let got = errors[0].to_string().replace("\n  hint: ", " → ");
        let matches = expected.strip_suffix('…').map_or(got == expected, |start| got.starts_with(start));
        assert!(matches, "{text}\n     got {got}\nexpected {expected}");
    }
}
