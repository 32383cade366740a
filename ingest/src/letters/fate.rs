//! What would become of a letter if it were put back now.
//!
//! Only what would count enters the journal. A letter that would be refused once more is held back and
//! stays what it is: put back, it would be spent, and a new letter about the same record would appear.

use super::counted::CountedEvents;
use super::journal::routing_topic;
use super::{Entry, Journal, LetterId, LettersError, Repairs, StoredLetter};
use crate::dead_letter::REJECTED;
use crate::decode::{Decoded, Decoder, NoHeaders, RawRecord, Reject};
use crate::personal::Personal;
use crate::worker::WorkerSettings;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewatch_engine::rollup::Catalog;
use tidewatch_storage::Store;

/// See the module page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It counts: event time in microseconds since the epoch, and the sources that read it.
    Counts {
        /// What goes into the journal.
        entry: Entry,
        /// Its event time.
        event_time_us: i64,
        /// Names of the sources whose rollups count it.
        sources: Vec<String>,
    },
    /// It was put back before.
    AlreadyRedriven,
    /// Another record of the same event was counted, or is about to be.
    Copy,
    /// It is a notice: its record counts already.
    CountsAlready,
    /// Not all of its bytes were kept, and no repair brings them.
    CutOff {
        /// So many were kept.
        kept: usize,
        /// So many there were.
        payload_bytes: i64,
    },
    /// The decoder refuses it as it stands.
    Refused(Box<Reject>),
    /// No rollup reads events of its type.
    Ignored {
        /// Is the type declared at all?
        declared: bool,
    },
}

/// Knows what a worker would say.
#[derive(Debug)]
pub struct Judge {
    decoder: Decoder,
    personal: Arc<Personal>,
    counted: CountedEvents,
    sources: Vec<String>,
}

impl Judge {
    /// Judges as a worker with this catalogue and these settings would.
    pub async fn open(store: &Store, catalog: &Catalog, settings: &WorkerSettings) -> Result<Self, LettersError> {
        let personal = Arc::new(Personal::new(&catalog.personal, settings.hash_key));
        Ok(Self {
            decoder: Decoder::new(catalog, settings.decode).with_personal(Arc::clone(&personal)),
            personal,
            counted: CountedEvents::open(store, &settings.dedupe).await?,
            sources: catalog.sources.iter().map(|s| s.def.name.clone()).collect(),
        })
    }

    /// Reads which events were counted in the partitions that these letters come from.
    pub async fn prepare(&mut self, letters: &[StoredLetter], journal: &Journal) -> Result<(), LettersError> {
        let origins: BTreeSet<_> = letters.iter().map(|letter| journal.origin(&letter.id)).collect();
        self.counted.read(origins).await
    }

    /// Decides about one letter at `now_us`, with its repaired payload if there is one. A letter that counts
    /// makes later ones of the same event copies.
    pub fn judge(&mut self, letter: StoredLetter, repairs: &Repairs, journal: &Journal, now_us: i64) -> Fate {
        if letter.disposition != REJECTED {
            return Fate::CountsAlready;
        }
        if journal.has(&letter.id) {
            return Fate::AlreadyRedriven;
        }
        let repaired = repairs.payload(&letter.id);
        if repaired.is_none() && letter.is_cut_off() {
            return Fate::CutOff { kept: letter.payload.len(), payload_bytes: letter.payload_bytes };
        }
        let is_repaired = repaired.is_some();
        let StoredLetter { id, event_id, record_time_us, payload, .. } = letter;
        // A repair may bring personal data: the journal holds no more of it than the letters.
        let (clean, _) = self.personal.clean_payload(repaired.unwrap_or(&payload), usize::MAX);
        let payload = clean.into_owned();
        let entry = Entry { id, event_id, record_time_us, payload, is_repaired };
        self.try_out(entry, journal, now_us)
    }

    fn try_out(&mut self, entry: Entry, journal: &Journal, now_us: i64) -> Fate {
        let origin = journal.origin(&entry.id);
        let raw = RawRecord {
            topic: routing_topic(&origin),
            payload: &entry.payload,
            timestamp_us: entry.record_time_us,
            headers: &NoHeaders,
        };
        let (event_time_us, sources, event_hash) = match self.decoder.decode(&raw, now_us) {
            Ok(Decoded::Rows { sources, event_hash, .. }) => {
                let names = sources.iter().filter_map(|s| self.sources.get(s.source).cloned()).collect();
                (sources.first().map_or(0, |s| s.event_time_us), names, event_hash)
            }
            Ok(Decoded::Ignored { declared }) => return Fate::Ignored { declared },
            Err(reject) => return Fate::Refused(reject),
        };
        self.decoder.take_back();
        if !self.counted.first(event_hash) {
            return Fate::Copy;
        }
        Fate::Counts { entry, event_time_us, sources }
    }
}

impl Fate {
    /// The entry of a letter that counts.
    pub fn into_entry(self) -> Option<Entry> {
        match self {
            Self::Counts { entry, .. } => Some(entry),
            _ => None,
        }
    }
}

/// Letters that were asked for by name and do not exist.
pub fn missing<'i>(wanted: impl IntoIterator<Item = &'i LetterId>, found: &BTreeSet<LetterId>) -> Vec<&'i LetterId> {
    wanted.into_iter().filter(|id| !found.contains(id)).collect()
}

#[cfg(test)]
mod tests;
