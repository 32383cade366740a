//! Where a backfill reads from: Kafka, files, the local log of what was pushed, or the journal of letters that
//! were put back.

use crate::cli;
use crate::ingestion::{has_other_source, kafka_settings};
use crate::push::StoredLog;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tidewatch_engine::backfill::{Gap, Job, Retained, Span};
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::dedupe::PANE_US;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::time::parse_rfc3339;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::letters::{Journal, JournalReader};
use tidewatch_ingest::log;
use tidewatch_ingest::source::{
    FILE_TOPIC, FileSource, JournalSource, KafkaSettings, KafkaSource, LogSource, Source, journal_partition,
};
use tidewatch_storage::Store;
use tokio::runtime::Handle;

/// Where events come from.
pub enum Origin {
    /// The partitions of topics.
    Kafka {
        settings: KafkaSettings,
        /// Begin with records of this time, microseconds since the epoch.
        since_us: Option<i64>,
        /// Copies of events are known when they come so much later, microseconds; 0: never.
        horizon_us: i64,
    },
    /// Files, each with its partition and its number of lines.
    Files {
        files: Vec<(PathBuf, TopicPartition, i64)>,
        line_bytes_max: usize,
        /// They were named for this backfill, and not for the live path.
        are_given: bool,
    },
    /// What was pushed.
    Pushed {
        log: StoredLog,
        /// As for Kafka.
        since_us: Option<i64>,
        /// As for Kafka.
        horizon_us: i64,
    },
    /// There is neither Kafka nor a file.
    Nothing,
    /// Letters that were put back.
    PutBack { journal: Box<JournalReader>, runtime: Handle },
}

impl Origin {
    /// From the command line, else from the settings.
    pub fn of(options: &cli::Backfill, settings: &Settings, catalog: &Catalog) -> Result<Self> {
        let is_kafka = |from: &[String]| from.len() == 1 && from[0] == "kafka";
        let paths: Vec<PathBuf> = match options.from.as_slice() {
            [] => settings.files.paths.clone(),
            from if is_kafka(from) => Vec::new(),
            from => from.iter().map(PathBuf::from).collect(),
        };
        let since_us = since_us(options)?;
        let is_pushed_alone = options.from.is_empty() && !has_other_source(settings);
        if is_pushed_alone && StoredLog::find(settings)?.is_some() {
            return Ok(Self::Nothing);
        }
        if paths.is_empty() {
            // What is deleted while the job runs is said like what was deleted before.
            let kafka = KafkaSettings { skip_missing: true, ..kafka_settings(settings, catalog, true)? };
            let horizon_us = settings.worker().dedupe.horizon_us;
            return Ok(Self::Kafka { settings: kafka, since_us, horizon_us });
        }
        if since_us.is_some() {
            bail!("--since: a file is read from its first line\n  hint: leave it out, or give files that begin later");
        }
        let names: BTreeSet<_> = paths.iter().filter_map(|p| p.file_name()).collect();
        if names.len() < paths.len() {
            bail!("--from: two files have the same name; positions are kept by file name");
        }
        let line_bytes_max = settings.ingest.record_bytes_max;
        let source = FileSource::new(paths.clone(), line_bytes_max);
        let partitions: Vec<TopicPartition> = source.partitions();
        let counts = source.line_counts()?;
        let files = paths.into_iter().zip(partitions).zip(counts).map(|((path, p), lines)| (path, p, lines)).collect();
        Ok(Self::Files { files, line_bytes_max, are_given: !options.from.is_empty() })
    }

    /// The local log, if anything was ever pushed; nothing when other sources are named on the command line.
    pub fn pushed(options: &cli::Backfill, settings: &Settings) -> Result<Self> {
        let Some(log) = StoredLog::find(settings)?.filter(|_| options.from.is_empty()) else {
            return Ok(Self::Nothing);
        };
        let (since_us, horizon_us) = (since_us(options)?, settings.worker().dedupe.horizon_us);
        Ok(Self::Pushed { log, since_us, horizon_us })
    }

    /// The journal, as it is now; `runtime` reads it.
    pub async fn put_back(store: &Store, runtime: Handle) -> Result<Self> {
        Ok(Self::PutBack { journal: Box::new(Journal::open(store).await?.reader().clone()), runtime })
    }

    /// Does it hold events of this partition?
    pub fn has(&self, partition: &TopicPartition) -> bool {
        match self {
            Self::Kafka { .. } => {
                !partition.topic.starts_with(FILE_TOPIC)
                    && *partition != journal_partition()
                    && log::topic_of(partition).is_none()
            }
            Self::Pushed { log, .. } => log.topic_of(partition).is_some(),
            Self::Nothing => false,
            Self::PutBack { .. } => *partition == journal_partition(),
            Self::Files { files, .. } => files.iter().any(|(_, p, _)| p == partition),
        }
    }

