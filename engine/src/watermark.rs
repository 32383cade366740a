//! Watermark per partition: the promise that no older event is expected. Lateness costs nothing here
//! (a late event is one more partial); the watermark only tells which windows are closed.

use crate::commit::TopicPartition;
use crate::live::LiveProgress;
use std::collections::BTreeMap;

/// How watermarks are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkSettings {
    /// How far events of one partition may be out of order, in microseconds.
    pub disorder_us: i64,
    /// A partition silent for longer (arrival time, microseconds) stops holding the minimum back.
    pub idle_after_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    event_time_max_us: Option<i64>,
    last_arrival_us: i64,
}

/// Follows the partitions of one worker.
#[derive(Debug)]
pub struct WatermarkTracker {
    settings: WatermarkSettings,
    partitions: BTreeMap<TopicPartition, Progress>,
}

impl WatermarkTracker {
    /// Follows nothing yet.
    pub fn new(settings: WatermarkSettings) -> Self {
        Self { settings, partitions: BTreeMap::new() }
    }

    /// Starts to follow a partition, at `now_us`, from the watermark of its last commit if there is one.
    pub fn assign(&mut self, partition: TopicPartition, committed_us: Option<i64>, now_us: i64) {
        let event_time_max_us = committed_us.map(|w| w.saturating_add(self.settings.disorder_us));
        self.partitions.insert(partition, Progress { event_time_max_us, last_arrival_us: now_us });
    }

    /// Stops following a partition.
    pub fn revoke(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// Notes that events up to `event_time_max_us` arrived at `now_us`. The caller has refused
    /// timestamps of the far future before: one of those would drag the watermark along.
    pub fn observe(&mut self, partition: &TopicPartition, event_time_max_us: i64, now_us: i64) {
        if let Some(progress) = self.partitions.get_mut(partition) {
            progress.event_time_max_us = progress.event_time_max_us.max(Some(event_time_max_us));
            progress.last_arrival_us = now_us;
        }
    }

    /// Watermark of one partition, `None` while it has shown no event.
    pub fn of(&self, partition: &TopicPartition) -> Option<i64> {
        let seen = self.partitions.get(partition)?.event_time_max_us?;
        Some(seen.saturating_sub(self.settings.disorder_us))
    }

    /// All watermarks, and their minimum over the partitions that are not idle. When every partition
    /// is idle, the latest of them speaks: nothing is left to wait for.
    pub fn progress(&self, now_us: i64) -> LiveProgress {
        let watermarks: BTreeMap<_, _> = self.partitions.keys().map(|p| (p.clone(), self.of(p))).collect();
        let is_idle = |p: &Progress| now_us.saturating_sub(p.last_arrival_us) > self.settings.idle_after_us;
        let mut active = self.partitions.iter().filter(|(_, p)| !is_idle(p)).map(|(p, _)| watermarks[p]).peekable();
        let is_idle = active.peek().is_none();
        let watermark = if !is_idle { active.min().flatten() } else { watermarks.values().max().copied().flatten() };
        LiveProgress { watermarks, watermark, is_idle, ..LiveProgress::default() }
    }
}

#[cfg(test)]
mod tests;
