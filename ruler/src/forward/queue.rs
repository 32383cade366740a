//! What waits for one Alertmanager.

use std::collections::VecDeque;
use std::sync::Arc;

/// Alerts that wait, as JSON, oldest first. At the bound the oldest go: a newer word about an alert counts more.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Arc<str>>,
    capacity: usize,
    in_flight: usize,
}

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity, in_flight: 0 }
    }

    /// Adds alerts; returns how many had to go.
    pub fn push(&mut self, alerts: &[Arc<str>]) -> usize {
        self.waiting.extend(alerts.iter().cloned());
        let over = self.waiting.len().saturating_sub(self.capacity);
        self.waiting.drain(..over);
        over
    }

    /// The oldest, at most `batch_max`; none when none wait.
    pub fn take(&mut self, batch_max: usize) -> Vec<Arc<str>> {
        let batch: Vec<Arc<str>> = self.waiting.drain(..batch_max.min(self.waiting.len())).collect();
        self.in_flight = batch.len();
        batch
    }

    /// What was taken is dealt with.
    pub fn settle(&mut self) {
        self.in_flight = 0;
    }

    /// Gives up all, what is on its way too; returns how many.
    pub fn abandon(&mut self) -> usize {
        let all = self.waiting.len() + std::mem::take(&mut self.in_flight);
        self.waiting.clear();
        all
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
