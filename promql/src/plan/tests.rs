use super::{Options, Query};
use crate::parse::Grammar;
use crate::parse::functions::Func;

fn spans(query: &str, start: i64, end: i64, step: i64) -> Vec<(i64, i64)> {
    let query = Query::parse(query, Grammar::default());
    let plan = query.and_then(|query| query.range(start, end, step, &Options::default()));
    plan.map(|plan| plan.selections().iter().map(|one| (one.start_ms, one.end_ms)).collect()).unwrap_or_default()
}

#[test]
fn each_selector_tells_which_time_it_reads() {
    assert_eq!(spans("x", 1_000_000, 2_000_000, 1000), [(700_001, 2_000_000)]);
    assert_eq!(spans("rate(x[1m] offset 10s)", 1_000_000, 2_000_000, 1000), [(930_001, 1_990_000)]);
    assert_eq!(spans("x @ end()", 1_000_000, 2_000_000, 1000), [(1_700_001, 2_000_000)]);
    // Steps of the subquery: multiples of 10 s above 1,000 s - 60 s.
    assert_eq!(spans("max_over_time(rate(x[1m])[1m:10s])", 1_000_000, 2_000_000, 1000), [(890_001, 2_000_000)]);
}

#[test]
fn equal_selectors_are_read_once() {
    assert_eq!(spans("x / (x + x offset 1m)", 1_000_000, 1_000_000, 1000).len(), 2);
}

#[test]
fn hints_name_the_function_and_the_grouping() {
    let plan =
        Query::parse("sum by (a) (rate(x[1m]))", Grammar::default()).map(|query| query.instant(0, &Options::default()));
    let hints = plan.map(|plan| plan.selections()[0].hints.clone()).unwrap_or_default();
    assert_eq!((hints.function, hints.range_ms, hints.step_ms), (Some(Func::Rate), 60_000, 0));
    assert_eq!(hints.grouping.map(|grouping| grouping.labels), Some(vec!["a".to_string()]));
}

#[test]
fn a_range_vector_has_no_range_query() {
    let query = Query::parse("x[1m]", Grammar::default());
    let message = query.and_then(|query| query.range(0, 1, 1, &Options::default())).err().map(|e| e.to_string());
    assert_eq!(
        message.as_deref(),
        Some("invalid expression type \"range vector\" for range query, must be Scalar or instant Vector")
    );
}
