//! Which events were counted already: the ids of one partition, remembered for a horizon of arrival time.
//!
//! It is exact: a hash of 128 bits stands for an id, and nothing is forgotten by chance. What it answers
//! is a function of the events of the partition in their order, whatever the batching: time is that of
//! arrival, in panes of an hour, and goes on only with events that are remembered. So a replay from any
//! offset, with the ids of the events up to there restored, decides as the first run did.

mod table;

use std::collections::BTreeMap;
use table::IdTable;
use xxhash_rust::xxh3::xxh3_128;

/// Width of a pane of arrival time.
pub const PANE_US: i64 = 3_600_000_000;

/// How long ids are remembered, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeSettings {
    /// A copy that arrives so much later, in microseconds, still counts as one; 0 turns all of it off.
    pub horizon_us: i64,
    /// With more ids than this in memory the oldest pane goes early.
    pub ids_max: usize,
}

impl DedupeSettings {
    /// Are ids remembered at all?
    pub fn is_on(&self) -> bool {
        self.horizon_us > 0
    }

    /// How many panes back from the newest one ids are remembered: the horizon, and up to a pane more.
    pub fn horizon_panes(&self) -> i64 {
        self.horizon_us.div_euclid(PANE_US) + i64::from(self.horizon_us % PANE_US > 0)
    }
}

/// The hash that stands for an event: XXH3-128 of its source, a zero byte and its id.
pub fn event_hash(source: &str, id: &str, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    scratch.extend_from_slice(source.as_bytes());
    scratch.push(0);
    scratch.extend_from_slice(id.as_bytes());
    xxh3_128(scratch)
}

/// An id that no commit has yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewId {
    /// The hash.
    pub hash: u128,
    /// Offset of its record.
    pub offset: i64,
}

/// The remembered ids of one partition.
#[derive(Debug)]
pub struct SeenEvents {
    horizon_panes: i64,
    ids: IdTable,
    /// Ids by pane, pane numbers since the epoch.
    panes: BTreeMap<i64, usize>,
    newest: i64,
    /// The newest pane when expired ids were last thrown out.
    purged_at: i64,
    /// Ids since they were last taken, by pane.
    new: BTreeMap<i64, Vec<NewId>>,
    /// Ids of events up to this offset are stored already.
    stored_to: i64,
}

impl SeenEvents {
    /// Remembers nothing yet; ids of events up to `stored_to` are not new.
    pub fn new(settings: &DedupeSettings, stored_to: i64) -> Self {
        Self {
            horizon_panes: settings.horizon_panes(),
            ids: IdTable::default(),
            panes: BTreeMap::new(),
            newest: i64::MIN,
            purged_at: i64::MIN,
            new: BTreeMap::new(),
            stored_to,
        }
    }

    /// Is this the first event of that hash within the horizon? Then it is remembered.
    ///
    /// `arrival_us` is when the record came into its partition, in microseconds since the epoch.
    pub fn first(&mut self, hash: u128, arrival_us: i64, offset: i64) -> bool {
        let now = self.newest.max(arrival_us.div_euclid(PANE_US));
        let known = self.ids.get(hash).map(|pane| self.pane_number(pane));
        if known.is_some_and(|pane| now.saturating_sub(pane) <= self.horizon_panes) {
            return false;
        }
        known.into_iter().for_each(|pane| self.forget_one(pane));
        self.ids.insert(hash, now as u16);
        *self.panes.entry(now).or_default() += 1;
        self.advance(now);
        if offset > self.stored_to {
            self.new.entry(now).or_default().push(NewId { hash, offset });
        }
        true
    }

    /// Remembers what was stored, in any order of panes. `pane_start_us` is the start of the pane.
    pub fn restore(&mut self, pane_start_us: i64, hashes: &[u128]) {
        let pane = pane_start_us.div_euclid(PANE_US);
        self.ids.reserve(hashes.len());
        let mut added = 0;
        for &hash in hashes {
            match self.ids.get(hash).map(|known| self.pane_number(known)) {
                // An id that was seen again after the horizon.
                Some(known) if known >= pane => continue,
                Some(known) => self.forget_one(known),
                None => {}
            }
            self.ids.insert(hash, pane as u16);
            added += 1;
        }
        if added > 0 {
            *self.panes.entry(pane).or_default() += added;
            self.advance(pane);
        }
    }

    /// Takes the ids since the last call, by start of their pane in microseconds since the epoch.
    pub fn take_new(&mut self) -> Vec<(i64, Vec<NewId>)> {
        std::mem::take(&mut self.new).into_iter().map(|(pane, ids)| (pane * PANE_US, ids)).collect()
    }

    /// Ids in memory.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.ids.len() == 0
    }

    /// Memory of the ids.
    pub fn size_bytes(&self) -> usize {
        self.ids.size_bytes()
    }

    /// Memory of the ids that no commit has yet.
    pub fn new_bytes(&self) -> usize {
        self.new.values().map(|ids| ids.capacity() * size_of::<NewId>()).sum()
    }

    fn oldest_pane(&self) -> Option<i64> {
        self.panes.keys().next().copied()
    }

    /// Forgets one pane; returns how many ids it had.
    fn evict(&mut self, pane: i64) -> usize {
        let Some(count) = self.panes.remove(&pane) else { return 0 };
        self.ids.retain(|p| p != pane as u16);
        count
    }

    /// The number of a pane from its lower bits: panes in memory are close to each other.
    fn pane_number(&self, pane: u16) -> i64 {
        self.newest - i64::from((self.newest as u16).wrapping_sub(pane))
    }

    fn forget_one(&mut self, pane: i64) {
        if let Some(count) = self.panes.get_mut(&pane) {
            *count -= 1;
            if *count == 0 {
                self.panes.remove(&pane);
            }
        }
    }

    /// Moves on to a pane. What expired is thrown out now and then: that is a walk over all ids.
    fn advance(&mut self, pane: i64) {
        if pane <= self.newest {
            return;
        }
        self.newest = pane;
        let spacing = (self.horizon_panes / 8).max(1);
        if pane.saturating_sub(self.purged_at) < spacing {
            return;
        }
        self.purged_at = pane;
        let oldest = pane.saturating_sub(self.horizon_panes);
        let live = self.panes.split_off(&oldest);
        if std::mem::replace(&mut self.panes, live).is_empty() {
            return;
        }
        let (newest, horizon) = (pane as u16, self.horizon_panes);
        self.ids.retain(|p| i64::from(newest.wrapping_sub(p)) <= horizon);
    }
}

/// Forgets the oldest panes of all partitions until at most `ids_max` ids are left; returns how many went
/// before their time. Their events would count again.
pub fn evict_beyond(ids_max: usize, partitions: &mut [&mut SeenEvents]) -> usize {
    let mut evicted = 0;
    while partitions.iter().map(|p| p.len()).sum::<usize>() > ids_max {
        let Some(oldest) = partitions.iter().filter_map(|p| p.oldest_pane()).min() else { break };
        evicted += partitions.iter_mut().map(|p| p.evict(oldest)).sum::<usize>();
    }
    evicted
}

#[cfg(test)]
mod tests;
