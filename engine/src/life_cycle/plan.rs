//! Which task comes next.

use super::{FileInfo, Life, LifeLimits, Task, boundary, bucket_us};
use crate::rollup::Tier;
use crate::time::window_start;
use std::collections::BTreeMap;

/// Keys are dropped when so many of them may be too old, as a part of the time that keys are kept:
/// dropping reads the whole table.
const DROP_STEPS: i64 = 10;

/// A bucket that has ended is still open for this part of its length: late rows come early.
const SETTLE_PART: i64 = 4;

/// In a closed bucket all files become one when the smaller ones together have this part of the rows of
/// the largest.
const CLOSED_PART: u64 = 8;

/// The most useful task, or `None` when there is nothing to do.
pub fn next_task(life: &Life, files: &[FileInfo], now_us: i64, limits: &LifeLimits) -> Option<Task> {
    match life {
        Life::Windows { tiers, boundaries } => {
            let rolls = (0..tiers.len().saturating_sub(1)).find_map(|tier| roll(tiers, tier, files, now_us, limits));
            rolls
                .or_else(|| (0..tiers.len()).find_map(|t| merge_windows(tiers, boundaries, t, files, now_us, limits)))
                .or_else(|| (0..tiers.len()).find_map(|t| expire_windows(tiers, boundaries, t, files, now_us)))
        }
        Life::Keys { retain_us, dropped_before } => drop_keys(*retain_us, *dropped_before, files, now_us, limits)
            .or_else(|| merge_alike((0..files.len()).collect(), files, limits).map(|f| merge(None, false, f, None))),
        Life::Log { retain_us, bucket_us } => {
            let before = retain_us.map(|r| now_us.saturating_sub(r));
            expire_log(before, files).or_else(|| {
                let chosen = merge_in_buckets((0..files.len()).collect(), *bucket_us, files, now_us, limits)?;
                Some(merge(None, false, chosen, before))
            })
        }
    }
}

fn merge(tier: Option<usize>, rolled_up: bool, files: Vec<usize>, drop_before: Option<i64>) -> Task {
    Task::Merge { tier, rolled_up, files, drop_before, is_whole: false }
}

/// Fresh files of a tier that is not the last.
fn roll(tiers: &[Tier], tier: usize, files: &[FileInfo], now_us: i64, limits: &LifeLimits) -> Option<Task> {
    let mut fresh: Vec<usize> = of(files, tier, false).collect();
    let newest = fresh.iter().filter_map(|&f| files[f].times).map(|t| t.1).max();
    // Rows of the next width are worth their file only when several of its windows are over.
    let age_us = limits.fresh_age_us.max(2 * tiers[tier + 1].pane_us);
    let is_old = newest.is_some_and(|n| n.saturating_add(age_us) <= now_us);
    // A query reads the fresh files of all finer tiers: they are fewer where each is worth more.
    let enough = if tier == 0 { limits.fresh_files } else { limits.fresh_files.div_ceil(2) };
    if fresh.len() < enough && !is_old {
        return None;
    }
    fresh.sort_by_key(|&f| (files[f].times, f));
    Some(Task::Roll { tier, files: within(fresh, files, limits) })
}

/// Files of a tier that stay what they are: rolled up, or fresh in the last tier.
fn kept(tiers: &[Tier], tier: usize) -> bool {
    tier + 1 < tiers.len()
}

fn merge_windows(
    tiers: &[Tier],
    boundaries: &[Option<i64>],
    tier: usize,
    files: &[FileInfo],
    now_us: i64,
    limits: &LifeLimits,
) -> Option<Task> {
    let rolled_up = kept(tiers, tier);
    let members = of(files, tier, rolled_up).collect();
    let chosen = merge_in_buckets(members, bucket_us(tiers[tier].pane_us), files, now_us, limits)?;
    Some(merge(Some(tier), rolled_up, chosen, boundaries.get(tier).copied().flatten()))
}

/// Files of one bucket of time that are worth merging.
fn merge_in_buckets(
    members: Vec<usize>,
    bucket_us: i64,
    files: &[FileInfo],
    now_us: i64,
    limits: &LifeLimits,
) -> Option<Vec<usize>> {
    let mut buckets: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for file in members {
        // A file that spans several buckets belongs to its last; windows are cut there when it is merged.
        if let Some((_, newest)) = files[file].times {
            buckets.entry(window_start(newest, bucket_us)).or_default().push(file);
        }
    }
    buckets.into_iter().find_map(|(start, members)| {
        let end = start.saturating_add(bucket_us);
        let is_closed = end.saturating_add(bucket_us / SETTLE_PART) <= now_us;
        let is_long_closed = end.saturating_add(2 * bucket_us) <= now_us;
        let alike = merge_alike(members.clone(), files, limits);
        alike.or_else(|| is_closed.then(|| merge_closed(members, files, is_long_closed, limits))?)
    })
}

