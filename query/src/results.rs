//! Answers that are given again as long as nothing that they were made of has changed.
//!
//! An answer is known by the text of its query, the definitions in force, and for every table that it reads by
//! what the answer depends on:
//!
//! - of a table of windows, the stretch of time that the query asks for: the files with windows of that time
//!   (a file never changes, and its name is used once), how far back every width is kept, and that no row in
//!   memory lies in that time;
//! - of any other table, its version, and that no row of it is in memory.
//!
//! So commits of newer windows do not matter to a query over last week, and a late event does, at once: first
//! as a row in memory, then as a file. While windows of that time are still open, what is known of their
//! completeness belongs to the identity too.

use crate::metrics::{CacheCounters, CacheOutcome};
use crate::snapshot::SnapshotTable;
use crate::sql::SqlError;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use tidewatch_engine::rollup::Tier;
use tidewatch_engine::time::window_start;

/// Answers that are expected to be in it; the bound is on their bytes.
const ANSWERS_EXPECTED: usize = 1000;
/// A larger share of the cache for one answer would throw too much else out.
const SHARE_MAX: u64 = 4;

/// What an answer is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The query: of SQL without its comments and white space, of PromQL with its times.
    pub statement: String,
    /// The definitions in force.
    pub generation: u64,
    /// Hash of the states that it depends on.
    pub states: u128,
}

/// An answer that can be kept.
pub(crate) trait Kept: Clone {
    /// Memory that it takes, about.
    fn bytes(&self) -> usize;
}

/// Kept answers, oldest and least asked for thrown out first.
pub(crate) struct ResultCache<A: Kept> {
    answers: Option<Cache<Identity, Arc<A>, Bytes, DefaultHashBuilder, Evictions>>,
    bytes_max: u64,
    counters: CacheCounters,
}

impl<A: Kept> fmt::Debug for ResultCache<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl<A: Kept> Weighter<Identity, Arc<A>> for Bytes {
    fn weight(&self, identity: &Identity, answer: &Arc<A>) -> u64 {
        weight(identity, &**answer)
    }
}

fn weight(identity: &Identity, answer: &impl Kept) -> u64 {
    (answer.bytes() + identity.statement.len() + size_of::<Identity>()) as u64
}

/// Counts what is thrown out.
#[derive(Debug, Clone)]
struct Evictions(CacheCounters);

impl<A> Lifecycle<Identity, Arc<A>> for Evictions {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, _state: &mut (), _identity: Identity, _answer: Arc<A>) {
        self.0.evicted();
    }
}

impl<A: Kept> ResultCache<A> {
    /// A cache of so many bytes; 0: none.
    pub fn new(bytes_max: u64, counters: CacheCounters) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ANSWERS_EXPECTED)
            .weight_capacity(bytes_max)
            // One shard: the bound is that of all answers together.
            .shards(1)
            .build()
            .ok()
            .filter(|_| bytes_max > 0);
        let answers = options.map(|options| {
            Cache::with_options(options, Bytes, DefaultHashBuilder::default(), Evictions(counters.clone()))
        });
        Self { answers, bytes_max, counters }
    }

    /// A kept answer.
    pub fn get(&self, identity: &Identity) -> Option<Arc<A>> {
        let found = self.answers.as_ref()?.get(identity);
        match &found {
            Some(_) => self.counters.count(CacheOutcome::Hit),
            None => self.counters.count(CacheOutcome::Miss),
        }
        found
    }

    /// Keeps an answer, if it is not too large a part of the whole.
    pub fn keep(&self, identity: Identity, answer: &A) {
        let Some(answers) = &self.answers else { return };
        if weight(&identity, answer) <= self.bytes_max / SHARE_MAX {
            answers.insert(identity, Arc::new(answer.clone()));
        }
    }

    /// Is anything kept at all?
    pub fn is_on(&self) -> bool {
        self.answers.is_some()
    }

    /// A query that cannot be kept was asked.
    pub fn not_kept(&self) {
        self.counters.count(CacheOutcome::NotKept);
    }
}

/// A stretch of windows, half-open, microseconds since the epoch; `None`: all there are.
pub(crate) type Stretch = (Option<i64>, Option<i64>);

/// From the earlier start to the later end.
pub(crate) fn union(a: Stretch, b: Stretch) -> Stretch {
    (a.0.zip(b.0).map(|(a, b)| a.min(b)), a.1.zip(b.1).map(|(a, b)| a.max(b)))
}

/// What the windows of a stretch of time depend on. `None`: on rows in memory.
pub(crate) fn windows(table: &SnapshotTable, stretch: Stretch) -> Result<Option<String>, SqlError> {
    let Some(rollup) = &table.rollup else { return Ok(None) };
    // Windows of the widest tier that touch the stretch are read whole.
    let widest = tidewatch_engine::life_cycle::tiers_of(rollup).iter().map(|t: &Tier| t.pane_us).max().unwrap_or(1);
    let from = stretch.0.map(|from| window_start(from, widest));
    let to = stretch.1.map(|to| window_start(to.saturating_sub(1), widest).saturating_add(widest));
    let is_within = |time: i64| from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to);
    for batch in table.live.iter().filter(|b| b.num_rows() > 0) {
        let starts = batch.columns().first().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(starts) = starts else { return Ok(None) };
        if starts.iter().any(|start| start.is_none_or(is_within)) {
            return Ok(None);
        }
    }
    let mut state = format!("{:?} {rollup:?} {:?} ", table.schema, table.boundaries);
    let completeness = &table.completeness;
    let is_closed = to.is_some_and(|to| to <= completeness.complete_until_us) && completeness.unfilled.is_none();
    match is_closed {
        true => state.push_str("closed"),
        false => _ = write!(state, "{completeness:?}"),
    }
    for file in table.files()? {
        let touches = file
            .times
            .is_none_or(|(first, last)| to.is_none_or(|to| first < to) && from.is_none_or(|from| last >= from));
        if touches {
            let _ = write!(state, " {}", file.path);
        }
    }
    Ok(Some(state))
}
