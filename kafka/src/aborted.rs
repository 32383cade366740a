//! Which batches belong to transactions that were aborted.

use crate::batch::Batch;
use std::collections::HashSet;

/// What a response says of aborted transactions of one partition, and how far it was read.
#[derive(Debug, Default)]
pub struct Aborted {
    /// First offset and producer, the last transaction first.
    coming: Vec<(i64, i64)>,
    /// Producers whose aborted transaction is being passed.
    open: HashSet<i64>,
}

impl Aborted {
    /// Of producers and first offsets.
    pub fn new(transactions: &[(i64, i64)]) -> Self {
        let mut coming: Vec<_> = transactions.iter().map(|&(producer, first)| (first, producer)).collect();
        coming.sort_unstable_by(|a, b| b.cmp(a));
        Self { coming, open: HashSet::new() }
    }

    /// Does this batch hold records that count? To be asked of each, in order.
    pub fn counts(&mut self, batch: &Batch<'_>) -> bool {
        while let Some(&(first, producer)) = self.coming.last()
            && first <= batch.last_offset
        {
            self.open.insert(producer);
            self.coming.pop();
        }
        if batch.is_control {
            // A producer has one transaction at a time: whichever way it ended, it has. An aborted one that is
            // still to come begins behind this marker.
            self.open.remove(&batch.producer);
            return false;
        }
        !(batch.is_transactional && self.open.contains(&batch.producer))
    }
}

#[cfg(test)]
mod tests;
