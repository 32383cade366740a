//! Counts the journal into the tables that do not have it yet.

use super::{JournalReader, LettersError};
use crate::dead_letter::DEAD_LETTERS;
use crate::event_ids::EVENT_IDS;
use crate::piece::Reads;
use crate::pipeline::{Pipeline, PipelineError};
use crate::source::{JournalSource, journal_partition};
use crate::worker::WorkerError;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::BEFORE_FIRST;

/// Rounds without any progress of any table before it is given up.
const FRUITLESS_MAX: u32 = 10;
/// Pause after a round that came to nothing because somebody else was counting.
const FRUITLESS_PAUSE: Duration = Duration::from_millis(200);

/// Why letters in the journal are not counted yet. They stay there, and the next redrive counts them.
#[derive(Debug, Error)]
pub enum RedriveError {
    /// The journal or the tables cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// The worker cannot start.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The worker stopped.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Others commit all the time, or a commit says it is made and is not.
    #[error(
        "the journal is counted up to {position} of {end} and comes no further\n  hint: run it again when no other redrive runs"
    )]
    Stuck {
        /// Number up to which every table has counted.
        position: i64,
        /// Number of the last row.
        end: i64,
    },
}

/// Counts every row of the journal, each once into each table, whoever else does the same.
pub async fn count_journal(pipeline: &Pipeline, journal: &JournalReader) -> Result<(), RedriveError> {
    let mut before = journal_positions(pipeline).await?;
    let mut fruitless = 0;
    loop {
        let position = before.values().min().copied().unwrap_or(BEFORE_FIRST);
        if position >= journal.end() {
            return Ok(());
        }
        if fruitless == FRUITLESS_MAX {
            return Err(RedriveError::Stuck { position, end: journal.end() });
        }
        let source = JournalSource::new(journal.clone(), pipeline.runtime.clone());
        let mut worker = pipeline.start(Box::new(source)).await?;
        // A worker whose last commit another one has overtaken ends well, too: the tables tell.
        worker.ended().await?;
        let after = journal_positions(pipeline).await?;
        fruitless = if after == before { fruitless + 1 } else { 0 };
        if after == before {
            tokio::time::sleep(FRUITLESS_PAUSE).await;
        }
        before = after;
    }
}

/// How far each table that reads the journal has counted it. The table of pushed samples does not.
pub async fn journal_positions(pipeline: &Pipeline) -> Result<BTreeMap<String, i64>, LettersError> {
    let partition = journal_partition();
    let tables = pipeline.catalog.tables();
    let names = tables.iter().filter(|t| Reads::of(t).covers(&partition)).map(|t| t.schema.name.clone());
    let mut positions = BTreeMap::new();
    let ids = pipeline.settings.dedupe.is_on().then(|| EVENT_IDS.to_owned());
    for name in names.chain([DEAD_LETTERS.to_owned()]).chain(ids) {
        let position = match pipeline.store.table(&name).await? {
            Some(mut table) => table.positions(std::slice::from_ref(&partition)).await?.get(&partition).copied(),
            None => None,
        };
        positions.insert(name, position.unwrap_or(BEFORE_FIRST));
    }
    Ok(positions)
}

#[cfg(test)]
mod tests;
