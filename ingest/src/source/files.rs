//! Replay of NDJSON files, plain or gzip. Each file is partition 0 of a topic `file:<name>` (files of
//! equal name in several folders are its partitions 0, 1, … in the order given); a record's offset is
//! its line number from 0, so a replay resumes after the last committed line.

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use crate::decode::{NoHeaders, RawRecord};
use flate2::read::MultiGzDecoder;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};

/// What precedes the file's name in its topic.
pub const FILE_TOPIC: &str = "file:";

/// A file that cannot be opened or read.
#[derive(Debug, Error)]
#[error("{path}{at}: {error}")]
pub struct FileSourceError {
    path: String,
    at: String,
    error: std::io::Error,
}

/// Reads files one after the other.
pub struct FileSource {
    files: Vec<(PathBuf, TopicPartition)>,
    positions: BTreeMap<TopicPartition, i64>,
    reader: Option<Box<dyn BufRead + Send>>,
    current: usize,
    /// Offset of the line read next.
    next: i64,
    line: Vec<u8>,
    line_bytes_max: usize,
    /// Partitions that are not read on.
    released: BTreeSet<TopicPartition>,
    announced: bool,
    paused: bool,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource")
            .field("files", &self.files)
            .field("current", &self.current)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl FileSource {
    /// Will read `paths` in this order. Lines longer than `line_bytes_max` are handed out cut off one
    /// byte beyond it, which the decoder then refuses as too large.
    pub fn new(paths: Vec<PathBuf>, line_bytes_max: usize) -> Self {
        let mut seen: BTreeMap<String, i32> = BTreeMap::new();
        let mut partition = |path: &Path| {
            let name = path.file_name().map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy());
            let next = seen.entry(format!("{FILE_TOPIC}{name}")).or_default();
            *next += 1;
            TopicPartition::new(format!("{FILE_TOPIC}{name}"), *next - 1)
        };
        Self {
            files: paths.into_iter().map(|p| (p.clone(), partition(&p))).collect(),
            positions: BTreeMap::new(),
            reader: None,
            current: 0,
            next: 0,
            line: Vec::new(),
            line_bytes_max,
            released: BTreeSet::new(),
            announced: false,
            paused: false,
        }
    }

    /// The partitions that the files are, in the order in which they are read.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.files.iter().map(|(_, partition)| partition.clone()).collect()
    }

    /// Counts the lines of every file, in order.
    pub fn line_counts(mut self) -> Result<Vec<i64>, FileSourceError> {
        let mut counts = Vec::new();
        while self.current < self.files.len() {
            self.open()?;
            while self.read_line()? {
                self.next += 1;
            }
            counts.push(self.next);
            self.current += 1;
        }
        Ok(counts)
    }

    fn fail(&self, error: std::io::Error) -> FileSourceError {
        let path = self.files.get(self.current).map_or_else(String::new, |(p, _)| p.display().to_string());
        FileSourceError { path, at: format!(", line {}", self.next + 1), error }
    }

    fn open(&mut self) -> Result<(), FileSourceError> {
        let Some((path, partition)) = self.files.get(self.current).cloned() else { return Ok(()) };
        self.next = 0;
        let file = File::open(&path).map_err(|e| self.fail(e))?;
        let is_gzip = path.extension().is_some_and(|e| e == "gz");
        self.reader = Some(if is_gzip {
            Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(BufReader::new(file))))
        } else {
            Box::new(BufReader::with_capacity(1 << 18, file))
        });
        let position = self.positions.get(&partition).copied().unwrap_or(BEFORE_FIRST);
        if position >= 0 {
            tracing::info!(path = %path.display(), lines = position + 1, "resuming after the lines that are counted");
        }
        while self.next <= position {
            if !self.read_line()? {
                let text = format!(
                    "{} lines were counted already, but it has {} only\n  hint: positions are kept by file name; give another file another name",
                    position + 1,
                    self.next
                );
                return Err(self.fail(std::io::Error::other(text)));
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Reads the next line into `self.line`; false at the end of the file.
    fn read_line(&mut self) -> Result<bool, FileSourceError> {
        self.line.clear();
        let Some(reader) = self.reader.as_mut() else { return Ok(false) };
        let (mut any, mut is_cut) = (false, false);
        loop {
            let available = match reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.fail(error)),
            };
            if available.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = memchr::memchr(b'\n', available);
            let used = end.map_or(available.len(), |at| at + 1);
            let room = (self.line_bytes_max + 1).saturating_sub(self.line.len());
            let text = &available[..end.unwrap_or(available.len())];
            is_cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            reader.consume(used);
            if end.is_some() {
                if !is_cut && self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(true);
            }
        }
    }
}

impl Source for FileSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Event(SourceEvent::Assigned(self.files.iter().map(|(_, p)| p.clone()).collect())));
        }
        if self.paused {
            std::thread::sleep(timeout);
            return Ok(Polled::Records(0));
        }
        let mut count = 0;
        while count < records_max {
            if self.current >= self.files.len() {
                return Ok(if count > 0 { Polled::Records(count) } else { Polled::Event(SourceEvent::Finished) });
            }
            if self.released.contains(&self.files[self.current].1) {
                self.reader = None;
                self.current += 1;
                continue;
            }
            if self.reader.is_none() {
                self.open()?;
            }
            if !self.read_line()? {
                self.reader = None;
                self.current += 1;
                continue;
            }
            let offset = self.next;
            self.next += 1;
            // An empty line is a record that says nothing; its offset is covered all the same.
            if !self.line.is_empty() {
                let raw = RawRecord { topic: None, payload: &self.line, timestamp_us: None, headers: &NoHeaders };
                let slot = self.current;
                sink(&SourceRecord { slot, partition: &self.files[slot].1, offset, raw });
            }
            count += 1;
        }
        Ok(Polled::Records(count))
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        self.positions.extend(positions.iter().map(|(p, &o)| (p.clone(), o)));
        self.released.retain(|p| !positions.contains_key(p));
        self.reader = None;
        self.current = 0;
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.released.extend(partitions.iter().cloned());
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn publish_progress(&mut self, _positions: &BTreeMap<TopicPartition, i64>) {}

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::new()
    }

    fn close(&mut self) {
        self.reader = None;
    }
}

#[cfg(test)]
mod tests;
