//! Counting told as stories: events in, rows of the table out.

use super::*;
use crate::cardinality::Admissions;
use crate::rollup::{Catalog, merge_batches};
use crate::sketch::{DistinctSketch, HdrSketch};
use crate::time::SECOND_US;
use arrow::array::{BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

const SOURCES: &str = "
sources:
  - name: call
    topic: calls
    type: call
    fields: {api: string, ok: boolean, ms: int64, shop: string, text: string}
";

/// A plan of rollups over `call`.
fn plan(rollups: &str) -> Arc<SourcePlan> {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    let catalog = Catalog::parse(&text("s", SOURCES), &text("r", rollups)).unwrap_or_else(|e| panic!("{}", e[0]));
    Arc::clone(&catalog.sources[0])
}

/// Events from lines of `second api ok ms shop text sequence`; `-`, and what is missing, is null.
fn batch(plan: &SourcePlan, lines: &str) -> EventBatch {
    let cells: Vec<Vec<&str>> =
        lines.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()).filter(|l| !l.is_empty()).collect();
    let column = |at: usize| cells.iter().map(move |line| line.get(at).copied().filter(|cell| *cell != "-"));
    let columns: Vec<ArrayRef> = plan
        .columns
        .fields()
        .iter()
        .map(|field| {
            if let DataType::Timestamp(..) = field.data_type() {
                let times = cells.iter().map(|line| time_us(line));
                return Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef;
            }
            let at =
                ["api", "ok", "ms", "shop", "text", "sequence"].iter().position(|n| n == field.name()).unwrap() + 1;
            match field.data_type() {
                DataType::Boolean => {
                    Arc::new(column(at).map(|c| c.map(|c| c == "true")).collect::<BooleanArray>()) as ArrayRef
                }
                DataType::Int64 => Arc::new(column(at).map(|c| c.map(|c| c.parse().unwrap())).collect::<Int64Array>()),
                _ => Arc::new(column(at).collect::<StringArray>()),
            }
        })
        .collect();
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(cells.len()));
    EventBatch {
        columns: RecordBatch::try_new_with_options(Arc::clone(&plan.columns), columns, &options).unwrap(),
        event_time_us: cells.iter().map(|line| time_us(line)).collect(),
    }
}

fn time_us(line: &[&str]) -> i64 {
    (line[0].parse::<f64>().unwrap() * SECOND_US as f64) as i64
}

/// Rows as lines: window start in seconds, then the other columns; sketches as their count or estimate.
fn lines(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    let cell = |column: usize, row: usize| {
        let values = batch.column(column);
        match (schema.field(column).data_type(), schema.field(column).name().as_str()) {
            _ if values.is_null(row) => "-".to_owned(),
            (DataType::Timestamp(..), _) => {
                (values.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(row) / SECOND_US).to_string()
            }
            (DataType::Binary, "shops") => {
                DistinctSketch::from_bytes(values.as_binary::<i32>().value(row)).unwrap().estimate().to_string()
            }
            (DataType::Binary, _) => {
                HdrSketch::from_v2(values.as_binary::<i32>().value(row)).unwrap().quantile(1.0).unwrap().to_string()
            }
            _ => array_value_to_string(values, row).unwrap(),
        }
    };
    let shown: Vec<usize> = (0..batch.num_columns()).filter(|&c| schema.field(c).name() != "other_series").collect();
    (0..batch.num_rows()).map(|row| shown.iter().map(|&c| cell(c, row)).collect::<Vec<_>>().join(" ")).collect()
}

/// The rows of one rollup, sorted by key.
fn rows(frozen: &FrozenStates, rollup: usize) -> Vec<String> {
    lines(&frozen.batch(rollup).unwrap())
}

const ALL: fn(&RollupPlan) -> Option<BooleanArray> = |_| None;

const CALLS: &str = "
CREATE ROLLUP calls AS
SELECT api, count(*) AS n, count(ms) AS timed, sum(ms) AS total, avg(ms) FILTER (WHERE ok) AS good_ms, hdr(ms) AS ms, approx_distinct(shop) AS shops
FROM call GROUP BY tumble(INTERVAL '10 seconds'), api;
CREATE ROLLUP failures AS
SELECT ok, count(*) AS n FROM call WHERE NOT ok GROUP BY tumble(INTERVAL '1 minute'), ok;
";

const EVENTS: &str = "
     0    orders true  10  s1 x
     9.9  orders false 30  s2 x
     10   orders true  -   s2 x
     5    -      -     5   -  x
     5    rates  true  7   s1 x
     -0.1 rates  false 8   s1 x
";

