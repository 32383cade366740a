//! What probes answer, decided from what was observed: no clock, no disk, no network.

use std::path::PathBuf;
use std::time::Duration;
use tidewatch_ingest::Failing;
use tidewatch_ingest::worker::Pulse;

/// How far a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The local log and the store are being opened.
    OpeningStore,
    /// Tables are opened or made, and workers begin.
    OpeningTables,
    /// Rules, routes and states of alerts are read.
    LoadingRules,
    /// All of it is there.
    Serving,
    /// What was read is being committed, and then it ends.
    Stopping,
}

/// Free space of a folder's disk, in bytes, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What lies there.
    pub of: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// What was found.
    pub free: Result<u64, String>,
}

/// Does a restart help? It does when a worker has work and does not go on.
///
/// Errors: the worker that stands still for longest.
pub fn alive(pulses: &[Pulse], now: Duration, stuck_after: Duration) -> Result<(), String> {
    let has_work = |pulse: &&Pulse| pulse.partitions > 0 || pulse.lag > 0 || pulse.is_committing;
    let at_work = pulses.iter().filter(|pulse| !pulse.has_ended).filter(has_work);
    let Some(slowest) = at_work.min_by_key(|pulse| pulse.turned) else { return Ok(()) };
    let still = now.saturating_sub(slowest.turned);
    if still < stuck_after {
        return Ok(());
    }
    let commit = if slowest.is_committing { ", and a commit that is not finished" } else { "" };
    Err(format!(
        "an ingest worker is stuck: it has not turned its loop for {} s (probes.stuck_after is {} s) and has {} partitions, {} records to read{commit}",
        still.as_secs(),
        stuck_after.as_secs(),
        slowest.partitions,
        slowest.lag,
    ))
}

/// Has it begun? Once it has, it has for ever: see [`super::Life`].
///
/// Errors: what it is at.
pub fn started(stage: Stage, pulses: &[Pulse]) -> Result<(), String> {
    match stage {
        Stage::OpeningStore => Err("starting: opening the local log and the store".to_owned()),
        Stage::OpeningTables => Err("starting: opening tables".to_owned()),
        Stage::LoadingRules => Err("starting: loading rules and the states of alerts".to_owned()),
        Stage::Serving | Stage::Stopping => match pulses.iter().filter(|p| p.turns == 0 && !p.has_ended).count() {
            0 => Ok(()),
            waiting => Err(format!("starting: {waiting} of {} workers have not begun", pulses.len())),
        },
    }
}

/// May it be asked, or is it about to end?
///
/// Errors: it is.
pub fn staying(stage: Stage) -> Result<(), String> {
    match stage {
        Stage::Stopping => Err("stopping: what was read is being committed".to_owned()),
        _ => Ok(()),
    }
}

/// Do commits come through?
///
/// Errors: so many attempts in a row have failed.
pub fn committing(worst: Option<&Failing>, failures_max: u64) -> Result<(), String> {
    match worst {
        Some(Failing { what, attempts, error }) if *attempts >= failures_max => {
            Err(format!("commits fail: {what}, {attempts} times in a row; the last time: {error}"))
        }
        _ => Ok(()),
    }
}

/// Is there room on the disks that are written to?
///
/// Errors: the first that has less than `free_min` bytes, or that cannot be looked at.
pub fn roomy(disks: &[Disk], free_min: u64) -> Result<(), String> {
    disks.iter().try_for_each(|Disk { of, folder, free }| match free {
        _ if free_min == 0 => Ok(()),
        Ok(free) if *free >= free_min => Ok(()),
        Ok(free) => Err(format!(
            "the disk of {of} is nearly full: {free} bytes are free at {}, probes.disk_free_min is {free_min}",
            folder.display()
        )),
        Err(error) => Err(format!("the disk of {of} cannot be looked at: {}: {error}", folder.display())),
    })
}

#[cfg(test)]
mod tests;
