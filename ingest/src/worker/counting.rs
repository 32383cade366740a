//! The counting half of a worker: records in, frozen pieces out, offsets kept beside them. No I/O.

use super::WorkerSettings;
use crate::committer::Positions;
use crate::dead_letter::{DEAD_LETTERS, DeadLetters, Letter};
use crate::decode::{Decoded, Decoder};
use crate::event_ids::{EVENT_IDS, NewIds};
use crate::late::LateNotes;
use crate::metrics::IngestMetrics;
use crate::personal::{Personal, PersonalCounts};
use crate::piece::{Ranges, Reads, WorkerPiece};
use crate::source::{JOURNAL_TOPIC, SourceRecord};
use arrow::array::BooleanArray;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_engine::cardinality::Admissions;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::dedupe::{DedupeSettings, SeenEvents, evict_beyond};
use tidewatch_engine::live::{LiveProgress, Piece};
use tidewatch_engine::open::OpenStates;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::watermark::WatermarkTracker;

/// So many rows of a poll are counted before its end: exploded arrays make many out of one record.
/// Together with `string_bytes_max` it bounds the text of a batch.
pub const BATCH_ROWS: usize = 65_536;

/// See the module page.
#[derive(Debug)]
pub(super) struct Counting {
    decoder: Decoder,
    states: Vec<OpenStates>,
    /// Where each row of a source came from: index of the partition and offset.
    origins: Vec<Vec<(u32, i64)>>,
    /// Events per source, and rows of all sources, since rows were last counted.
    events: Vec<u64>,
    rows: usize,
    /// What went wrong within a poll.
    failed: Option<super::WorkerError>,
    dead_letters: DeadLetters,
    dedupe: DedupeSettings,
    /// Every table and what it reads.
    tables: Vec<(String, Reads)>,
    partitions: Vec<Partition>,
    /// Slot of the source to index into `partitions`.
    slots: Vec<Option<usize>>,
    watermarks: WatermarkTracker,
    /// Which series have rows of their own.
    admissions: Admissions,
    metrics: IngestMetrics,
    now_us: i64,
    /// Late events of this poll by source, added to the metrics once per poll.
    late: Vec<u64>,
    /// Event times that came late since the last freeze.
    late_notes: LateNotes,
    /// By source.
    personal: Vec<PersonalCounts>,
    personal_rejected: PersonalCounts,
}

#[derive(Debug)]
struct Partition {
    name: TopicPartition,
    /// Last offset counted.
    consumed: i64,
    /// Last offset in a frozen piece.
    frozen: i64,
    /// Tables that are ahead of the others after a crash between two commits, and how far.
    ahead: BTreeMap<String, i64>,
    watermark: Option<i64>,
    event_time_max_us: Option<i64>,
    records: u64,
    bytes: u64,
    /// Events that no rollup reads: of types that are not declared, and of those that are.
    ignored: [u64; 2],
    is_owned: bool,
    /// The ids of its events; `None` when none are remembered.
    seen: Option<SeenEvents>,
}

impl Counting {
    pub fn new(catalog: &Catalog, settings: &WorkerSettings, metrics: IngestMetrics) -> Self {
        let rollups = catalog.tables().into_iter().map(|t| (t.schema.name.clone(), Reads::of(&t)));
        let others = [DEAD_LETTERS].into_iter().chain(settings.dedupe.is_on().then_some(EVENT_IDS));
        let others = others.map(|table| (table.to_owned(), Reads::All));
        let personal = Arc::new(Personal::new(&catalog.personal, settings.hash_key));
        Self {
            decoder: Decoder::new(catalog, settings.decode).with_personal(Arc::clone(&personal)),
            states: catalog.sources.iter().map(|s| OpenStates::new(Arc::clone(s))).collect(),
            origins: vec![Vec::new(); catalog.sources.len()],
            events: vec![0; catalog.sources.len()],
            rows: 0,
            failed: None,
            dead_letters: DeadLetters::new(settings.dead_letter_bytes_max, personal),
            dedupe: settings.dedupe,
            tables: rollups.chain(others).collect(),
            partitions: Vec::new(),
            slots: Vec::new(),
            watermarks: WatermarkTracker::new(settings.watermark),
            admissions: Admissions::new(settings.series_max),
            metrics,
            now_us: 0,
            late: vec![0; catalog.sources.len()],
            late_notes: LateNotes::default(),
            personal: vec![PersonalCounts::default(); catalog.sources.len()],
            personal_rejected: PersonalCounts::default(),
        }
    }

