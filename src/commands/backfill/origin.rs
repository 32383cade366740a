//! Where a backfill reads from: Kafka, or files.

use crate::app::kafka_settings;
use crate::cli;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tidewatch_engine::backfill::{Gap, Job, Retained, Span};
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::time::parse_rfc3339;
use tidewatch_ingest::source::{FILE_TOPIC, FileSource, KafkaSettings, KafkaSource, Source};

/// Where events come from.
pub enum Origin {
    /// The partitions of topics.
    Kafka {
        settings: KafkaSettings,
        /// Begin with records of this time, microseconds since the epoch.
        since_us: Option<i64>,
    },
    /// Files, each with its partition and its number of lines.
    Files {
        files: Vec<(PathBuf, TopicPartition, i64)>,
        line_bytes_max: usize,
        /// They were named for this backfill, and not for the live path.
        are_given: bool,
    },
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
        let since_us =
            match &options.since {
                None => None,
                Some(text) => {
                    let parsed = parse_rfc3339(text);
                    Some(parsed.with_context(|| {
                        format!("--since: expected a time as in 2026-03-14T18:00:00Z, found `{text}`")
                    })?)
                }
            };
        if paths.is_empty() {
            // What is deleted while the job runs is said like what was deleted before.
            let kafka = KafkaSettings { skip_missing: true, ..kafka_settings(settings, catalog, true)? };
            return Ok(Self::Kafka { settings: kafka, since_us });
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

    /// Does it hold events of this partition?
    pub fn has(&self, partition: &TopicPartition) -> bool {
        match self {
            Self::Kafka { .. } => !partition.topic.starts_with(FILE_TOPIC),
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
            Self::Kafka { settings, since_us } => {
                let partitions: Vec<TopicPartition> = job.gaps.iter().map(|g| g.partition.clone()).collect();
                let source = KafkaSource::assigned(settings, partitions.clone())?;
                let starts = since_us.map(|time| source.offsets_at(&partitions, time)).transpose()?;
                let mut spans = Vec::new();
                for gap in &job.gaps {
                    let retained = source.retained(&gap.partition)?;
                    // A time after the last record: nothing is asked for.
                    let start =
                        starts.as_ref().map(|s| s.get(&gap.partition).copied().flatten().unwrap_or(retained.end));
                    spans.push(span(
                        gap,
                        retained,
                        start,
                        "the topic was deleted and made anew: its events are not those that were counted",
                    )?);
                }
                Ok((Box::new(source), spans))
            }
            Self::Files { files, line_bytes_max, .. } => {
                let (mut paths, mut spans) = (Vec::new(), Vec::new());
                for (path, partition, lines) in files {
                    let Some(gap) = job.gaps.iter().find(|g| g.partition == *partition) else { continue };
                    spans.push(span(
                        gap,
                        Retained { first: 0, end: *lines },
                        None,
                        "give the file that was counted; positions are kept by file name",
                    )?);
                    paths.push(path.clone());
                }
                Ok((Box::new(FileSource::new(paths, *line_bytes_max)), spans))
            }
        }
    }
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