/// Bytes that a series and window take, of so many series with 20 events of different values each.
fn bytes_per_row(measures: &str) -> usize {
    const SERIES: usize = 5000;
    let plan = plan(&format!(
        "CREATE ROLLUP r AS SELECT api, shop, {measures} FROM call GROUP BY tumble(INTERVAL '10 seconds'), api, shop;"
    ));
    let mut open = OpenStates::new(Arc::clone(&plan));
    for value in 0..20 {
        let line = |series: usize| format!("1 /products/{} true {} shop-{series:06}\n", series % 40, 20 + 37 * value);
        let lines: String = (0..SERIES).map(line).collect();
        open.count(&batch(&plan, &lines), &mut Admissions::unlimited(), ALL).unwrap();
    }
    assert_eq!(open.row_count(), SERIES);
    open.size_bytes() / SERIES
}

#[test]
fn what_a_series_takes_of_memory_is_bounded() {
    let plain = bytes_per_row("count(*) AS n, sum(ms) AS total, max(ms) AS longest");
    assert!(plain <= 160, "{plain} bytes");
    let with_quantiles = bytes_per_row("count(*) AS n, sum(ms) AS total, hdr(ms) AS ms");
    assert!(with_quantiles <= 512, "{with_quantiles} bytes");
}

#[test]
fn events_become_rows_by_window_and_dimensions() {
    let plan = plan(CALLS);
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, EVENTS), &mut Admissions::unlimited(), ALL).unwrap();
    assert_eq!((open.event_count(), open.row_count()), (6, 5 + 2));
    assert!(open.size_bytes() > 0);
    let frozen = open.freeze();
    assert_eq!((open.event_count(), open.row_count(), frozen.row_count()), (0, 0, 7));
    // window api n timed total good_ms_sum good_ms_count ms shops
    assert_eq!(
        rows(&frozen, 0),
        [
            "-10 rates 1 1 8 - 0 8 1",
            "0 - 1 1 5 - 0 5 -",
            "0 orders 2 2 40 10 1 30 2",
            "0 rates 1 1 7 7 1 7 1",
            "10 orders 1 0 - - 0 - 1",
        ]
    );
    assert_eq!(rows(&frozen, 1), ["-60 false 1", "0 false 1"], "an unknown `ok` is not a failure");
}

#[test]
fn rows_that_a_table_has_already_are_left_out_of_that_table_only() {
    let plan = plan(CALLS);
    let mut open = OpenStates::new(Arc::clone(&plan));
    let accept = |rollup: &RollupPlan| {
        (rollup.schema.name == "calls")
            .then(|| BooleanArray::from(vec![Some(false), Some(true), None, Some(false), Some(false), Some(false)]))
    };
    open.count(&batch(&plan, EVENTS), &mut Admissions::unlimited(), accept).unwrap();
    open.count(&batch(&plan, EVENTS), &mut Admissions::unlimited(), |r| {
        (r.schema.name == "failures").then(|| BooleanArray::from(vec![false; 6]))
    })
    .unwrap();
    let frozen = open.freeze();
    assert_eq!(rows(&frozen, 0)[2], "0 orders 3 3 70 10 1 30 2");
    assert_eq!(rows(&frozen, 1), ["-60 false 1", "0 false 1"], "WHERE and mask both hold");
}

#[test]
fn a_late_event_is_one_more_partial_of_its_window() {
    let plan = plan(
        "CREATE ROLLUP calls AS SELECT api, count(*) AS n, sum(ms) AS total FROM call GROUP BY tumble(INTERVAL '10 seconds'), api;",
    );
    let mut open = OpenStates::new(Arc::clone(&plan));
    let mut partials = Vec::new();
    for lines in ["1 a true 5 s x\n25 b true 6 s x", "41 a true 7 s x\n2 a true 8 s x", "3 c true 9 s x"] {
        open.count(&batch(&plan, lines), &mut Admissions::unlimited(), ALL).unwrap();
        partials.push(open.freeze());
    }
    assert_eq!(rows(&partials[0], 0), ["0 a 1 5", "20 b 1 6"]);
    assert_eq!(rows(&partials[1], 0), ["0 a 1 8", "40 a 1 7"]);
    let batches: Vec<_> = partials.iter().map(|p| p.batch(0).unwrap()).collect();
    let merged = merge_batches(&plan.rollups[0].schema, &batches).unwrap();
    assert_eq!(lines(&merged), ["0 a 2 13", "0 c 1 9", "20 b 1 6", "40 a 1 7"]);
}

