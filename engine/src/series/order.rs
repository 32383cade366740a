//! The order of keys: by window, then by the values of their dimensions, null first.
//!
//! Values are sorted once each, and rows by the places of their values: as numbers, of which one holds a whole key.
//! Sorting rows by their values is several times slower, and was most of what preparing a commit cost.

use super::{Interner, KeyTable, Values};

impl Interner {
    /// The place of each number among the values, that of null being 0.
    pub fn places(&self) -> Vec<u32> {
        match &self.values {
            Values::Utf8 { bytes, ends, .. } => {
                let text = |number: usize| &bytes[ends[number - 1]..ends[number]];
                places(ends.len(), |number| (prefix(text(number)), text(number)))
            }
            Values::Int64(list) | Values::Timestamp(list) => places(list.len() + 1, |number| list[number - 1]),
            // Null, false, true.
            Values::Boolean => (0..3).collect(),
        }
    }
}

/// The first bytes of a text, which tell most of two apart.
fn prefix(text: &[u8]) -> u64 {
    let mut word = [0; 8];
    let length = text.len().min(word.len());
    word[..length].copy_from_slice(&text[..length]);
    u64::from_be_bytes(word)
}

/// Places of the numbers from 1 to below `end` by their values; 0 has that of 0.
fn places<V: Ord>(end: usize, value: impl Fn(usize) -> V) -> Vec<u32> {
    let mut sorted: Vec<(V, u32)> = (1..end).map(|number| (value(number), number as u32)).collect();
    sorted.sort_unstable();
    let mut places = vec![0; end];
    for (place, (_, number)) in (1..).zip(sorted) {
        places[number as usize] = place;
    }
    places
}

impl KeyTable {
    /// Slots in the order of their keys; `places` are those of the numbers of each dimension.
    pub fn order(&self, places: &[&[u32]]) -> Vec<u32> {
        debug_assert_eq!(places.len(), self.dimensions);
        let mut windows = self.windows.clone();
        windows.sort_unstable();
        windows.dedup();
        let widths = places.iter().map(|places| bits(places.len()));
        let width: u32 = widths.clone().sum::<u32>() + bits(windows.len()) + u32::BITS;
        if width > u128::BITS {
            return self.order_by_parts(places);
        }
        let widths: Vec<u32> = widths.collect();
        // Neighbouring slots often lie in one window.
        let mut last = (i64::MIN, 0);
        let key = |slot: usize| {
            if last.0 != self.windows[slot] || slot == 0 {
                last = (self.windows[slot], windows.partition_point(|&window| window < self.windows[slot]));
            }
            let mut key = last.1 as u128;
            for ((number, places), width) in self.numbers(slot).iter().zip(places).zip(&widths) {
                key = key << width | u128::from(places[*number as usize]);
            }
            key << u32::BITS | slot as u128
        };
        let mut keys: Vec<u128> = (0..self.len()).map(key).collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| key as u32).collect()
    }

    /// The same for keys that no number holds.
    fn order_by_parts(&self, places: &[&[u32]]) -> Vec<u32> {
        let parts = |slot: u32| {
            let numbers = self.numbers(slot as usize).iter().zip(places);
            (self.windows[slot as usize], numbers.map(|(number, places)| places[*number as usize]))
        };
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| {
            let ((window_a, a), (window_b, b)) = (parts(a), parts(b));
            window_a.cmp(&window_b).then_with(|| a.cmp(b))
        });
        order
    }

    fn numbers(&self, slot: usize) -> &[u32] {
        &self.lanes[slot * self.dimensions..][..self.dimensions]
    }
}

/// Bits that hold all numbers below this.
fn bits(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

#[cfg(test)]
mod tests;
