use std::cell::Cell;

use crate::{
    Grammar, Interrupt, Labels, Limits, Options, Query, QueryError, Sample, Selection, Series, Storage, StorageError,
    Value,
};

/// Ten series of a counter with a sample every 10 s.
struct Counters;

impl Storage for Counters {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let all = (0..10).map(|at| {
            let name = if at < 9 { "requests_total" } else { "errors_total" };
            let labels =
                Labels::new([("__name__", name), ("i", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "8"][at])]);
            let times: Vec<i64> = (0..1000).map(|sample| sample * 10_000).collect();
            let values: Vec<f64> = (0..1000).map(|sample| f64::from(sample) * at as f64).collect();
            Series::floats(labels, times, values)
        });
        Ok(all.filter(|one| selection.matchers.iter().all(|matcher| matcher.matches_labels(&one.labels))).collect())
    }
}

struct Broken;

impl Storage for Broken {
    fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
        Err(StorageError("the disk is gone".to_string()))
    }
}

fn run(query: &str, limits: &Limits<'_>, options: &Options) -> Result<Value, QueryError> {
    let plan = Query::parse(query, Grammar::default())?.range(1_000_000, 5_000_000, 10_000, options)?;
    plan.run(&Counters, limits).map(|answer| answer.value)
}

fn count(value: Result<Value, QueryError>) -> Result<usize, QueryError> {
    value.map(|value| match value {
        Value::Matrix(series) => series.len(),
        _ => 0,
    })
}

#[test]
fn more_cells_than_allowed_are_refused() {
    let options = Options::default();
    let limits = |samples_max| Limits { samples_max, ..Limits::none() };
    // 9 series and 401 steps.
    assert_eq!(count(run("requests_total", &limits(9 * 401), &options)), Ok(9));
    assert_eq!(count(run("requests_total", &limits(9 * 401 - 1), &options)), Err(QueryError::TooManySamples));
    assert_eq!(
        run("sum_over_time(requests_total[1y:1ms])", &Limits::none(), &options),
        Err(QueryError::TooManySamples)
    );
    // Operands are gone when their result is there.
    let chain = "requests_total + 1 + 1 + 1 + 1 + 1";
    assert_eq!(count(run(chain, &limits(2 * 9 * 401), &options)), Ok(9));
}

#[test]
fn an_interrupt_stops_the_evaluation() {
    let asked = Cell::new(0);
    for (interrupt, error) in [(Interrupt::Timeout, QueryError::Timeout), (Interrupt::Canceled, QueryError::Canceled)] {
        asked.set(0);
        let after_a_few = || {
            asked.set(asked.get() + 1);
            (asked.get() > 5).then_some(interrupt)
        };
        let limits = Limits { samples_max: usize::MAX, interrupt: &after_a_few };
        assert_eq!(run("sum(rate(requests_total[5m]))", &limits, &Options::default()), Err(error));
    }
}

#[test]
fn errors_have_the_kinds_of_the_http_api() {
    let options = Options::default();
    let kind = |query: &str| run(query, &Limits::none(), &options).err().map(|error| error.kind());
    assert_eq!(kind("sum("), Some("bad_data"));
    assert_eq!(kind("requests_total[5m]"), Some("bad_data"));
    assert_eq!(kind("{i=\"8\"} * 2"), Some("execution"));
    assert_eq!(kind("topk(0 / 0, requests_total)"), Some("execution"));
    let plan = Query::parse("x", Grammar::default()).map(|query| query.instant(0, &options));
    let error = plan.and_then(|plan| plan.run(&Broken, &Limits::none())).err();
    assert_eq!(error, Some(QueryError::Storage("the disk is gone".to_string())));
}

#[test]
fn names_go_away_at_once_or_in_the_answer() {
    let delayed = Options { delayed_name_removal: true, ..Options::default() };
    let query = "label_replace(rate({i=\"8\"}[1m]), \"name\", \"$1\", \"__name__\", \"(.*)_total\")";
    assert!(run(query, &Limits::none(), &Options::default()).is_err());
    assert_eq!(count(run(query, &Limits::none(), &delayed)), Ok(2));
}

#[test]
fn extreme_times_do_not_overflow() {
    let options = Options::default();
    for query in ["up @ 9223372036854774", "up @ -9223372036854774 offset 100y", "rate(up[100y] @ -9223372036854774)"] {
        assert_eq!(count(run(query, &Limits::none(), &options)), Ok(0), "{query}");
    }
    let plan = Query::parse("max_over_time(requests_total[100y:50y])", Grammar::default())
        .map(|query| query.instant(i64::MAX / 2, &options));
    assert!(plan.and_then(|plan| plan.run(&Counters, &Limits::none())).is_ok());
}

#[test]
fn a_fixed_instant_is_evaluated_once_and_spread_over_the_steps() {
    let value = run("sum(requests_total @ 100) + 0 * time()", &Limits::none(), &Options::default());
    let Ok(Value::Matrix(series)) = value else { panic!("{value:?}") };
    // 10 samples after the start, each series grows by its number.
    assert!(series[0].floats.iter().all(|(_, value)| *value == 360.0));
    assert_eq!(series[0].floats.len(), 401);
}

#[test]
fn lists_of_series_must_fit_the_selections() {
    let plan = Query::parse("a + b", Grammar::default()).map(|query| query.instant(0, &Options::default()));
    let error = plan.and_then(|plan| plan.evaluate(&[Vec::new()], &Limits::none())).err();
    assert_eq!(error.map(|error| error.kind()), Some("bad_data"));
}

#[test]
fn a_string_and_a_scalar_have_no_series() {
    let answer = |query: &str| {
        let plan = Query::parse(query, Grammar::default()).map(|query| query.instant(7_000, &Options::default()));
        plan.and_then(|plan| plan.run(&Counters, &Limits::none())).map(|answer| answer.value)
    };
    assert_eq!(answer("\"x\""), Ok(Value::String { time_ms: 7_000, text: "x".to_string() }));
    assert_eq!(answer("time() * 2"), Ok(Value::Scalar { time_ms: 7_000, value: 14.0 }));
    let Ok(Value::Vector(samples)) = answer("errors_total") else { panic!("no vector") };
    assert_eq!(samples[0].value, Sample::Float(0.0));
}
