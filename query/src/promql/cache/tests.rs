use crate::metrics::QueryMetrics;
use crate::promql::{Options, PromEngine};
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, declared, engine, prom_limits, store};
use prometheus::Registry;
use std::sync::Arc;
use tidewatch_promql::{Grammar, Query, Sample, Value};
use tidewatch_storage::Store;

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    workers: Arc<FakeWorkers>,
    engine: PromEngine,
    registry: Registry,
}

impl World {
    async fn new() -> Self {
        let (folder, store) = store();
        commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10, 20], &["a"])]).await;
        let (workers, registry) = (Arc::new(FakeWorkers::default()), Registry::new());
        let sql = engine(&store, workers.clone());
        sql.snapshots().define(declared());
        let metrics = QueryMetrics::register(&registry).unwrap();
        let engine = PromEngine::new(Arc::new(sql), prom_limits()).with_metrics(&metrics);
        Self { _folder: folder, store, workers, engine, registry }
    }

    fn in_memory(&self, from: i64, to: i64, partials: &[Partial]) {
        *self.workers.pieces.lock().unwrap() = vec![FakePiece::of(from, to, partials)];
    }

    /// The one value of a query at a second.
    async fn at(&self, query: &str, second: i64) -> f64 {
        let plan = Query::parse(query, Grammar::default()).unwrap().instant(second * 1000, &Options::default());
        let answer = self.engine.answer(plan, None).await.unwrap();
        match answer.value {
            Value::Vector(samples) => match samples.as_slice() {
                [one] => {
                    if let Sample::Float(value) = one.value {
                        value
                    } else {
                        panic!("{one:?}")
                    }
                }
                _ => panic!("{samples:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Hits, misses, queries whose answers are not kept.
    fn counts(&self) -> [u64; 3] {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == "tidewatch_promql_cache_total");
        ["hit", "miss", "not_kept"].map(|outcome| {
            let metrics = family.iter().flat_map(|family| family.get_metric());
            let of_outcome = metrics.filter(|metric| metric.get_label().iter().any(|label| label.value() == outcome));
            of_outcome.map(|metric| metric.get_counter().get_value() as u64).sum()
        })
    }
}

const SUM: &str = "sum(increase(calls_requests_total[10s]))";

#[tokio::test]
async fn an_answer_is_kept_until_something_of_its_time_changes_and_a_late_event_shows_at_once() {
    let world = World::new().await;
    assert_eq!(world.at(SUM, 10).await, 2.0);
    assert_eq!(world.at(SUM, 10).await, 2.0);
    assert_eq!(world.counts(), [1, 1, 0]);
    // Newer windows, in memory and committed, do not matter to it.
    world.in_memory(4, 9, &[Partial(100, Some("orders"), &[1], &[])]);
    assert_eq!(world.at(SUM, 10).await, 2.0);
    commit(&world.store, 4, 9, &[Partial(100, Some("orders"), &[1], &[])]).await;
    world.workers.pieces.lock().unwrap().clear();
    assert_eq!(world.at(SUM, 10).await, 2.0);
    assert_eq!(world.counts(), [3, 1, 0]);
    // A late event shows while it is in memory, and after its commit.
    world.in_memory(9, 10, &[Partial(0, Some("orders"), &[7], &[])]);
    assert_eq!(world.at(SUM, 10).await, 3.0);
    assert_eq!(world.at(SUM, 10).await, 3.0);
    assert_eq!(world.counts(), [3, 1, 2]);
    commit(&world.store, 9, 10, &[Partial(0, Some("orders"), &[7], &[])]).await;
    world.workers.pieces.lock().unwrap().clear();
    assert_eq!(world.at(SUM, 10).await, 3.0);
    assert_eq!(world.at(SUM, 10).await, 3.0);
    assert_eq!(world.counts(), [4, 2, 2]);
}

#[tokio::test]
async fn running_totals_depend_on_all_that_was_counted_before() {
    let world = World::new().await;
    commit(&world.store, 4, 9, &[Partial(200_000, Some("orders"), &[1], &["a"])]).await;
    let total = "sum(calls_requests_total)";
    assert_eq!(world.at(total, 200_010).await, 3.0);
    assert_eq!(world.at(total, 200_010).await, 3.0);
    assert_eq!(world.counts(), [1, 1, 0]);
    // Days before the moment that is asked for.
    commit(&world.store, 9, 10, &[Partial(0, Some("orders"), &[7], &[])]).await;
    assert_eq!(world.at(total, 200_010).await, 4.0);
    assert_eq!(world.counts(), [1, 2, 0]);
}

#[tokio::test]
async fn another_time_or_step_is_another_answer_and_what_reads_nothing_is_not_kept() {
    let world = World::new().await;
    assert_eq!(world.at(SUM, 10).await, 2.0);
    assert_eq!(world.at(SUM, 20).await, 0.0);
    assert_eq!(world.at("scalar(vector(1)) * vector(1)", 10).await, 1.0);
    let range = |step| Query::parse(SUM, Grammar::default()).unwrap().range(10_000, 20_000, step, &Options::default());
    let steps = |answer: tidewatch_promql::Answer| match answer.value {
        Value::Matrix(series) => series.iter().map(|series| series.floats.len()).sum::<usize>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(steps(world.engine.answer(range(1000).unwrap(), None).await.unwrap()), 11);
    assert_eq!(steps(world.engine.answer(range(5000).unwrap(), None).await.unwrap()), 3);
    assert_eq!(steps(world.engine.answer(range(5000).unwrap(), None).await.unwrap()), 3);
    assert_eq!(world.counts(), [1, 4, 1]);
}