#[test]
fn a_rollup_without_dimensions_or_columns_counts_all_the_same() {
    let plan = plan("CREATE ROLLUP all_calls AS SELECT count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');");
    assert!(plan.columns.fields().is_empty());
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, "1 a\n1.5 b\n2 c"), &mut Admissions::unlimited(), ALL).unwrap();
    assert_eq!(rows(&open.freeze(), 0), ["1 2", "2 1"]);
    assert_eq!(open.freeze().batch(0).unwrap().num_rows(), 0);
}

#[test]
fn negative_durations_are_refused_and_counted_by_rollup() {
    let plan = plan(CALLS);
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, "1 a true -5 s x\n1 a true 5 s x"), &mut Admissions::unlimited(), ALL).unwrap();
    let mut frozen = open.freeze();
    assert_eq!(frozen.take_refused().collect::<Vec<_>>(), [("calls", 1), ("failures", 0)]);
    assert_eq!(frozen.take_refused().map(|(_, n)| n).sum::<u64>(), 0);
    assert_eq!(rows(&frozen, 0), ["0 a 2 2 0 0 2 5 1"]);
}

#[test]
fn an_expression_that_fails_for_an_event_has_no_value_there_and_stops_nothing() {
    let plan = plan("
CREATE ROLLUP casts AS SELECT CAST(text AS BIGINT) AS class, count(*) AS n, sum(100 / ms) AS per_ms, count(*) FILTER (WHERE 100 / ms > 10) AS fast
FROM call GROUP BY tumble(INTERVAL '10 seconds'), CAST(text AS BIGINT);
CREATE ROLLUP quick AS SELECT count(*) AS n FROM call WHERE 100 / ms > 10 GROUP BY tumble(INTERVAL '10 seconds');");
    let events = ["1 a true 5 s 1", "1 a true 0 s 1", "1 a true 20 s one", "1 a true 5 s -", "1 a true 5 s 1"];
    let count = |batches: &[&[&str]]| {
        let mut open = OpenStates::new(Arc::clone(&plan));
        for lines in batches {
            open.count(&batch(&plan, &lines.join("\n")), &mut Admissions::unlimited(), ALL).unwrap();
        }
        let frozen = open.freeze();
        (rows(&frozen, 0), rows(&frozen, 1))
    };
    let together = count(&[&events]);
    assert_eq!(together.0, ["0 - 2 25 1", "0 1 3 40 2"]);
    assert_eq!(together.1, ["0 3"]);
    for cut in 1..events.len() {
        assert_eq!(count(&[&events[..cut], &events[cut..]]), together, "the batch an event came in does not show");
    }
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, &events.join("\n")), &mut Admissions::unlimited(), ALL).unwrap();
    assert_eq!(open.freeze().without_value(), 3, "one cast, one division, one comparison of it");
}

#[test]
fn series_beyond_a_tenants_budget_share_a_row_that_counts_them() {
    let plan = plan(
        "CREATE ROLLUP r AS SELECT shop AS tenant, api, text, count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second'), shop, api, text;",
    );
    let mut admissions = Admissions::new(2);
    let mut open = OpenStates::new(Arc::clone(&plan));
    let mut count = |open: &mut OpenStates, lines: &str| {
        open.count(&batch(&plan, lines), &mut admissions, ALL).unwrap();
    };
    count(
        &mut open,
        "1 a - - s x\n1 b - - s x\n1 c - - s x\n1 d - - s x\n1 c - - s x\n2 e - - s x\n1 e - - t x\n1 a - - s x",
    );
    let shown = |frozen: &FrozenStates| {
        let batch = frozen.batch(0).unwrap();
        let folded = batch.column_by_name("other_series").unwrap().as_binary::<i32>().clone();
        let count = |row| DistinctSketch::from_bytes(folded.value(row)).unwrap().estimate();
        rows(frozen, 0)
            .iter()
            .enumerate()
            .map(|(row, text)| {
                let key: Vec<&str> = text.split_whitespace().take(5).collect();
                let hidden = if folded.is_null(row) { String::new() } else { format!(" of {}", count(row)) };
                format!("{}{hidden}", key.join(" "))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&open.freeze()),
        ["1 s __other__ __other__ 3 of 2", "1 s a x 2", "1 s b x 1", "1 t e x 1", "2 s __other__ __other__ 1 of 1",]
    );
    // The next flush goes on where this one stopped.
    count(&mut open, "3 b - - s x\n3 f - - s x");
    assert_eq!(shown(&open.freeze()), ["3 s __other__ __other__ 1 of 1", "3 s b x 1"]);
    assert_eq!(admissions.take_folded().collect::<Vec<_>>(), [("r", 5)]);
}

#[test]
fn functions_that_are_rewritten_before_they_run_have_their_value() {
    let plan = plan(
        "CREATE ROLLUP r AS SELECT coalesce(shop, 'none') AS shop, sum(coalesce(ms, 7)) AS total, count(*) FILTER (WHERE coalesce(ok, true)) AS good FROM call GROUP BY tumble(INTERVAL '1 second'), coalesce(shop, 'none');",
    );
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, "1 a - 1 s x\n1 a false - - x\n1 a true 2 - x"), &mut Admissions::unlimited(), ALL)
        .unwrap();
    let frozen = open.freeze();
    assert_eq!(rows(&frozen, 0), ["1 none 9 1", "1 s 1 1"]);
    assert_eq!(frozen.without_value(), 0);
}

