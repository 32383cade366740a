use super::series_of;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, Registry};
use tidewatch_query::exposition::families_of;

#[test]
fn they_are_named_and_labelled_as_a_scrape_would() {
    let registry = Registry::new();
    let counter = IntCounter::new("tidewatch_things_total", "Things.").unwrap();
    let seconds = HistogramOpts::new("tidewatch_thing_seconds", "Time.").buckets(vec![0.1]);
    let seconds = HistogramVec::new(seconds, &["kind"]).unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    registry.register(Box::new(seconds.clone())).unwrap();
    counter.inc_by(3);
    seconds.with_label_values(&["a"]).observe(0.5);

    let series = series_of(&families_of(&registry), "here:1", 1_000);
    let shown: Vec<String> = series
        .iter()
        .map(|series| {
            let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(series.floats.len(), 1);
            assert_eq!(series.floats[0].0, 1_000);
            format!("{} {}", labels.join(","), series.floats[0].1)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "__name__=tidewatch_thing_seconds_bucket,job=tidewatch,instance=here:1,kind=a,le=0.1 0",
            "__name__=tidewatch_thing_seconds_bucket,job=tidewatch,instance=here:1,kind=a,le=+Inf 1",
            "__name__=tidewatch_thing_seconds_sum,job=tidewatch,instance=here:1,kind=a 0.5",
            "__name__=tidewatch_thing_seconds_count,job=tidewatch,instance=here:1,kind=a 1",
            "__name__=tidewatch_things_total,job=tidewatch,instance=here:1 3",
        ]
    );
}
