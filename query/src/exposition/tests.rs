use super::*;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

fn registry() -> Registry {
    let registry = Registry::new();
    let events = IntCounterVec::new(Opts::new("events_total", "Events \\ of a\nsource."), &["source"]).unwrap();
    events.with_label_values(&["a \"b\"\n\\"]).inc_by(3);
    let seconds = Histogram::with_opts(HistogramOpts::new("wait_seconds", "Waiting.").buckets(vec![0.5, 1.0])).unwrap();
    seconds.observe(0.7);
    registry.register(Box::new(events)).unwrap();
    registry.register(Box::new(seconds)).unwrap();
    registry
}

#[test]
fn the_text_format() {
    let expected = r#"# HELP events_total Events \\ of a\nsource.
# TYPE events_total counter
events_total{source="a \"b\"\n\\"} 3
# HELP wait_seconds Waiting.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.5"} 0
wait_seconds_bucket{le="1.0"} 1
wait_seconds_bucket{le="+Inf"} 1
wait_seconds_sum 0.7
wait_seconds_count 1
"#;
    assert_eq!(Exposition::Text.write(&families_of(&registry())), expected);
}

#[test]
fn openmetrics_names_counters_without_total_and_ends() {
    let text = Exposition::OpenMetrics.write(&families_of(&registry()));
    assert!(text.contains("# TYPE events counter\nevents_total{"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(
        Exposition::accepted(Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")),
        Exposition::OpenMetrics
    );
    assert_eq!(Exposition::accepted(Some("*/*")), Exposition::Text);
    assert_eq!(Exposition::accepted(None), Exposition::Text);
}

#[test]
fn numbers() {
    for (value, expected) in
        [(1e21, "1000000000000000000000"), (-0.5, "-0.5"), (f64::NAN, "NaN"), (f64::NEG_INFINITY, "-Inf")]
    {
        assert_eq!(number(value), expected);
    }
    assert_eq!(bound(1.0), "1.0");
}
