//! Late events change numbers of the past, and with them what rules would have said. The record is corrected, and so are
//! messages that can be; nobody is told anew.
//!
//! ```text
//! late events ─▶ stretches that wait ─▶ rules that read them, run again ─▶ verdicts ─▶ ledger, metrics, digests
//!                late                   units, look                        judge      ├▶ alerts that are told later: marked
//!                                         ▲                                           └▶ messages: edited (told)
//!                     record (ledger), watch (when it was evaluated)
//! ```
//!
//! * A stretch is looked at once nothing more has come for it for a while ([`AmendSettings::delay_ms`]), one rule after
//!   another, with a rest after each that leaves three quarters of a processor to others.
//! * What is compared is the ledger with the true state machine run over the numbers as they are now
//!   ([`tidewatch_alerting::backtest`]). Only what began to fire where the late events can have mattered is judged, up to
//!   when they were heard of: from then on the rules have seen them.
//! * What fired while a rule was not evaluated, failed, or meant something else, is not judged ([`watch`]).
//! * A verdict is written down once, also after a restart; another one only when it is another.
//!
//! | to understand | read |
//! |---|---|
//! | what waits for how long | [`late`] |
//! | what differs | [`judge`] |
//! | what is run again | [`units`], [`look`] |
//! | what follows | `write`, [`told`] |

pub mod judge;
pub mod late;
pub mod look;
mod metrics;
mod record;
pub mod told;
pub mod units;
pub mod watch;
mod write;

pub use judge::{Said, Verdict};
pub use late::{Late, LateStretch, NoLate, Pending};
pub use told::ToldMessage;
pub(crate) use told::remember;
pub use watch::Watch;

use crate::begin::{RulerError, Shared};
use crate::store::{Store, StoreError};
use late::{Noted, Queue};
use metrics::{AmendMetrics, Skipped};
use prometheus::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidewatch_alerting::route::{Alert, Fingerprint};
use tidewatch_alerting::rules::group::RuleResult;
use tidewatch_notify::Clock;
use tidewatch_promql::Storage;
use tokio::runtime::Handle;
use tokio::sync::watch as flag;
use units::{Unit, units};
use watch::Watches;

/// How often is looked for what came late.
const POLL: Duration = Duration::from_secs(1);
/// A look back may take one part in so many of the time.
const SHARE: u32 = 4;
/// Longest rest after a rule.
const REST_MAX: Duration = Duration::from_secs(60);
/// Alerts whose amendment is put into what is told of them; beyond that those that fired first are forgotten.
const MARKS_MAX: usize = 10_000;
/// An alert is told again for so long after its end, in milliseconds.
const MARKS_KEEP_MS: i64 = 3_600_000;
/// How often is looked for what can be forgotten, in milliseconds.
const SWEEP_MS: i64 = 600_000;
/// Messages that can be corrected, and for how long, in milliseconds: as long as the outbox keeps replies.
const TOLD_MAX: usize = 10_000;
const TOLD_KEEP_MS: i64 = 30 * 86_400_000;

/// How the past is looked at again. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendSettings {
    /// A stretch is looked at when nothing more has come late for it for so long, …
    pub delay_ms: i64,
    /// … and at least so long after the first that came.
    pub wait_max_ms: i64,
    /// What could not be judged yet is looked at again after at most so long.
    pub again_max_ms: i64,
    /// What came later than so long after its time is not looked at.
    pub age_max_ms: i64,
    /// Stretches are looked at in blocks of at most this length, and alerts that fired for longer are not judged.
    pub block_ms: i64,
    /// Stretches that may wait; at the bound the one that has waited longest is given up.
    pub stretches_max: usize,
    /// Evaluations of rules for one stretch; rules beyond it are not looked at.
    pub instants_max: u64,
    /// Rows of the ledger that are read for one stretch; with more it is given up.
    pub rows_max: usize,
    /// A stretch is given up after so many failures.
    pub failures_max: u32,
}

impl Default for AmendSettings {
    fn default() -> Self {
        Self {
            delay_ms: 30_000,
            wait_max_ms: 300_000,
            again_max_ms: 600_000,
            age_max_ms: 7 * 86_400_000,
            block_ms: 6 * 3_600_000,
            stretches_max: 256,
            instants_max: 1_000_000,
            rows_max: 200_000,
            failures_max: 5,
        }
    }
}

/// What is known about the past and its corrections.
pub(crate) struct Amends {
    pub metrics: AmendMetrics,
    queue: Mutex<Queue>,
    watches: Mutex<Watches>,
    /// Amendments by when the alert fired, and by its fingerprint.
    marks: Mutex<BTreeMap<(i64, Fingerprint), String>>,
}

