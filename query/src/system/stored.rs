//! What the logs of the tables say.

use super::{count, instants, numbers, texts};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::sql::{SqlEngine, SqlError};
use arrow::array::{ArrayRef, BooleanArray};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use tidewatch_storage::Table;

/// Tables whose logs are read at the same time.
const PARALLEL_TABLES: usize = 16;
/// Commits of one table that are shown.
const COMMITS_MAX: usize = 1000;

/// All tables that exist.
async fn all(engine: &SqlEngine) -> Result<Snapshot, SnapshotError> {
    let snapshots = engine.snapshots();
    let names = snapshots.store().table_names().await?;
    snapshots.take(&names).await
}

fn stored(snapshot: &Snapshot) -> impl Iterator<Item = (&String, &Table)> {
    snapshot.tables.iter().filter_map(|(name, table)| Some((name, table.stored.as_ref()?)))
}

pub(super) async fn commits(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let snapshot = all(engine).await?;
    let mut asked: Vec<BoxFuture<'_, _>> = Vec::new();
    for (_, table) in stored(&snapshot) {
        asked.push(table.commits(COMMITS_MAX).boxed());
    }
    let of_tables: Vec<_> = stream::iter(asked).buffered(PARALLEL_TABLES).try_collect().await?;
    let rows: Vec<_> = stored(&snapshot)
        .zip(of_tables)
        .flat_map(|((name, _), commits)| commits.into_iter().map(move |commit| (name.as_str(), commit)))
        .collect();
    Ok(vec![
        texts(rows.iter().map(|r| Some(r.0))),
        numbers(rows.iter().map(|r| count(r.1.version))),
        instants(rows.iter().map(|r| r.1.time_us)),
        texts(rows.iter().map(|r| Some(r.1.kind.as_str()))),
        numbers(rows.iter().map(|r| r.1.rows.and_then(count))),
        numbers(rows.iter().map(|r| count(r.1.files_added))),
        numbers(rows.iter().map(|r| count(r.1.files_removed))),
    ])
}

pub(super) async fn files(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let snapshot = all(engine).await?;
    let mut rows = Vec::new();
    for (name, table) in &snapshot.tables {
        let files = table.files()?;
        rows.extend(files.into_iter().map(|file| (name.as_str(), file)));
    }
    let rolled_up: BooleanArray = rows.iter().map(|r| r.1.tier.is_some().then_some(r.1.rolled_up)).collect();
    Ok(vec![
        texts(rows.iter().map(|r| Some(r.0))),
        texts(rows.iter().map(|r| Some(r.1.path.as_str()))),
        texts(rows.iter().map(|r| r.1.tier.as_deref())),
        Arc::new(rolled_up),
        numbers(rows.iter().map(|r| count(r.1.bytes))),
        numbers(rows.iter().map(|r| count(r.1.rows))),
        instants(rows.iter().map(|r| r.1.times.map(|t| t.0))),
        instants(rows.iter().map(|r| r.1.times.map(|t| t.1))),
    ])
}

/// Table, topic, partition, last offset covered, watermark.
pub(super) type Offset = (String, String, i32, i64, Option<i64>);

pub(super) async fn all_offsets(engine: &SqlEngine) -> Result<Vec<Offset>, SqlError> {
    let snapshot = all(engine).await?;
    let mut rows = Vec::new();
    for (name, table) in stored(&snapshot) {
        let records = table.records().await?;
        for (partition, &offset) in &records.offsets {
            let watermark = records.watermarks.get(partition).copied();
            rows.push((name.clone(), partition.topic.to_string(), partition.partition, offset, watermark));
        }
    }
    Ok(rows)
}

pub(super) async fn offsets(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let rows = all_offsets(engine).await?;
    Ok(vec![
        texts(rows.iter().map(|r| Some(&r.0))),
        texts(rows.iter().map(|r| Some(&r.1))),
        numbers(rows.iter().map(|r| Some(i64::from(r.2)))),
        numbers(rows.iter().map(|r| Some(r.3))),
        instants(rows.iter().map(|r| r.4)),
    ])
}