/// Files of like size: each merge at least doubles the size of the file that every row is in, so a row is
/// rewritten a logarithmic number of times, and the files that are left grow from one to the next.
fn merge_alike(members: Vec<usize>, files: &[FileInfo], limits: &LifeLimits) -> Option<Vec<usize>> {
    let members = small_first(members, files, limits);
    let mut before = 0;
    let mut take = 0;
    for (count, &file) in members.iter().enumerate() {
        let rows = files[file].rows.max(1);
        if count + 1 >= limits.merge_files && rows <= before {
            take = count + 1;
        }
        before += rows;
    }
    at_least_two(within(members[..take].to_vec(), files, limits))
}

/// A bucket that gets hardly any rows any more ends as one file; a few late rows wait until they are worth
/// rewriting it, or until nothing more is to be expected.
fn merge_closed(members: Vec<usize>, files: &[FileInfo], is_final: bool, limits: &LifeLimits) -> Option<Vec<usize>> {
    let members = small_first(members, files, limits);
    let (largest, others) = members.split_last()?;
    let others_rows: u64 = others.iter().map(|&f| files[f].rows).sum();
    let is_worth_it = others_rows.saturating_mul(CLOSED_PART) >= files[*largest].rows;
    if !(is_final || is_worth_it || members.len() >= limits.merge_files) {
        return None;
    }
    at_least_two(within(members, files, limits))
}

fn expire_windows(
    tiers: &[Tier],
    boundaries: &[Option<i64>],
    tier: usize,
    files: &[FileInfo],
    now_us: i64,
) -> Option<Task> {
    // Age counts from the newest window, so that a replay of old events is not deleted as it comes in.
    let newest = files.iter().filter_map(|f| f.times).map(|t| t.1).max()?;
    let recorded = boundaries.get(tier).copied().flatten();
    let boundary = boundary(tiers, tier, now_us.min(newest))?.max(recorded.unwrap_or(i64::MIN));
    let is_gone = |&f: &usize| files[f].times.is_some_and(|(_, newest)| newest < boundary);
    let gone: Vec<usize> = of(files, tier, kept(tiers, tier)).filter(is_gone).collect();
    let moved = (recorded != Some(boundary)).then_some(boundary);
    (!gone.is_empty()).then_some(Task::Expire { tier: Some(tier), boundary: moved, files: gone })
}

fn expire_log(before: Option<i64>, files: &[FileInfo]) -> Option<Task> {
    let before = before?;
    let gone = (0..files.len()).filter(|&f| files[f].times.is_some_and(|(_, newest)| newest < before));
    let files: Vec<usize> = gone.collect();
    (!files.is_empty()).then_some(Task::Expire { tier: None, boundary: None, files })
}

/// All files of a keyed table, when keys may have been without events for long enough.
fn drop_keys(
    retain_us: Option<i64>,
    dropped_before: Option<i64>,
    files: &[FileInfo],
    now_us: i64,
    limits: &LifeLimits,
) -> Option<Task> {
    let retain_us = retain_us?;
    let before = now_us.saturating_sub(retain_us);
    let is_due = dropped_before.is_none_or(|d| d.saturating_add(retain_us / DROP_STEPS) <= before);
    let all: Vec<usize> = (0..files.len()).collect();
    // A key may have rows in every file: only all of them together tell that it is old.
    let fits = within(all.clone(), files, limits).len() == all.len();
    (is_due && fits && !all.is_empty()).then_some(Task::Merge {
        tier: None,
        rolled_up: false,
        files: all,
        drop_before: Some(before),
        is_whole: true,
    })
}

fn of(files: &[FileInfo], tier: usize, rolled_up: bool) -> impl Iterator<Item = usize> + '_ {
    (0..files.len()).filter(move |&f| files[f].tier == Some(tier) && files[f].rolled_up == rolled_up)
}

/// Files that may still be merged, smallest first.
fn small_first(mut members: Vec<usize>, files: &[FileInfo], limits: &LifeLimits) -> Vec<usize> {
    members.retain(|&f| files[f].bytes < limits.file_bytes);
    members.sort_by_key(|&f| (files[f].rows, f));
    members
}

/// As many of the first files as one task may read, at least one.
fn within(mut members: Vec<usize>, files: &[FileInfo], limits: &LifeLimits) -> Vec<usize> {
    let (mut bytes, mut rows) = (0u64, 0u64);
    let fits = members.iter().take_while(|&&f| {
        bytes = bytes.saturating_add(files[f].bytes);
        rows = rows.saturating_add(files[f].rows);
        bytes <= limits.task_bytes && rows <= limits.task_rows
    });
    let count = fits.count().max(1);
    members.truncate(count);
    members
}

fn at_least_two(files: Vec<usize>) -> Option<Vec<usize>> {
    (files.len() >= 2).then_some(files)
}
