//! Replacing files, checkpoints, and what is deleted.

use super::*;
use std::time::Duration;

const TIERS: [&str; 2] = ["10s", "1m"];

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// A roll of these files: their sum as one row of the own and one of the next tier.
fn roll(files: &[DataFile], requests: i64) -> Replacement {
    let part = |tier: &str, rolled_up| Part { tier: Some(tier.to_owned()), rolled_up, batch: batch(0, requests) };
    Replacement {
        remove: files.iter().map(|f| f.path.clone()).collect(),
        add: vec![part(TIERS[0], true), part(TIERS[1], false)],
        ..Replacement::default()
    }
}

fn listing(table: &Table) -> Vec<String> {
    let files = table.files(Some("window_start")).unwrap();
    let row = |f: &DataFile| {
        assert!(f.bytes > 0 && f.path.ends_with(".parquet"));
        format!("{} {} {:?} {}", f.tier.as_deref().unwrap(), f.rolled_up, f.times.unwrap(), f.rows)
    };
    let mut rows: Vec<String> = files.iter().map(row).collect();
    rows.sort();
    rows
}

async fn opened(dir: &tempfile::TempDir) -> (Store, Table) {
    let store = store(dir);
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    table.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    table.append(&rows(4, 9)).await.unwrap();
    (store, table)
}

