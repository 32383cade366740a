//! Interning of dimension values and of whole keys.
//!
//! Each dimension value becomes a small number once per batch column, and a row's key becomes the
//! number of its *slot*: the dense index under which every aggregate of a rollup keeps its state.

mod order;

use crate::rollup::DimensionType;
use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use hashbrown::HashTable;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Number of a null.
const NULL: u32 = 0;

/// Values of one dimension, numbered in order of appearance; 0 is null.
#[derive(Debug)]
pub struct Interner {
    values: Values,
    numbers: HashTable<u32>,
}

#[derive(Debug)]
enum Values {
    Utf8 { bytes: Vec<u8>, ends: Vec<usize>, hashes: Vec<u64> },
    Int64(Vec<i64>),
    Timestamp(Vec<i64>),
    Boolean,
}

impl Interner {
    /// An empty interner for one type of dimension.
    pub fn new(kind: DimensionType) -> Self {
        let values = match kind {
            DimensionType::Utf8 => Values::Utf8 { bytes: Vec::new(), ends: vec![0], hashes: Vec::new() },
            DimensionType::Int64 => Values::Int64(Vec::new()),
            DimensionType::Timestamp => Values::Timestamp(Vec::new()),
            DimensionType::Boolean => Values::Boolean,
        };
        Self { values, numbers: HashTable::new() }
    }

    /// Appends the number of each value of `column` to `out`. The column has the interner's type.
    pub fn intern(&mut self, column: &ArrayRef, out: &mut Vec<u32>) {
        let nulls = column.nulls();
        let is_null = |row: usize| nulls.is_some_and(|n| n.is_null(row));
        let numbers = &mut self.numbers;
        match &mut self.values {
            Values::Utf8 { bytes, ends, hashes } => {
                let column = column.as_string::<i32>();
                // Neighbouring events often share a value: compare with the last one before hashing.
                let mut last: Option<(&str, u32)> = None;
                for row in 0..column.len() {
                    if is_null(row) {
                        out.push(NULL);
                        continue;
                    }
                    let text = column.value(row);
                    let number = match last {
                        Some((same, number)) if same == text => number,
                        _ => intern_text(numbers, bytes, ends, hashes, text),
                    };
                    last = Some((text, number));
                    out.push(number);
                }
            }
            Values::Int64(list) => {
                let column = column.as_primitive::<Int64Type>();
                for row in 0..column.len() {
                    out.push(if is_null(row) { NULL } else { intern_int(numbers, list, column.value(row)) });
                }
            }
            Values::Timestamp(list) => {
                let column = column.as_primitive::<TimestampMicrosecondType>();
                for row in 0..column.len() {
                    out.push(if is_null(row) { NULL } else { intern_int(numbers, list, column.value(row)) });
                }
            }
            Values::Boolean => {
                let column = column.as_boolean();
                out.extend((0..column.len()).map(|row| match is_null(row) {
                    true => NULL,
                    false => 1 + u32::from(column.value(row)),
                }));
            }
        }
    }

    /// A hash of the value behind a number, the same in every process.
    pub fn hash_of(&self, number: u32) -> u64 {
        let index = (number as usize).checked_sub(1);
        match &self.values {
            Values::Utf8 { hashes, .. } => index.and_then(|i| hashes.get(i)).copied().unwrap_or_default(),
            Values::Int64(list) | Values::Timestamp(list) => {
                index.and_then(|i| list.get(i)).map_or(0, |&v| mix(1, v as u64))
            }
            Values::Boolean => u64::from(number),
        }
    }

    /// The number of a text, for interners of texts; that of null for others.
    pub fn number_of(&mut self, text: &str) -> u32 {
        match &mut self.values {
            Values::Utf8 { bytes, ends, hashes } => intern_text(&mut self.numbers, bytes, ends, hashes, text),
            _ => NULL,
        }
    }