    /// Partitions that we own.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.iter().filter(|p| p.is_owned).map(|p| p.name.clone()).collect()
    }

    /// Starts partitions at the committed positions; returns where the source must begin.
    pub fn assign(&mut self, positions: &Positions, now_us: i64) -> BTreeMap<TopicPartition, i64> {
        positions.admitted.iter().for_each(|admitted| self.admissions.restore(admitted));
        let mut starts = BTreeMap::new();
        let names: BTreeSet<TopicPartition> = positions.tables.values().flat_map(|p| p.keys().cloned()).collect();
        for name in names {
            let of_tables: BTreeMap<String, i64> = self
                .tables
                .iter()
                .filter(|(_, reads)| reads.covers(&name))
                .map(|(table, _)| {
                    (
                        table.clone(),
                        positions.tables.get(table).and_then(|p| p.get(&name)).copied().unwrap_or(BEFORE_FIRST),
                    )
                })
                .collect();
            let start = of_tables.values().min().copied().unwrap_or(BEFORE_FIRST);
            let seen = self.dedupe.is_on().then(|| {
                let stored_to = of_tables.get(EVENT_IDS).copied().unwrap_or(BEFORE_FIRST);
                let mut seen = SeenEvents::new(&self.dedupe, stored_to);
                for ids in positions.remembered.get(&name).into_iter().flatten() {
                    seen.restore(ids.pane_start_us, &ids.hashes);
                }
                seen
            });
            let partition = Partition {
                seen,
                consumed: start,
                frozen: start,
                ahead: of_tables.into_iter().filter(|(_, p)| *p > start).collect(),
                watermark: None,
                event_time_max_us: None,
                records: 0,
                bytes: 0,
                ignored: [0; 2],
                is_owned: true,
                name: name.clone(),
            };
            match self.partitions.iter_mut().find(|p| p.name == name) {
                Some(known) => *known = partition,
                None => self.partitions.push(partition),
            }
            // Letters that are put back say nothing about how far event time has come.
            if *name.topic != *JOURNAL_TOPIC {
                self.watermarks.assign(name.clone(), positions.watermarks.get(&name).copied(), now_us);
            }
            starts.insert(name, start);
        }
        starts
    }

    /// Stops counting partitions.
    pub fn revoke(&mut self, partitions: &[TopicPartition]) {
        for partition in self.partitions.iter_mut().filter(|p| partitions.contains(&p.name)) {
            partition.is_owned = false;
            partition.seen = None;
            let labels = [&*partition.name.topic, &partition.name.partition.to_string()];
            // An error only says that the gauge was never set.
            let _ = self.metrics.lag.remove_label_values(&labels);
            let _ = self.metrics.position.remove_label_values(&labels);
            let _ = self.metrics.watermark.remove_label_values(&labels);
        }
        partitions.iter().for_each(|p| self.watermarks.revoke(p));
    }

    /// Forgets everything counted since the last freeze and starts all partitions anew.
    pub fn restart(&mut self, positions: &Positions, now_us: i64) -> BTreeMap<TopicPartition, i64> {
        for (index, states) in self.states.iter_mut().enumerate() {
            *states = OpenStates::new(Arc::clone(states.plan()));
            self.origins[index].clear();
            self.events[index] = 0;
            // Rows still in the decoder belong to the past as well.
            let _ = self.decoder.take(index);
        }
        let _ = self.dead_letters.take();
        // What was decided since is decided again by the same events, or by their next owner.
        self.admissions.clear();
        (self.rows, self.failed) = (0, None);
        self.assign(positions, now_us)
    }

    /// Prepares for the records of one poll.
    pub fn begin_poll(&mut self, now_us: i64) {
        self.now_us = now_us;
        for partition in &mut self.partitions {
            partition.watermark = self.watermarks.of(&partition.name);
        }
    }

    /// Takes one record.
    pub fn take(&mut self, record: &SourceRecord<'_>) {
        let Some(index) = self.partition_index(record) else { return };
        let partition = &mut self.partitions[index];
        // Seeking back may deliver a record twice, and a partition may be gone before its last records.
        if !partition.is_owned || record.offset <= partition.consumed {
            return;
        }
        partition.consumed = record.offset;
        partition.records += 1;
        partition.bytes += record.raw.payload.len() as u64;
        let letter = || Letter {
            partition: record.partition,
            offset: record.offset,
            record_time_us: record.raw.timestamp_us,
            arrival_time_us: self.now_us,
            payload: record.raw.payload,
        };
        let origin = (index as u32, record.offset);
        let is_noted = partition.ahead.get(DEAD_LETTERS).is_some_and(|&p| record.offset <= p);
        match self.decoder.decode(&record.raw, self.now_us) {
            Ok(Decoded::Rows { sources, event_hash, personal }) => {
                // Every route has a source.
                let Some(first) = sources.first() else { return };
                self.personal[first.source] += personal;
                // A wrong timestamp in the future must not age what is remembered.
                let arrival_us = record.raw.timestamp_us.unwrap_or(first.event_time_us).min(self.now_us);
                let seen = partition.seen.as_mut();
                if seen.is_some_and(|seen| !seen.first(event_hash, arrival_us, record.offset)) {
                    for rows in sources {
                        let name = self.states[rows.source].plan().def.name.as_str();
                        self.metrics.duplicates.with_label_values(&[name]).inc();
                    }
                    return self.decoder.take_back();
                }
                let mut noted: Vec<&str> = Vec::new();
                for rows in sources {
                    self.origins[rows.source].extend(std::iter::repeat_n(origin, rows.rows));
                    self.events[rows.source] += 1;
                    self.rows += rows.rows;
                    partition.event_time_max_us = partition.event_time_max_us.max(Some(rows.event_time_us));
                    let is_late = partition.watermark.is_some_and(|w| rows.event_time_us < w);
                    if is_late {
                        self.late[rows.source] += 1;
                    }
                    // Letters that are put back have no watermark: their time is over.
                    if is_late || *partition.name.topic == *JOURNAL_TOPIC {
                        let source = &self.states[rows.source].plan().def.name;
                        self.late_notes.note(source, rows.event_time_us);
                    }
                    let name = self.states[rows.source].plan().def.name.as_str();
                    if rows.time_fallback {
                        self.metrics.time_fallback.with_label_values(&[name]).inc();
                    }
                    for notice in &rows.notices {
                        self.metrics.enum_unknown.with_label_values(&[name, &notice.field]).inc_by(notice.rows);
                        // Sources of one type may read the same field.
                        if !is_noted && !noted.contains(&notice.field.as_str()) {
                            self.dead_letters.notice(&letter(), notice);
                            noted.push(&notice.field);
                        }
                    }
                }
            }
            Ok(Decoded::Ignored { declared }) => partition.ignored[usize::from(declared)] += 1,
            Err(reject) => {
                self.metrics.dead_letters.with_label_values(&[reject.reason.as_str()]).inc();
                if !is_noted {
                    self.personal_rejected += self.dead_letters.reject(&letter(), &reject);
                }
            }
        }
        if self.rows >= BATCH_ROWS {
            // What goes wrong is told at the end of the poll.
            self.failed = self.count_rows().err().or(self.failed.take());
        }
    }

    fn partition_index(&mut self, record: &SourceRecord<'_>) -> Option<usize> {
        if let Some(Some(index)) = self.slots.get(record.slot) {
            return Some(*index);
        }
        let index = self.partitions.iter().position(|p| p.name == *record.partition)?;
        self.slots.resize(self.slots.len().max(record.slot + 1), None);
        self.slots[record.slot] = Some(index);
        Some(index)
    }

    /// Counts the rows decoded so far into the open states.
    fn count_rows(&mut self) -> Result<(), super::WorkerError> {
        self.rows = 0;
        for (index, states) in self.states.iter_mut().enumerate() {
            let events = std::mem::take(&mut self.events[index]);
            if events > 0 {
                self.metrics.events.with_label_values(&[&states.plan().def.name]).inc_by(events);
            }
            let Some(batch) = self.decoder.take(index)? else { continue };
            let origins = std::mem::take(&mut self.origins[index]);
            let partitions = &self.partitions;
            states.count(&batch, &mut self.admissions, |rollup| {
                not_yet_committed(partitions, &rollup.schema.name, &origins)
            })?;
        }
        Ok(())
    }

    /// Counts the records of this poll into the open states.
    pub fn end_poll(&mut self) -> Result<(), super::WorkerError> {
        self.count_rows()?;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        for (rollup, events) in self.admissions.take_folded() {
            self.metrics.folded.with_label_values(&[rollup]).inc_by(events);
        }
        self.bound_remembered();
        for (counts, states) in self.personal.iter_mut().zip(&self.states) {
            self.metrics.count_personal(&states.plan().def.name, std::mem::take(counts));
        }
        self.metrics.count_personal(DEAD_LETTERS, std::mem::take(&mut self.personal_rejected));
        for (count, states) in self.late.iter_mut().zip(&self.states).filter(|(count, _)| **count > 0) {
            let name = states.plan().def.name.as_str();
            self.metrics.late_events.with_label_values(&[name]).inc_by(std::mem::take(count));
        }
        for partition in &mut self.partitions {
            let records = std::mem::take(&mut partition.records);
            if records > 0 {
                let topic = &*partition.name.topic;
                self.metrics.records.with_label_values(&[topic]).inc_by(records);
                self.metrics.record_bytes.with_label_values(&[topic]).inc_by(std::mem::take(&mut partition.bytes));
            }
            for (declared, ignored) in ["false", "true"].into_iter().zip(std::mem::take(&mut partition.ignored)) {
                if ignored > 0 {
                    self.metrics.events_ignored.with_label_values(&[&partition.name.topic, declared]).inc_by(ignored);
                }
            }
            if let Some(event_time_max_us) = partition.event_time_max_us.take() {
                self.watermarks.observe(&partition.name, event_time_max_us, self.now_us);
            }
        }
        Ok(())
    }

    /// Rows (window × series) in the open states, and dead letters.
    pub fn row_count(&self) -> usize {
        self.states.iter().map(OpenStates::row_count).sum::<usize>() + self.dead_letters.len()
    }

    /// Memory of the open states and dead letters.
    pub fn size_bytes(&self) -> usize {
        self.states.iter().map(OpenStates::size_bytes).sum::<usize>()
            + self.dead_letters.size_bytes()
            + self.seen().map(SeenEvents::new_bytes).sum::<usize>()
    }

    /// Ids of events in memory, and what they take of it.
    pub fn remembered(&self) -> (usize, usize) {
        (self.seen().map(SeenEvents::len).sum(), self.seen().map(SeenEvents::size_bytes).sum())
    }

    fn seen(&self) -> impl Iterator<Item = &SeenEvents> {
        self.partitions.iter().filter_map(|p| p.seen.as_ref())
    }

    /// Forgets ids before their time when there are too many.
    fn bound_remembered(&mut self) {
        if self.seen().map(SeenEvents::len).sum::<usize>() <= self.dedupe.ids_max {
            return;
        }
        let mut seen: Vec<&mut SeenEvents> = self.partitions.iter_mut().filter_map(|p| p.seen.as_mut()).collect();
        let evicted = evict_beyond(self.dedupe.ids_max, &mut seen);
        self.metrics.remembered_evicted.inc_by(evicted as u64);
        tracing::warn!(evicted, "more event ids than dedupe.ids_max: copies of the oldest events would count");
    }

    /// Notes offsets that were passed without a record.
    pub fn pass(&mut self, covered: &BTreeMap<TopicPartition, i64>) {
        for partition in self.partitions.iter_mut().filter(|p| p.is_owned) {
            if let Some(&covered) = covered.get(&partition.name) {
                partition.consumed = partition.consumed.max(covered);
            }
        }
    }

    /// Takes everything counted so far, or `None` when no offset moved.
    pub fn freeze(&mut self) -> Result<Option<WorkerPiece>, super::WorkerError> {
        let mut ranges: BTreeMap<String, Ranges> = BTreeMap::new();
        let mut event_ids = Vec::new();
        for partition in self.partitions.iter_mut().filter(|p| p.is_owned && p.consumed > p.frozen) {
            for (table, reads) in &self.tables {
                let from = partition.ahead.get(table).map_or(partition.frozen, |&p| p.max(partition.frozen));
                let range = OffsetRange { from, to: partition.consumed };
                if reads.covers(&partition.name) && !range.is_empty() {
                    ranges.entry(table.clone()).or_default().insert(partition.name.clone(), range);
                }
            }
            let new = partition.seen.as_mut().map(SeenEvents::take_new).unwrap_or_default();
            event_ids.extend(new.into_iter().map(|(pane_start_us, ids)| NewIds {
                partition: partition.name.clone(),
                pane_start_us,
                ids,
            }));
            partition.frozen = partition.consumed;
            partition.ahead.retain(|_, position| *position > partition.frozen);
        }
        if ranges.is_empty() {
            return Ok(None);
        }
        let mut frozen = Vec::with_capacity(self.states.len());
        for states in self.states.iter_mut().filter(|s| s.event_count() > 0) {
            let mut states = states.freeze();
            for (rollup, refused) in states.take_refused().filter(|(_, n)| *n > 0) {
                self.metrics.histogram_refused.with_label_values(&[rollup]).inc_by(refused);
            }
            if states.without_value() > 0 {
                self.metrics.without_value.with_label_values(&[&states.plan().def.name]).inc_by(states.without_value());
            }
            frozen.push(states);
        }
        let piece = WorkerPiece::new(frozen, self.dead_letters.take()?, ranges);
        let piece = piece.with_event_ids(event_ids).with_admitted(self.admissions.take_fresh());
        Ok(Some(piece.with_late(self.late_notes.take())))
    }

    /// Watermarks of all partitions we own, as far as known.
    pub fn watermarks(&self) -> BTreeMap<TopicPartition, i64> {
        let owned = self.partitions.iter().filter(|p| p.is_owned);
        owned.filter_map(|p| Some((p.name.clone(), self.watermarks.of(&p.name)?))).collect()
    }

    /// Watermarks and positions for readers.
    pub fn progress(&self, now_us: i64) -> LiveProgress {
        let owned = self.partitions.iter().filter(|p| p.is_owned);
        let positions = owned.map(|p| (p.name.clone(), p.frozen)).collect();
        LiveProgress { positions, ..self.watermarks.progress(now_us) }
    }

    /// Notes a successful commit; returns the positions it reached.
    pub fn committed(&self, pieces: &[Arc<WorkerPiece>]) -> BTreeMap<TopicPartition, i64> {
        let mut reached = BTreeMap::new();
        for piece in pieces {
            for (partition, range) in piece.ranges(DEAD_LETTERS) {
                reached.insert(partition.clone(), range.to);
            }
        }
        for (partition, &position) in &reached {
            let labels = [&*partition.topic, &partition.partition.to_string()];
            self.metrics.position.with_label_values(&labels).set(position);
        }
        reached
    }

    /// Sets the gauges of lag and watermark; returns the lag of all partitions, in records.
    pub fn report(&self, ends: &BTreeMap<TopicPartition, i64>) -> i64 {
        let mut all = 0;
        for partition in self.partitions.iter().filter(|p| p.is_owned) {
            let labels = [&*partition.name.topic, &partition.name.partition.to_string()];
            if let Some(&end) = ends.get(&partition.name) {
                let lag = (end - partition.consumed).max(0);
                self.metrics.lag.with_label_values(&labels).set(lag);
                all += lag;
            }
            if let Some(watermark) = self.watermarks.of(&partition.name) {
                self.metrics.watermark.with_label_values(&labels).set(watermark as f64 / 1e6);
            }
        }
        all
    }
}

/// Which rows a table does not have yet; `None` when it has none of them.
fn not_yet_committed(partitions: &[Partition], table: &str, origins: &[(u32, i64)]) -> Option<BooleanArray> {
    let ahead: Vec<i64> = partitions.iter().map(|p| p.ahead.get(table).copied().unwrap_or(BEFORE_FIRST)).collect();
    if ahead.iter().all(|&p| p == BEFORE_FIRST) {
        return None;
    }
    Some(origins.iter().map(|&(partition, offset)| Some(offset > ahead[partition as usize])).collect())
}
