//! Budgets of series across crashes.

use super::duplicates::{NOW_US, Random, catalog, column, commit, event, take};
use super::*;
use crate::committer::Committer;
use crate::worker::counting::Counting;
use tidewatch_storage::Store;

const TABLES: [&str; 3] = ["clicks", "all_clicks", "dead_letters"];

/// One life of a worker with room for six series: it counts some records and commits them to some of the
/// tables, in any order, before it dies. Returns how far all tables are.
async fn live_and_die(store: &Store, records: &[String], random: &mut Random, dies: bool) -> i64 {
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let (catalog, settings) = (catalog(), WorkerSettings { series_max: 6, ..settings() });
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
    let committer = Committer::open(store, &catalog, 0, metrics.clone(), clock).await.unwrap();
    let mut committer = committer.with_series(store, settings.series_max).await.unwrap();
    let mut counting = Counting::new(&catalog, &settings, metrics);
    let starts = counting.assign(&committer.try_positions(&[partition()]).await.unwrap(), NOW_US);
    let first = starts[&partition()] + 1;
    let end = if dies { first + 1 + random.below(20) as i64 } else { i64::MAX }.min(records.len() as i64);
    let mut pieces = Vec::new();
    for offset in first..end {
        counting.begin_poll(NOW_US);
        take(&mut counting, offset, &records[offset as usize], NOW_US);
        counting.end_poll().unwrap();
        if random.below(9) == 0 {
            pieces.extend(counting.freeze().unwrap().map(Arc::new));
        }
    }
    pieces.extend(counting.freeze().unwrap().map(Arc::new));
    if !dies || random.below(5) > 0 {
        assert!(committer.commit_series(&pieces).await);
        let mut tables = TABLES;
        (0..tables.len()).for_each(|i| tables.swap(i, random.below(3) as usize));
        for table in &tables[..if dies { random.below(4) as usize } else { 3 }] {
            commit(store, table, &pieces).await;
        }
    }
    committer.try_positions(&[partition()]).await.unwrap().starts()[&partition()]
}

#[tokio::test]
async fn a_restart_folds_what_was_folded_and_nothing_else() {
    const ROWS: &str = "SELECT page || ' ' || sum(n) FROM t GROUP BY page ORDER BY page";
    for seed in 1..=2 {
        let mut random = Random(seed);
        let records: Vec<String> = (0..150).map(|_| event(&format!("p{}", random.below(15)))).collect();
        let mut found = Vec::new();
        for dies in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
            let mut lives = 0;
            while live_and_die(&store, &records, &mut random, dies).await < records.len() as i64 - 1 {
                lives += 1;
                assert!(lives < 500);
            }
            assert_eq!(lives > 5, dies);
            found.push(column(&store, "clicks", ROWS).await);
        }
        assert_eq!(found[0].len(), 7, "six series and the folded ones: {found:?}");
        assert_eq!(found[0], found[1], "seed {seed}");
    }
}
