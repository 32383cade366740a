use super::*;
use crate::exposition::Exposition;
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, declared, engine, store};

async fn scrape_text(watermark: Option<i64>, series_max: usize) -> (String, f64) {
    let (_folder, store) = store();
    commit(
        &store,
        -1,
        4,
        &[Partial(0, Some("orders"), &[1000, 2000], &["a"]), Partial(10, Some("orders"), &[5], &["b"])],
    )
    .await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.pieces.lock().unwrap() =
        vec![FakePiece::of(4, 9, &[Partial(0, Some("auth"), &[3000], &["c"]), Partial(0, None, &[], &[])])];
    *workers.watermark.lock().unwrap() = watermark;
    let registry = prometheus::Registry::new();
    let metrics = QueryMetrics::register(&registry).unwrap();
    let engine = engine(&store, workers);
    engine.snapshots().define(declared());
    let scrape = Scrape::new(Arc::new(engine), registry, metrics.clone(), series_max);
    let text = Exposition::Text.write(&scrape.families().await);
    let rollups = text.lines().filter(|l| l.starts_with("calls_")).map(|l| format!("{l}\n")).collect();
    (rollups, metrics.truncated.with_label_values(&["calls"]).get() as f64)
}

#[tokio::test]
async fn the_newest_closed_window_with_base_units_committed_or_not() {
    let (text, dropped) = scrape_text(Some(19_999_999), 100).await;
    for line in [
        "calls_requests{window=\"10s\",api=\"orders\"} 2",
        "calls_requests{window=\"10s\",api=\"auth\"} 1",
        "calls_requests{window=\"10s\"} 0",
        "calls_cost{window=\"10s\",api=\"orders\"} 30",
        "calls_slowest{window=\"10s\",api=\"orders\"} 2000",
        "calls_mean{window=\"10s\",api=\"orders\"} 1500",
        "calls_duration_seconds{window=\"10s\",api=\"orders\",quantile=\"0.5\"} 1",
        "calls_duration_seconds{window=\"10s\",api=\"auth\",quantile=\"0.99\"} 3.001",
        "calls_users{window=\"10s\",api=\"orders\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is missing in\n{text}");
    }
    assert_eq!(dropped, 0.0);
}

#[tokio::test]
async fn a_window_is_shown_when_the_watermark_has_passed_it() {
    let (text, _) = scrape_text(Some(20_000_000), 100).await;
    assert!(text.contains("calls_requests{window=\"10s\",api=\"orders\"} 1\n") && !text.contains("auth"), "{text}");
    let (text, _) = scrape_text(None, 100).await;
    assert_eq!(text, "");
}

#[tokio::test]
async fn series_beyond_the_limit_are_left_out_and_that_is_counted() {
    let (text, dropped) = scrape_text(Some(10_000_000), 2).await;
    assert_eq!(text.lines().filter(|l| l.starts_with("calls_requests")).count(), 2, "{text}");
    assert_eq!(dropped, 1.0);
}
