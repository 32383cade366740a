//! What PromQL says of a rollup's histograms, beside SQL over the same rows and beside the events themselves: equal
//! where the states are exact, and elsewhere within what the width of their buckets allows.

use crate::prometheus_api::{LATER, numbers, served};
use crate::support::{Csv, Tidewatch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const HISTOGRAM: &str = "sum by (provider) (increase(api_calls_duration_seconds[1h]))";

/// A state of two digits keeps values together that differ by a 128th, and a native histogram takes the highest of
/// them into a bucket of 0.271 %. So what is counted up to a bound is at most this much above it …
const ABOVE: f64 = 1.0028;
/// … and what is more than this below it is counted.
const BELOW: f64 = 0.989;

type ByProvider = BTreeMap<String, f64>;

/// Durations of the calls in milliseconds by provider, each call once.
fn durations(events: &Path) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in std::fs::read_to_string(events).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_call = event["type"] == "apihealth.api_call.completed.v1";
        if is_call && seen.insert((event["source"].to_string(), event["id"].to_string())) {
            let provider = event["data"]["provider"].as_str().unwrap().to_owned();
            all.entry(provider).or_default().push(event["data"]["duration_ms"].as_f64().unwrap());
        }
    }
    all
}

fn by_sql(server: &mut Tidewatch, number: &str) -> ByProvider {
    let csv =
        server.sql(&format!("SELECT provider, CAST({number} AS DOUBLE) AS number FROM api_calls GROUP BY provider"));
    let rows = Csv::parse(&csv);
    rows.rows(["provider", "number"]).into_iter().map(|[p, n]| (p.to_owned(), n.parse().unwrap())).collect()
}

#[test]
fn functions_of_histograms_have_the_numbers_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = served(folder.path());
    let address = server.address();
    let of = |function: &str| numbers(&address, &format!("{function} {HISTOGRAM})"), LATER, "provider");
    let values = durations(&folder.path().join("events.ndjson"));
    let exact = |number: &dyn Fn(&[f64]) -> f64| -> ByProvider {
        values.iter().map(|(provider, values)| (provider.clone(), number(values))).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;

    let counts = exact(&|values| values.len() as f64);
    assert!(counts.len() > 2 && counts.values().all(|count| *count > 100.0), "{counts:?}");
    assert_eq!(of("histogram_count("), counts);
    assert_eq!(by_sql(&mut server, "sum(hdr_count(duration_ms))"), counts);

    // SQL has the sum itself, PromQL takes the middle of a bucket for its values.
    let sums = exact(&|values| values.iter().sum());
    assert_eq!(by_sql(&mut server, "sum(duration_mean_ms_sum)"), sums);
    let (sum, average) = (of("histogram_sum("), of("histogram_avg("));
    let (deviation, variance) = (of("histogram_stddev("), of("histogram_stdvar("));
    for (provider, values) in &values {
        let is_near = |seconds: f64, ms: f64| (seconds * 1000.0 / ms - 1.0).abs() < 0.005;
        assert!(is_near(sum[provider], sums[provider]), "{provider}: {} {}", sum[provider], sums[provider]);
        assert!(is_near(average[provider], mean(values)), "{provider}: {} {}", average[provider], mean(values));
        // Each value moves by 1.07 % at most, the mean by half a percent.
        let centre = mean(values);
        let squares = |from: f64| values.iter().map(|value| (value - from).powi(2)).sum::<f64>() / values.len() as f64;
        let (found, expected) = (deviation[provider] * 1000.0, squares(centre).sqrt());
        assert!((found - expected).abs() <= 0.016 * squares(0.0).sqrt(), "{provider}: {found} {expected}");
        assert!((variance[provider] / deviation[provider].powi(2) - 1.0).abs() < 1e-9, "{provider}");
    }

    let mut equal = 0;
    for bound_ms in [10.0, 40.0, 100.0, 250.0, 333.0, 500.0, 1000.0, 2000.0] {
        let found = of(&format!("histogram_fraction(0, {},", bound_ms / 1000.0));
        let share = |bound: f64| {
            exact(&|values| values.iter().filter(|value| **value <= bound).count() as f64 / values.len() as f64)
        };
        let mut sql = |bound: f64| by_sql(&mut server, &format!("fraction_below(duration_ms, {bound})"));
        let (less, more) = (share(bound_ms * BELOW), share(bound_ms * ABOVE));
        // What SQL counts up to its bound may lie a 128th above it.
        let (sql_less, sql_same, sql_more) = (sql(bound_ms * 0.981), sql(bound_ms), sql(bound_ms * ABOVE));
        for (provider, fraction) in &found {
            let within = |less: f64, more: f64| (less - 1e-9..=more + 1e-9).contains(fraction);
            assert!(within(less[provider], more[provider]), "{provider} {bound_ms}: {fraction} {less:?} {more:?}");
            let (low, high) = (sql_less[provider], sql_more[provider]);
            assert!(within(low, high), "{provider} {bound_ms}: {fraction}, SQL {low} to {high}");
            if low == high {
                assert!((fraction - sql_same[provider]).abs() < 1e-9, "{provider} {bound_ms}: {fraction}");
                equal += usize::from(*fraction > 0.0 && *fraction < 1.0);
            }
        }
        assert_eq!(found.len(), counts.len());
    }
    assert!(equal >= 5, "only {equal} shares had to be equal");
    server.stop();
}