#[tokio::test]
async fn files_are_listed_read_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut table) = opened(&dir).await;
    assert_eq!(listing(&table), ["10s false (0, 0) 1", "10s false (0, 0) 1"]);
    let files = table.files(None).unwrap();
    let read = table.read(&files[0].path, rollup().arrow_schema()).await.unwrap();
    assert_eq!((read.len(), read[0].num_rows(), read[0].schema()), (1, 1, rollup().arrow_schema()));
    let outcome = table.replace(&roll(&files, 9)).await.unwrap();
    assert_eq!(outcome, ReplaceOutcome::Committed { version: table.version() });
    assert_eq!(listing(&table), ["10s true (0, 0) 1", "1m false (0, 0) 1"]);
    let mut reopened = store.table("calls").await.unwrap().unwrap();
    assert_eq!(listing(&reopened), listing(&table));
    assert_eq!(reopened.positions(&[partition()]).await.unwrap()[&partition()], 9, "offsets are as they were");
    // The table goes on from there.
    assert!(matches!(table.append(&rows(9, 12)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert_eq!(table.file_count(), 3);
}

#[tokio::test]
async fn appends_and_replacements_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut worker) = opened(&dir).await;
    let mut keeper = store.table("calls").await.unwrap().unwrap();
    let files = keeper.files(None).unwrap();
    // The keeper has not seen these appends.
    worker.append(&rows(9, 12)).await.unwrap();
    worker.append(&rows(12, 15)).await.unwrap();
    assert!(matches!(keeper.replace(&roll(&files, 9)).await.unwrap(), ReplaceOutcome::Committed { .. }));
    assert_eq!(keeper.file_count(), 4);
    // The worker has not seen the replacement, nor one that removes data for good.
    assert!(matches!(worker.append(&rows(15, 20)).await.unwrap(), AppendOutcome::Committed { .. }));
    let old = keeper.files(None).unwrap().into_iter().find(|f| f.rolled_up).unwrap();
    let expire = Replacement {
        remove: vec![old.path],
        changes_data: true,
        retained: Some(("10s".into(), 7)),
        ..Default::default()
    };
    assert!(matches!(keeper.replace(&expire).await.unwrap(), ReplaceOutcome::Committed { .. }));
    assert!(matches!(worker.append(&rows(20, 21)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert_eq!(worker.retained("10s").await.unwrap(), Some(7));
    assert_eq!(worker.retained("1m").await.unwrap(), None);
    keeper.refresh().await.unwrap();
    assert_eq!(keeper.positions(&[partition()]).await.unwrap()[&partition()], 21);
    assert_eq!(
        listing(&keeper),
        ["10s false (0, 0) 1"; 4].into_iter().chain(["1m false (0, 0) 1"]).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn of_two_replacements_of_one_file_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut first) = opened(&dir).await;
    let mut second = store.table("calls").await.unwrap().unwrap();
    let files = first.files(None).unwrap();
    assert!(matches!(first.replace(&roll(&files, 9)).await.unwrap(), ReplaceOutcome::Committed { .. }));
    assert_eq!(second.replace(&roll(&files[..1], 4)).await.unwrap(), ReplaceOutcome::Conflict);
    assert_eq!(listing(&second), ["10s true (0, 0) 1", "1m false (0, 0) 1"], "and the newest version is loaded");
    // What the loser wrote is gone already.
    assert_eq!(second.vacuum(Duration::ZERO).await.unwrap(), 2, "the two files that were replaced");
    // A boundary moves forward only.
    let move_to = |boundary| Replacement { retained: Some(("10s".to_owned(), boundary)), ..Default::default() };
    assert!(matches!(second.replace(&move_to(60)).await.unwrap(), ReplaceOutcome::Committed { .. }));
    assert_eq!(first.replace(&move_to(60)).await.unwrap(), ReplaceOutcome::Conflict);
}

/// The multi-threaded runtime is what `deltalake` needs to write checkpoints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_survive_checkpoints_and_the_clean_up_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut worker) = opened(&dir).await;
    let mut idle = store.table("calls").await.unwrap().unwrap();
    let mut keeper = store.table("calls").await.unwrap().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the log itself takes its times from the wall")]
    let now_us = || chrono::Utc::now().timestamp_micros() + 1_000_000;
    assert!(!keeper.checkpoint(10, Duration::ZERO, now_us()).await.unwrap());
    let retained = Replacement { retained: Some(("10s".into(), 70)), ..Replacement::default() };
    keeper.replace(&retained).await.unwrap();
    let mut to = 9;
    for _ in 0..4 {
        for _ in 0..70 {
            worker.append(&rows(to, to + 1)).await.unwrap();
            to += 1;
        }
        keeper.refresh().await.unwrap();
        let files = keeper.files(None).unwrap();
        keeper.replace(&roll(&files, to)).await.unwrap();
        assert!(keeper.checkpoint(60, Duration::ZERO, now_us()).await.unwrap());
        assert!(!keeper.checkpoint(60, Duration::ZERO, now_us()).await.unwrap());
    }
    let log = std::fs::read_dir(dir.path().join("calls/_delta_log")).unwrap().count();
    assert!(log < 90, "{log} entries in the log");
    let mut fresh = store.table("calls").await.unwrap().unwrap();
    assert_eq!(fresh.positions(&[partition()]).await.unwrap()[&partition()], to);
    assert_eq!(fresh.watermark(&partition()).await.unwrap(), Some(to * 10));
    assert_eq!(fresh.retained("10s").await.unwrap(), Some(70));
    assert_eq!(fresh.retained("1m").await.unwrap(), None);
    // Handles that were loaded long before go on.
    idle.refresh().await.unwrap();
    assert_eq!(idle.positions(&[partition()]).await.unwrap()[&partition()], to);
    assert_eq!(idle.retained("10s").await.unwrap(), Some(70));
    assert!(matches!(idle.append(&rows(to, to + 5)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert!(matches!(worker.append(&rows(to, to + 5)).await.unwrap(), AppendOutcome::AlreadyCommitted));
    assert!(matches!(worker.append(&rows(to + 5, to + 6)).await.unwrap(), AppendOutcome::Committed { .. }));
}

#[tokio::test]
async fn files_of_a_commit_that_never_happened_are_deleted_after_a_grace() {
    let dir = tempfile::tempdir().unwrap();
    let (_, table) = opened(&dir).await;
    // Killed between writing and committing.
    let part = Part { tier: Some("10s".into()), rolled_up: true, batch: batch(0, 9) };
    let orphans = table.write(&[part]).await.unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(table.vacuum(Duration::from_secs(3600)).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(table.vacuum(Duration::ZERO).await.unwrap(), 1);
    assert!(!dir.path().join("calls").join(&orphans[0].path).exists());
    assert_eq!(listing(&table), ["10s false (0, 0) 1", "10s false (0, 0) 1"]);
    for file in table.files(None).unwrap() {
        table.read(&file.path, rollup().arrow_schema()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_opened_while_its_log_is_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    let writer = tokio::spawn(async move {
        for version in 0..60 {
            table.append(&rows(version - 1, version)).await.unwrap();
            table.checkpoint(1, Duration::ZERO, i64::MAX / 2).await.unwrap();
        }
    });
    let mut opened = 0;
    while !writer.is_finished() {
        let table = store.table("calls").await.unwrap();
        assert!(table.is_some());
        opened += 1;
    }
    writer.await.unwrap();
    assert!(opened > 0);
}
