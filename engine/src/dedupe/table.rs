//! A set of hashes with a pane each: sorted arrays with gaps.
//!
//! A hash lies at the place that its value has within all values, or a little behind: so a hash that is
//! absent, which is the rule, is told from one or two cache lines. Arrays grow by a quarter, one of many
//! shards at a time, so memory stays between 22 and 29 bytes for an id while it grows.

/// Shards are told by the upper bits of a hash.
const SHARD_BITS: u32 = 6;
/// Fewest slots of a shard that has any.
const SLOTS_MIN: usize = 16;
/// Slots behind the last one that are made at once, for what piles up there.
const SPILL: usize = 8;
/// A slot without a hash. The hash of that value is kept as the next one.
const EMPTY: u128 = 0;

/// Hashes with the lower bits of the number of their pane.
#[derive(Debug)]
pub(super) struct IdTable {
    shards: Vec<Shard>,
    len: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// Ascending but for empty slots; may be longer than `room`, for what piles up at the end.
    hashes: Vec<u128>,
    panes: Vec<u16>,
    len: usize,
    /// Slots that hashes are spread over.
    room: usize,
}

impl Default for IdTable {
    fn default() -> Self {
        Self { shards: (0..1 << SHARD_BITS).map(|_| Shard::default()).collect(), len: 0 }
    }
}

impl IdTable {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn size_bytes(&self) -> usize {
        let slots = |s: &Shard| s.hashes.capacity() * size_of::<u128>() + s.panes.capacity() * size_of::<u16>();
        self.shards.iter().map(|s| slots(s) + size_of::<Shard>()).sum()
    }

    pub fn get(&self, hash: u128) -> Option<u16> {
        let hash = hash.max(EMPTY + 1);
        let shard = &self.shards[shard_of(hash)];
        shard.find(hash).ok().map(|at| shard.panes[at])
    }

    /// Adds a hash, or gives it another pane.
    pub fn insert(&mut self, hash: u128, pane: u16) {
        let hash = hash.max(EMPTY + 1);
        let shard = &mut self.shards[shard_of(hash)];
        let before = shard.len;
        shard.insert(hash, pane);
        self.len += shard.len - before;
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, more: usize) {
        let room = spacious((self.len + more) >> SHARD_BITS);
        for shard in self.shards.iter_mut().filter(|s| s.room < room) {
            shard.rebuild(room, |_| true);
        }
    }

    /// Keeps the hashes of some panes only, and gives memory back.
    pub fn retain(&mut self, keep: impl Fn(u16) -> bool) {
        for shard in &mut self.shards {
            let live = shard.hashes.iter().zip(&shard.panes).filter(|&(&h, &p)| h != EMPTY && keep(p)).count();
            if live < shard.len {
                shard.rebuild(spacious(live), &keep);
            }
        }
        self.len = self.shards.iter().map(|s| s.len).sum();
    }
}

fn shard_of(hash: u128) -> usize {
    (hash >> (128 - SHARD_BITS)) as usize
}

/// Slots for so many hashes, with a quarter to spare.
fn spacious(len: usize) -> usize {
    if len == 0 { 0 } else { (len + len / 2).max(SLOTS_MIN) }
}

impl Shard {
    /// Is there no room for one more? Four slots of five may be taken.
    fn is_full(&self) -> bool {
        (self.len + 1) * 5 > self.room * 4
    }

    /// Where a hash would lie if it were alone: larger hashes lie further on.
    fn home(&self, hash: u128) -> usize {
        let upper = ((hash << SHARD_BITS) >> 64) as u64;
        ((u128::from(upper) * self.room as u128) >> 64) as usize
    }

    /// The slot of a hash, or the one where it belongs.
    fn find(&self, hash: u128) -> Result<usize, usize> {
        let home = self.home(hash);
        for (at, &other) in self.hashes.iter().enumerate().skip(home) {
            if other == hash {
                return Ok(at);
            }
            if other == EMPTY || other > hash {
                return Err(at);
            }
        }
        Err(self.hashes.len().max(home))
    }

    fn insert(&mut self, hash: u128, pane: u16) {
        if let Ok(at) = self.find(hash) {
            self.panes[at] = pane;
            return;
        }
        if self.is_full() {
            self.rebuild(SLOTS_MIN.max(self.room + self.room / 4), |_| true);
        }
        let at = self.find(hash).unwrap_or_else(|at| at);
        let free = self.hashes[at..].iter().position(|&h| h == EMPTY).map(|offset| at + offset);
        let free = free.unwrap_or_else(|| {
            self.extend_to(self.hashes.len() + 1);
            self.hashes.len() - 1
        });
        self.hashes[at..=free].rotate_right(1);
        self.panes[at..=free].rotate_right(1);
        (self.hashes[at], self.panes[at]) = (hash, pane);
        self.len += 1;
    }

    /// Adds slots behind the last one.
    fn extend_to(&mut self, slots: usize) {
        if slots > self.hashes.capacity() {
            // Not twice as many, as a vector would by itself.
            let more = slots + SPILL - self.hashes.len();
            self.hashes.reserve_exact(more);
            self.panes.reserve_exact(more);
        }
        self.hashes.resize(slots, EMPTY);
        self.panes.resize(slots, 0);
    }

    /// Spreads the hashes to keep over so many slots.
    fn rebuild(&mut self, room: usize, keep: impl Fn(u16) -> bool) {
        let old = std::mem::replace(self, Self { room, ..Self::default() });
        if room > 0 {
            self.extend_to(room);
        }
        let mut next = 0;
        for (hash, pane) in old.hashes.into_iter().zip(old.panes) {
            if hash == EMPTY || !keep(pane) {
                continue;
            }
            let at = self.home(hash).max(next);
            if at >= self.hashes.len() {
                self.extend_to(at + 1);
            }
            (self.hashes[at], self.panes[at]) = (hash, pane);
            self.len += 1;
            next = at + 1;
        }
    }
}