#[test]
fn arithmetic_that_overflows_has_no_value_either() {
    let plan = plan(
        "CREATE ROLLUP r AS SELECT sum(1 + ms * 4611686018427387904) AS x, count(*) AS n FROM call GROUP BY tumble(INTERVAL '1 second');",
    );
    let mut open = OpenStates::new(Arc::clone(&plan));
    open.count(&batch(&plan, "1 a true 1 s x\n1 a true 2 s x\n1 a true -2 s x"), &mut Admissions::unlimited(), ALL)
        .unwrap();
    let frozen = open.freeze();
    assert_eq!(rows(&frozen, 0), ["1 -4611686018427387902 3"]);
    assert_eq!(frozen.without_value(), 1);
}

/// One of every aggregate, in windows and by key.
const EVERY_AGGREGATE: &str = "
CREATE ROLLUP windows AS
SELECT api, count(*) AS n, sum(ms) AS total, avg(ms) FILTER (WHERE ok) AS good_ms, min(ms) AS least, max(ms) AS most,
       hdr(ms) AS ms, approx_distinct(shop) AS shops, last(ok) AS ok, samples(ms) AS values
FROM call GROUP BY tumble(INTERVAL '10 seconds'), api;
CREATE ROLLUP keys AS
SELECT api, shop, count(*) AS n, last(ms) AS ms, last(text) FILTER (WHERE ok) AS text, min(ms) AS least
FROM call GROUP BY api, shop;
";

proptest! {
    /// However events are dealt to workers, put in order, cut into batches and frozen: the bytes of the merged
    /// states are those of one pass.
    #[test]
    fn states_do_not_depend_on_partition_order_or_batching(
        events in prop::collection::vec((0i64..60, 0usize..4, 0usize..3, -2i64..500, 0i64..30), 1..120),
        places in prop::collection::vec((0usize..3, any::<u64>(), 0u8..4), 120),
    ) {
        let plan = plan(EVERY_AGGREGATE);
        let text: Vec<String> = events.iter().map(|(second, api, ok, ms, shop)| {
            format!("{second} {} {} {ms} s{shop} x{ms} {ms}", ["a", "b", "c", "-"][*api], ["true", "false", "-"][*ok])
        }).collect();
        let mut whole = OpenStates::new(Arc::clone(&plan));
        whole.count(&batch(&plan, &text.join("\n")), &mut Admissions::unlimited(), ALL).unwrap();
        let whole = whole.freeze();
        let mut dealt: Vec<_> = text.iter().zip(&places).collect();
        dealt.sort_by_key(|(_, (_, order, _))| *order);
        let mut parts = Vec::new();
        for worker in 0..3 {
            let (mut open, mut lines) = (OpenStates::new(Arc::clone(&plan)), Vec::new());
            let count = |open: &mut OpenStates, lines: &mut Vec<&str>| {
                open.count(&batch(&plan, &lines.join("\n")), &mut Admissions::unlimited(), ALL).unwrap();
                lines.clear();
            };
            for (line, (_, _, cut)) in dealt.iter().filter(|(_, (to, ..))| *to == worker) {
                lines.push(line.as_str());
                if *cut == 0 {
                    count(&mut open, &mut lines);
                    parts.push(open.freeze());
                } else if *cut == 1 {
                    count(&mut open, &mut lines);
                }
            }
            count(&mut open, &mut lines);
            parts.push(open.freeze());
        }
        parts.reverse();
        for (index, rollup) in plan.rollups.iter().enumerate() {
            let batches: Vec<_> = parts.iter().map(|p| p.batch(index).unwrap()).collect();
            let one = whole.batch(index).unwrap();
            // In two steps as well: what was merged merges again.
            let (left, right) = batches.split_at(batches.len() / 2);
            let halves = [merge_batches(&rollup.schema, left), merge_batches(&rollup.schema, right)].map(Result::unwrap);
            prop_assert_eq!(&merge_batches(&rollup.schema, &batches).unwrap(), &one);
            prop_assert_eq!(merge_batches(&rollup.schema, &halves).unwrap(), one);
        }
    }
}
