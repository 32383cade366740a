//! Which series each row of a query belongs to.

use arrow::array::{Array, StringViewArray};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::{BuildHasher, Hasher};

/// Finds them; only for the first row of a series are its labels looked at.
///
/// A row is known by the views of its texts, 16 bytes each: a short text is in its view, and rows that name one entry
/// of a dictionary have one view. Views of longer texts are valid within their batch only, and equal texts may have
/// several: then the texts decide.
#[derive(Debug, Default)]
pub struct Places {
    by_text: HashMap<Box<[u8]>, Option<usize>>,
    by_view: HashTable<Known>,
    hashes: DefaultHashBuilder,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    hash: u64,
    /// A row of the batch that has the views.
    row: usize,
    place: Option<usize>,
}

impl Places {
    /// The place of each row of a batch. `new` is asked for that of a row with texts that were never there before; null
    /// counts as an empty text.
    pub fn of_batch(
        &mut self,
        labels: &[StringViewArray],
        rows: usize,
        mut new: impl FnMut(usize) -> Option<usize>,
    ) -> Vec<Option<usize>> {
        let views: Vec<Vec<u128>> = labels.iter().map(without_nulls).collect();
        self.by_view.clear();
        let mut places = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut hasher = self.hashes.build_hasher();
            views.iter().for_each(|views| hasher.write_u128(views[row]));
            let hash = hasher.finish();
            let is_it = |known: &Known| known.hash == hash && views.iter().all(|views| views[known.row] == views[row]);
            let place = match self.by_view.find(hash, is_it) {
                Some(known) => known.place,
                None => {
                    let place = self.by_text(labels, row, &mut new);
                    self.by_view.insert_unique(hash, Known { hash, row, place }, |known| known.hash);
                    place
                }
            };
            places.push(place);
        }
        places
    }

    fn by_text(
        &mut self,
        labels: &[StringViewArray],
        row: usize,
        new: &mut impl FnMut(usize) -> Option<usize>,
    ) -> Option<usize> {
        self.text.clear();
        for column in labels {
            let text = if column.is_valid(row) { column.value(row) } else { "" };
            self.text.extend((text.len() as u64).to_le_bytes());
            self.text.extend(text.as_bytes());
        }
        if let Some(place) = self.by_text.get(self.text.as_slice()) {
            return *place;
        }
        let place = new(row);
        self.by_text.insert(self.text.as_slice().into(), place);
        place
    }
}

/// The view of null is anything.
fn without_nulls(column: &StringViewArray) -> Vec<u128> {
    let views = column.views().iter().copied();
    match column.nulls() {
        None => views.collect(),
        Some(nulls) => views.zip(nulls.iter()).map(|(view, is_valid)| if is_valid { view } else { 0 }).collect(),
    }
}

#[cfg(test)]
mod tests;