    /// The values of some numbers, as an Arrow column.
    pub fn resolve(&self, numbers: impl Iterator<Item = u32>) -> ArrayRef {
        match &self.values {
            Values::Utf8 { bytes, ends, .. } => {
                let mut builder = StringBuilder::new();
                for number in numbers {
                    // Only whole `&str`s were ever appended, so the slice is valid UTF-8.
                    builder.append_option(text_of(bytes, ends, number).and_then(|b| str::from_utf8(b).ok()));
                }
                Arc::new(builder.finish())
            }
            Values::Int64(list) => {
                let mut builder = Int64Builder::new();
                for number in numbers {
                    builder.append_option((number as usize).checked_sub(1).and_then(|i| list.get(i)).copied());
                }
                Arc::new(builder.finish())
            }
            Values::Timestamp(list) => {
                let values = numbers.map(|n| (n as usize).checked_sub(1).and_then(|i| list.get(i)).copied());
                Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            Values::Boolean => {
                let mut builder = BooleanBuilder::new();
                for number in numbers {
                    builder.append_option((number != NULL).then_some(number == 2));
                }
                Arc::new(builder.finish())
            }
        }
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Utf8 { bytes, ends, hashes } => {
                bytes.capacity() + ends.capacity() * size_of::<usize>() + hashes.capacity() * size_of::<u64>()
            }
            Values::Int64(list) | Values::Timestamp(list) => list.capacity() * size_of::<i64>(),
            Values::Boolean => 0,
        };
        values + self.numbers.capacity() * (size_of::<u32>() + 1)
    }
}

fn text_of<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> Option<&'a [u8]> {
    let number = number as usize;
    (number > 0).then(|| &bytes[ends[number - 1]..ends[number]])
}

fn intern_text(
    numbers: &mut HashTable<u32>,
    bytes: &mut Vec<u8>,
    ends: &mut Vec<usize>,
    hashes: &mut Vec<u64>,
    text: &str,
) -> u32 {
    let hash = xxh3_64(text.as_bytes());
    let same = |&number: &u32| {
        hashes.get(number as usize - 1) == Some(&hash) && text_of(bytes, ends, number) == Some(text.as_bytes())
    };
    if let Some(&number) = numbers.find(hash, same) {
        return number;
    }
    bytes.extend_from_slice(text.as_bytes());
    ends.push(bytes.len());
    let number = (ends.len() - 1) as u32;
    hashes.push(hash);
    numbers.insert_unique(hash, number, |&n| hashes[n as usize - 1]);
    number
}

fn intern_int(numbers: &mut HashTable<u32>, list: &mut Vec<i64>, value: i64) -> u32 {
    let hash = mix(0, value as u64);
    let at = |number: u32| list.get(number as usize - 1).copied();
    if let Some(&number) = numbers.find(hash, |&n| at(n) == Some(value)) {
        return number;
    }
    list.push(value);
    let number = list.len() as u32;
    numbers.insert_unique(hash, number, |&n| mix(0, list[n as usize - 1] as u64));
    number
}

/// One round of a multiplicative hash; enough for numbers that are dense already.
#[inline]
fn mix(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ value ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xa076_1d64_78bd_642f_u64);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Keys of a rollup's rows: window start and one number per dimension, each with a dense slot.
#[derive(Debug)]
pub struct KeyTable {
    dimensions: usize,
    windows: Vec<i64>,
    /// `dimensions` numbers per slot.
    lanes: Vec<u32>,
    slots: HashTable<u32>,
}