    /// The files that were given for this backfill, with the offset of their last line.
    pub fn given(&self) -> BTreeMap<TopicPartition, i64> {
        match self {
            Self::Files { files, are_given: true, .. } => {
                files.iter().filter(|f| f.2 > 0).map(|(_, p, lines)| (p.clone(), lines - 1)).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// A source for the gaps of a job, and how much of each can be read. Asks the brokers.
    pub fn open(&self, job: &Job) -> Result<(Box<dyn Source>, Vec<Span>)> {
        match self {
            Self::Kafka { settings, since_us, horizon_us } => {
                let partitions: Vec<TopicPartition> = job.gaps.iter().map(|g| g.partition.clone()).collect();
                let source = KafkaSource::assigned(settings, partitions.clone())?;
                let starts = since_us.map(|time| source.offsets_at(&partitions, time)).transpose()?;
                let mut spans = Vec::new();
                for gap in &job.gaps {
                    let retained = source.retained(&gap.partition)?;
                    // A time after the last record: nothing is asked for.
                    let start =
                        starts.as_ref().map(|s| s.get(&gap.partition).copied().flatten().unwrap_or(retained.end));
                    let hint = "the topic was deleted and made anew: its events are not those that were counted";
                    let span = span(gap, retained, start, hint)?;
                    spans.push(match gap.from > BEFORE_FIRST && *horizon_us > 0 && !span.is_empty() {
                        true => remembering(span, &source, settings, retained.first, *horizon_us)?,
                        false => span,
                    });
                }
                Ok((Box::new(source), spans))
            }
            Self::Files { files, line_bytes_max, .. } => {
                let (mut paths, mut spans) = (Vec::new(), Vec::new());
                for (path, partition, lines) in files {
                    let Some(gap) = job.gaps.iter().find(|g| g.partition == *partition) else { continue };
                    let hint = "give the file that was counted; positions are kept by file name";
                    let span = span(gap, Retained { first: 0, end: *lines }, None, hint)?;
                    spans.push(span.with_ids_from(BEFORE_FIRST));
                    paths.push(path.clone());
                }
                Ok((Box::new(FileSource::new(paths, *line_bytes_max)), spans))
            }
            Self::Pushed { log, since_us, horizon_us } => {
                let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
                let (stored, log) = (log, log.open(&clock)?);
                let (mut spans, mut topics) = (Vec::new(), Vec::new());
                for gap in &job.gaps {
                    let Some(topic) = stored.topic_of(&gap.partition) else { continue };
                    topics.push(topic);
                    let (first, end) = (log.first(topic), log.end(topic));
                    let at = |time_us| log.offset_at(topic, time_us);
                    let start = since_us.map(at).transpose()?;
                    let hint = "the log was put back to an earlier state: restore its newest records";
                    let span = span(gap, Retained { first, end }, start, hint)?;
                    if gap.from == BEFORE_FIRST || *horizon_us == 0 || span.is_empty() {
                        spans.push(span);
                        continue;
                    }
                    // As from Kafka: a copy of what arrived within the horizon before must not count.
                    let time_us = log.time_of(topic, span.from + 1)?;
                    let oldest = time_us.map(|t| at((t - horizon_us - PANE_US).max(0))).transpose()?;
                    spans.push(span.with_ids_from(oldest.unwrap_or(first).max(first) - 1));
                }
                Ok((Box::new(LogSource::replay(log, &topics)), spans))
            }
            Self::Nothing => bail!("there is nothing to read"),
            Self::PutBack { journal, runtime } => {
                let retained = Retained { first: 0, end: journal.end() + 1 };
                let spans = job.gaps.iter().map(|gap| {
                    let span = span(gap, retained, None, "table `redriven` was deleted: restore it")?;
                    Ok(span.with_ids_from(BEFORE_FIRST))
                });
                let spans = spans.collect::<Result<_>>()?;
                Ok((Box::new(JournalSource::new(JournalReader::clone(journal), runtime.clone())), spans))
            }
        }
    }
}

/// The time before which nothing is asked for, microseconds since the epoch.
fn since_us(options: &cli::Backfill) -> Result<Option<i64>> {
    let Some(text) = &options.since else { return Ok(None) };
    let parsed = parse_rfc3339(text);
    parsed.map(Some).with_context(|| format!("--since: expected a time as in 2026-03-14T18:00:00Z, found `{text}`"))
}

/// Begins with the ids of the records within the horizon before the first one that is to be filled: a copy of
/// one of them must not count.
fn remembering(
    span: Span,
    source: &KafkaSource,
    settings: &KafkaSettings,
    first: i64,
    horizon_us: i64,
) -> Result<Span> {
    let partition = span.partition.clone();
    // A record without a time cannot tell: then all ids that are left are read.
    let oldest = match KafkaSource::time_of(settings, &partition, span.from + 1)? {
        Some(time_us) => {
            let time_us = (time_us - horizon_us - PANE_US).max(0);
            source.offsets_at(std::slice::from_ref(&partition), time_us)?.get(&partition).copied().flatten()
        }
        None => None,
    };
    Ok(span.with_ids_from(oldest.unwrap_or(first).max(first) - 1))
}

fn span(gap: &Gap, retained: Retained, start: Option<i64>, hint: &str) -> Result<Span> {
    Span::of(gap, retained, start).with_context(|| {
        format!(
            "{}: the gap ends at offset {}, but the last one is {}\n  hint: {hint}",
            gap.partition,
            gap.to,
            retained.end - 1
        )
    })
}
