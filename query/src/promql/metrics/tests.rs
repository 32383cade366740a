use super::*;
use tidewatch_engine::rollup::Catalog;

const SOURCES: &str = "
sources:
  - name: call
    topic: calls
    type: call
    fields: {api: string, window: string, ms: int64, cost: int64, duration_ms: int64, at: timestamp, note: string}
";

#[test]
fn measures_have_names_kinds_and_units() {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    let rollups = "
        CREATE ROLLUP calls AS
        SELECT api, window, count(*) AS requests, sum(cost) AS cost, hdr(duration_ms) AS duration_ms,
               max(duration_ms) AS longest_ms, max(at) AS last_at, approx_distinct(note) AS notes, min(note) AS note
        FROM call GROUP BY tumble(INTERVAL '10 seconds'), api, window;
        CREATE ROLLUP latest AS SELECT api, count(*) AS n FROM call GROUP BY api;";
    let catalog = Catalog::parse(&text("s", SOURCES), &text("r", rollups)).unwrap();
    let found = metrics(catalog.tables().iter().map(|t| t.schema));
    let told: Vec<String> =
        found.values().map(|m| format!("{} {} {} {}", m.name, m.kind.name(), m.scale, m.measure)).collect();
    assert_eq!(
        told,
        [
            "calls_cost_total counter 1 cost",
            "calls_duration_seconds histogram 1000 duration_ms",
            "calls_last_at_timestamp_seconds gauge 1 last_at",
            "calls_longest_seconds gauge 1000 longest_ms",
            "calls_notes gauge 1 notes",
            "calls_requests_total counter 1 requests",
        ]
    );
    assert_eq!(found["calls_requests_total"].labels[1], ("exported_window".to_owned(), "window".to_owned()));
}