impl fmt::Debug for Amends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amends").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Amends {
    /// Goes on with what the last process has left. Blocks.
    pub fn open(store: &Store, registry: &Registry, now_ms: i64) -> Result<Self, RulerError> {
        let mut marks = BTreeMap::new();
        for said in store.said(None)? {
            let is_told = said.ended_ms.is_none_or(|ended_ms| ended_ms >= now_ms.saturating_sub(MARKS_KEEP_MS));
            if let Some(text) = write::mark_of(&said).filter(|_| is_told)
                && let Ok(alert) = u64::from_str_radix(&said.alert, 16)
            {
                marks.insert((said.fired_ms, Fingerprint(alert)), text);
            }
        }
        let metrics = AmendMetrics::register(registry)?;
        let queue = Queue { pending: store.late()? };
        metrics.waiting.set(i64::try_from(queue.pending.len()).unwrap_or(i64::MAX));
        Ok(Self {
            metrics,
            queue: Mutex::new(queue),
            watches: Mutex::new(Watches::new(store.watches()?)),
            marks: Mutex::new(marks),
        })
    }
}

/// Notes which rules there are from now on. Blocks.
pub(crate) fn adopt(shared: &Shared, now_ms: i64) -> Result<(), StoreError> {
    let (units, last) = shared.with_groups(|books| {
        let last: Vec<Option<i64>> = books.iter().map(|book| book.state.last_ms).collect();
        (all_units(shared, books), last)
    });
    let last_ms = |place: usize| last.get(place).copied().flatten();
    let changes = lock(&shared.amends.watches).adopt(&units, last_ms, now_ms);
    shared.store.write_watches(&changes)
}

/// Notes that a group was evaluated. Blocks.
pub(crate) fn watched(shared: &Shared, place: usize, results: &[RuleResult], at_ms: i64) {
    let changes = lock(&shared.amends.watches).evaluated(place, results, at_ms);
    let changes: Vec<_> = changes.into_iter().map(|(meaning, watch)| (meaning, Some(watch))).collect();
    if let Err(error) = shared.store.write_watches(&changes) {
        shared.metrics.store_failures.inc();
        tracing::error!(%error, "when rules were evaluated could not be written");
    }
}

/// Puts what was found out later into alerts that are told (again).
pub(crate) fn mark(shared: &Shared, alerts: &mut [Alert]) {
    let marks = lock(&shared.amends.marks);
    if marks.is_empty() {
        return;
    }
    for alert in alerts {
        let key = (alert.starts_at.timestamp_millis(), alert.fingerprint());
        if let Some(text) = marks.get(&key) {
            alert.detail.amendment = Some(text.clone());
        }
    }
}

fn all_units(shared: &Shared, books: &[crate::book::GroupBook]) -> Vec<Unit> {
    units(books, &shared.settings.groups, &*shared.data)
}

