use super::*;
use crate::definitions::Definitions;
use crate::testing::{FakeWorkers, declared, engine, prom_limits, rollup, store};
use crate::{Checking, DeclaredTable};
use std::sync::Arc;
use tidewatch_engine::rollup::RollupSchema;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn world() -> (tempfile::TempDir, PromEngine) {
    let (folder, store) = store();
    let stock = RollupSchema {
        name: "stock".to_owned(),
        sources: vec!["stock_moved".to_owned()],
        pane_us: Some(60_000_000),
        ..rollup()
    };
    let stock = DeclaredTable { schema: stock.arrow_schema(), rollup: Some(stock) };
    let views = "CREATE VIEW busy AS SELECT window_start, api, requests AS value FROM calls;
        CREATE VIEW busiest AS SELECT window_start, max(value) AS value FROM busy GROUP BY 1;";
    let views = [("views.sql".to_owned(), views.to_owned())];
    let definitions: Definitions =
        declared().with_table("stock", stock).with_views(&views, Checking::Names).await.unwrap();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    engine.snapshots().define(definitions);
    (folder, PromEngine::new(Arc::new(engine), prom_limits()))
}

#[tokio::test]
async fn metrics_come_from_the_sources_of_their_rollups_also_through_views() {
    let (_folder, engine) = world().await;
    let of = |wanted: &[&str]| engine.sources_of(Some(&names(wanted)));
    let calls: BTreeSet<String> = rollup().sources.into_iter().collect();
    assert_eq!(of(&["calls_requests_total"]), calls);
    assert_eq!(of(&["busiest"]), calls);
    assert_eq!(of(&["busy_other", "stock_requests_total"]), &calls | &names(&["stock_moved"]));
    // Whoever knows where this comes from?
    assert_eq!(of(&["busiest", "pushed_by_somebody"]), &calls | &names(&["stock_moved"]));
    assert_eq!(engine.sources_of(None), &calls | &names(&["stock_moved"]));
}

#[tokio::test]
async fn views_without_windows_tell_of_the_present_only() {
    let (folder, store) = store();
    let views = "CREATE VIEW busy AS SELECT window_start, api, requests AS value FROM calls;
        CREATE VIEW worst AS SELECT api, max(slowest) AS value FROM calls GROUP BY api;";
    let views = [("views.sql".to_owned(), views.to_owned())];
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    engine.snapshots().define(declared().with_views(&views, Checking::Names).await.unwrap());
    let engine = PromEngine::new(Arc::new(engine), prom_limits());
    let of = async |wanted: &[&str]| engine.of_the_present(&names(wanted)).await.unwrap();
    assert_eq!(of(&["worst", "busy", "calls_requests_total", "pushed"]).await, names(&["worst"]));
    assert_eq!(of(&["busy", "worst_other"]).await, names(&[]));
    drop(folder);
}

#[tokio::test]
async fn windows_are_those_of_the_rollups_that_are_known() {
    let (_folder, engine) = world().await;
    let of = |wanted: &[&str]| engine.window_of(Some(&names(wanted)));
    assert_eq!(of(&["busiest", "pushed_by_somebody"]), Some(10_000_000));
    assert_eq!(of(&["busiest", "stock_requests_total"]), Some(60_000_000));
    assert_eq!(of(&["pushed_by_somebody"]), None);
    assert_eq!(engine.window_of(None), Some(60_000_000));
}
