//! A storage with what rules wrote laid over it.

use std::collections::HashSet;

use tidewatch_promql::{Labels, Options, Selection, Series, Storage, StorageError};

use crate::memory::Memory;

/// The past, and what rules wrote of it just now.
pub struct Layered<'s> {
    base: &'s dyn Storage,
    /// What rules wrote.
    pub written: Memory,
}

impl<'s> Layered<'s> {
    /// Nothing written yet.
    pub fn new(base: &'s dyn Storage) -> Layered<'s> {
        Layered { base, written: Memory::new(Options::default()) }
    }
}

impl Storage for Layered<'_> {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let mut series = self.base.select(selection)?;
        let written = self.written.select(selection)?;
        if !written.is_empty() {
            // Of a series that was recorded back then, too, what the rules write now counts.
            let anew: HashSet<Labels> = written.iter().map(|one| one.labels.clone()).collect();
            series.retain(|one| !anew.contains(&one.labels));
            series.extend(written);
        }
        Ok(series)
    }
}