impl KeyTable {
    /// An empty table for keys of so many dimensions.
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions, windows: Vec::new(), lanes: Vec::new(), slots: HashTable::new() }
    }

    /// Number of slots given out.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Was no slot given out yet?
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Appends the slot of each row to `out`; `windows` and every lane have one entry per row. `gate` is
    /// asked about keys that have no slot yet and may rewrite them; it then returns the series that was
    /// hidden so, which is appended to `folded` with the slot that takes its row.
    pub fn assign(
        &mut self,
        windows: &[i64],
        lanes: &[&[u32]],
        out: &mut Vec<u32>,
        folded: &mut Vec<(u32, u64)>,
        mut gate: impl FnMut(i64, &mut [u32]) -> Option<u64>,
    ) {
        debug_assert_eq!(lanes.len(), self.dimensions);
        let mut key = vec![0u32; self.dimensions];
        let mut last: Option<u32> = None;
        for (row, &window) in windows.iter().enumerate() {
            for (k, lane) in key.iter_mut().zip(lanes) {
                *k = lane[row];
            }
            let slot = match last {
                Some(slot) if self.is_at(slot, window, &key) => slot,
                _ => match self.find(window, &key) {
                    Some(slot) => slot,
                    None => match gate(window, &mut key) {
                        None => self.insert(window, &key),
                        Some(series) => {
                            let slot = self.find(window, &key).unwrap_or_else(|| self.insert(window, &key));
                            folded.push((slot, series));
                            slot
                        }
                    },
                },
            };
            last = Some(slot);
            out.push(slot);
        }
    }

    #[inline]
    fn is_at(&self, slot: u32, window: i64, key: &[u32]) -> bool {
        let slot = slot as usize;
        self.windows[slot] == window && &self.lanes[slot * self.dimensions..][..self.dimensions] == key
    }

    fn find(&self, window: i64, key: &[u32]) -> Option<u32> {
        self.slots.find(hash_key(window, key), |&slot| self.is_at(slot, window, key)).copied()
    }

    fn insert(&mut self, window: i64, key: &[u32]) -> u32 {
        let hash = hash_key(window, key);
        let slot = self.windows.len() as u32;
        self.windows.push(window);
        self.lanes.extend_from_slice(key);
        let (windows, lanes, dimensions) = (&self.windows, &self.lanes, self.dimensions);
        self.slots.insert_unique(hash, slot, |&s| {
            let s = s as usize;
            hash_key(windows[s], &lanes[s * dimensions..][..dimensions])
        });
        slot
    }

    /// Window starts by slot.
    #[cfg(test)]
    pub fn window_column(&self) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(self.windows.clone()).with_timezone("UTC"))
    }

    /// The key columns in the order of the keys, the first one of windows if the keys have any, and that order: of
    /// which slot each row is. `places` are those of the interners, which are those of the dimensions.
    pub fn columns(&self, is_windowed: bool, interners: &[&Interner], places: &[&[u32]]) -> (Vec<ArrayRef>, Vec<u32>) {
        let order = self.order(places);
        let window = |&slot: &u32| self.windows[slot as usize];
        let windows = || TimestampMicrosecondArray::from_iter_values(order.iter().map(window)).with_timezone("UTC");
        let windows = is_windowed.then(|| Arc::new(windows()) as ArrayRef);
        let number = |dimension: usize| move |&slot: &u32| self.lanes[slot as usize * self.dimensions + dimension];
        let values = interners.iter().enumerate();
        let values = values.map(|(dimension, interner)| interner.resolve(order.iter().map(number(dimension))));
        (windows.into_iter().chain(values).collect(), order)
    }

    /// The numbers of one dimension by slot.
    #[cfg(test)]
    pub fn lane(&self, dimension: usize) -> impl Iterator<Item = u32> + '_ {
        self.lanes.iter().skip(dimension).step_by(self.dimensions.max(1)).copied()
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        self.windows.capacity() * size_of::<i64>()
            + self.lanes.capacity() * size_of::<u32>()
            + self.slots.capacity() * (size_of::<u32>() + 1)
    }
}

#[inline]
fn hash_key(window: i64, key: &[u32]) -> u64 {
    key.iter().fold(mix(0, window as u64), |hash, &k| mix(hash, u64::from(k)))
}