/// Looks back until it is stopped.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: flag::Receiver<bool>) {
    let runtime = Handle::current();
    let late = shared.data.late();
    let Some(past) = shared.data.past(&runtime) else { return };
    let mut swept_ms = shared.clock.now_ms();
    while !*stop.borrow() {
        let now_ms = shared.clock.now_ms();
        let (working, late, past, stopped) = (Arc::clone(&shared), Arc::clone(&late), Arc::clone(&past), stop.clone());
        let sweeps = now_ms >= swept_ms.saturating_add(SWEEP_MS);
        if sweeps {
            swept_ms = now_ms;
        }
        // The store waits for the disk, and a look back for its reads.
        let worked = tokio::task::spawn_blocking(move || {
            if sweeps {
                sweep(&working, now_ms);
            }
            collect(&working, &*late, now_ms);
            review(&working, &*late, &*past, now_ms, &|took| rest(took, &stopped, &*working.clock));
        });
        if let Err(error) = worked.await {
            tracing::error!(%error, "a look back did not end");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
}

/// Leaves the processor to others for a while; false when it is stopped.
fn rest(took: Duration, stop: &flag::Receiver<bool>, clock: &dyn Clock) -> bool {
    let until = clock.monotonic() + took.saturating_mul(SHARE - 1).min(REST_MAX);
    while !*stop.borrow() {
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    false
}

fn sweep(shared: &Shared, now_ms: i64) {
    let said_before_ms = now_ms.saturating_sub(shared.settings.ledger_retention_ms);
    if let Err(error) = shared.store.sweep_past(said_before_ms, now_ms.saturating_sub(TOLD_KEEP_MS), TOLD_MAX) {
        tracing::error!(%error, "amendments could not be swept");
    }
}

/// Takes in what came late, durably enough: after a kill the events are counted again, and are late again.
pub(crate) fn collect(shared: &Shared, late: &dyn Late, now_ms: i64) {
    let amends = &shared.amends;
    for stretch in late.take() {
        let noted = lock(&amends.queue).note(stretch, now_ms, &shared.settings.amend);
        let Some(Noted { mut joined, now, dropped }) = noted else {
            amends.metrics.skip(Skipped::Old);
            continue;
        };
        if let Some(dropped) = dropped {
            amends.metrics.skip(Skipped::Stretches);
            joined.push(dropped.key());
        }
        joined.retain(|key| *key != now.key());
        write_late(shared, &joined, &[now]);
    }
}

fn write_late(shared: &Shared, gone: &[String], waiting: &[Pending]) {
    let count = lock(&shared.amends.queue).pending.len();
    shared.amends.metrics.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    if let Err(error) = shared.store.write_late(gone, waiting) {
        shared.metrics.store_failures.inc();
        tracing::error!(%error, "late stretches could not be written");
    }
}

/// Looks at the stretches that are due at `now_ms`. `rest` is told how long each rule took, and says whether to go on.
/// Blocks.
pub(crate) fn review(
    shared: &Shared,
    late: &dyn Late,
    past: &dyn Storage,
    now_ms: i64,
    rest: &dyn Fn(Duration) -> bool,
) {
    let due = lock(&shared.amends.queue).due(now_ms, &shared.settings.amend);
    if due.is_empty() {
        return;
    }
    let units = shared.with_groups(|books| all_units(shared, books));
    for pending in due {
        let is_meant = |unit: &&Unit| {
            let rules = pending.rules.as_ref();
            rules.is_none_or(|rules| rules.contains(&(unit.group.clone(), unit.rule.clone())))
                && late.concerns(&pending.stretch.source, unit.metrics.as_ref())
                && has_past(shared, late, unit)
        };
        let units: Vec<&Unit> = units.iter().filter(is_meant).collect();
        let Some((left, failed)) = look_at(shared, &pending, &units, past, now_ms, rest) else { return };
        let left = remaining(shared, &pending, left, failed, now_ms);
        // More that came late meanwhile is looked at in its turn.
        if lock(&shared.amends.queue).settle(&pending, left.clone()) {
            let gone = if left.is_none() { vec![pending.key()] } else { Vec::new() };
            write_late(shared, &gone, left.as_slice());
        }
    }
}

fn has_past(shared: &Shared, late: &dyn Late, unit: &Unit) -> bool {
    let has_past = late.has_past(unit.metrics.as_ref());
    if !has_past {
        shared.amends.metrics.skip(Skipped::Present);
    }
    has_past
}

type Names = BTreeSet<(String, String)>;

/// Which rules could not be judged yet, and whether any failed; `None` when it was stopped.
fn look_at(
    shared: &Shared,
    pending: &Pending,
    units: &[&Unit],
    past: &dyn Storage,
    now_ms: i64,
    rest: &dyn Fn(Duration) -> bool,
) -> Option<(Names, bool)> {
    let (mut left, mut failed) = (Names::new(), false);
    let mut instants = shared.settings.amend.instants_max;
    let rows_from_ms = units.iter().map(|unit| look::rows_from(unit, pending)).min().unwrap_or(now_ms);
    let rows = match shared.store.rule_rows(rows_from_ms, shared.settings.amend.rows_max) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            shared.amends.metrics.skip(Skipped::Ledger);
            return Some((left, failed));
        }
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be read");
            return Some((units.iter().map(|unit| (unit.group.clone(), unit.rule.clone())).collect(), true));
        }
    };
    for unit in units {
        let started = shared.clock.monotonic();
        let watch = lock(&shared.amends.watches).of(unit.meaning);
        let looked = look::look(
            &look::Around { shared, unit, watch: &watch, rows: &rows, past, now_ms },
            pending,
            &mut instants,
        );
        let written = looked.and_then(|looked| {
            write::write(shared, unit, &watch, &looked, now_ms)?;
            Ok(looked.is_open)
        });
        match written {
            Ok(false) => {}
            Ok(true) => _ = left.insert((unit.group.clone(), unit.rule.clone())),
            Err(error) => {
                shared.amends.metrics.failures.inc();
                tracing::warn!(group = unit.group, rule = unit.rule, "the past could not be looked at: {error}");
                failed = true;
                left.insert((unit.group.clone(), unit.rule.clone()));
            }
        }
        if !rest(shared.clock.monotonic().saturating_sub(started)) {
            return None;
        }
    }
    Some((left, failed))
}

/// What waits on after a look.
fn remaining(shared: &Shared, pending: &Pending, left: Names, failed: bool, now_ms: i64) -> Option<Pending> {
    let settings = &shared.settings.amend;
    if left.is_empty() {
        return None;
    }
    let failures = pending.failures.saturating_add(u32::from(failed));
    if failures >= settings.failures_max {
        shared.amends.metrics.skip(Skipped::Failing);
        return None;
    }
    if pending.last_ms < now_ms.saturating_sub(settings.age_max_ms) {
        shared.amends.metrics.skip(Skipped::Old);
        return None;
    }
    // The longer it takes the less often.
    let wait_ms = now_ms.saturating_sub(pending.last_ms).min(settings.again_max_ms).max(settings.delay_ms);
    let again_ms = Some(now_ms.saturating_add(wait_ms));
    Some(Pending { again_ms, rules: Some(left), failures, ..pending.clone() })
}

#[cfg(test)]
mod tests;
