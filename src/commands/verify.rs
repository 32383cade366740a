//! `tidewatch verify`: replays what the tables have counted and compares the numbers.
//!
//! The events are read again from the same source up to where the tables stand, and counted by the
//! ordinary pipeline into a store of their own; then every table of both is compared window by window.

use crate::app::{open_store, start_log};
use crate::cli::Verify;
use crate::ingestion::{has_other_source, kafka_settings};
use crate::packs;
use crate::push::StoredLog;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::letters::{Journal, JournalReader};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::source::{
    FileSource, JournalSource, KafkaSettings, KafkaSource, LogSource, Source, Until, journal_partition,
};
use tidewatch_ingest::{Pipeline, WorkerThread, admitted};
use tidewatch_query::compare::{Comparison, compare, cut_alike};
use tidewatch_query::{NoLiveStates, Snapshots};
use tidewatch_storage::Store;
use tokio::runtime::Handle;

/// Looks at tables that are being committed to before a moment is found when all stand at one place.
const LOOKS_MAX: u32 = 50;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Differing windows that are listed per table.
const WINDOWS_LISTED: usize = 20;

pub async fn verify(options: Verify, commits: Handle) -> Result<ExitCode> {
    let settings = Settings::load(&options.config.config)?;
    let catalog = Arc::new(packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.catalog);
    start_log(&settings)?;
    let stored = open_store(&settings)?;
    let mut partitions = partitions(&settings, &catalog)?;
    let journal = Journal::open(&stored).await?;
    partitions.push(journal_partition());
    let pushed = StoredLog::find(&settings)?;
    partitions.extend(pushed.iter().flat_map(|log| log.topics().map(|(_, partition)| partition)));
    let ends = common_positions(&stored, &catalog, &partitions).await?;
    if ends.is_empty() {
        println!("nothing to verify: no table has counted anything of {}", origin(&settings));
        return Ok(ExitCode::SUCCESS);
    }
    refuse_unfilled(&stored, &catalog).await?;
    let scratch = Scratch::new(options.scratch.as_deref())?;
    let replayed = Store::open(&scratch.0.display().to_string(), Default::default())?;
    admitted::copy(&stored, &replayed).await?;
    replay(&settings, &catalog, &replayed, ends, (pushed.as_ref(), journal.reader()), commits).await?;
    report(&catalog, &stored, &replayed, settings.sql.memory_bytes_max).await
}

/// What began later and is not filled yet would differ, and everybody knows.
async fn refuse_unfilled(store: &Store, catalog: &Catalog) -> Result<()> {
    let mut unfilled = Vec::new();
    for plan in catalog.tables() {
        let Some(mut table) = store.table(&plan.schema.name).await? else { continue };
        unfilled.extend(table.unfilled().await?.map(|gap| gap.reason));
    }
    match unfilled.is_empty() {
        true => Ok(()),
        false => bail!("not everything is filled yet, so it cannot be as replayed\n  {}", unfilled.join("\n  ")),
    }
}

/// A folder for the replay, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = parent.join(format!("tidewatch-verify-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is the system's to remove: it lies among its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn origin(settings: &Settings) -> &'static str {
    match settings.files.paths.is_empty() {
        true if settings.kafka.properties.is_empty() => "what was pushed",
        true => "these topics",
        false => "these files",
    }
}

fn kafka(settings: &Settings, catalog: &Catalog) -> Result<KafkaSettings> {
    Ok(KafkaSettings { skip_missing: true, ..kafka_settings(settings, catalog, true)? })
}

fn partitions(settings: &Settings, catalog: &Catalog) -> Result<Vec<TopicPartition>> {
    if !has_other_source(settings) && StoredLog::find(settings)?.is_some() {
        return Ok(Vec::new());
    }
    Ok(match settings.files.paths.is_empty() {
        true => KafkaSource::partitions(&kafka(settings, catalog)?)?,
        false => files(settings).partitions(),
    })
}

fn files(settings: &Settings) -> FileSource {
    FileSource::new(settings.files.paths.clone(), settings.ingest.record_bytes_max)
}

/// Where all tables stand together, for partitions of which something was counted.
async fn common_positions(
    store: &Store,
    catalog: &Catalog,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut differing = String::new();
    for _ in 0..LOOKS_MAX {
        let mut common: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        differing.clear();
        for plan in catalog.tables() {
            let Some(mut table) = store.table(&plan.schema.name).await? else { continue };
            let is_read = |p: &&TopicPartition| tidewatch_ingest::reads(plan.topics.iter().copied(), p);
            let read: Vec<TopicPartition> = partitions.iter().filter(is_read).cloned().collect();
            for (partition, position) in table.positions(&read).await? {
                let known = *common.entry(partition.clone()).or_insert(position);
                if known != position {
                    differing = format!("{} stands at {position} of {partition}, others at {known}", plan.schema.name);
                }
            }
        }
        if differing.is_empty() {
            common.retain(|_, position| *position > BEFORE_FIRST);
            return Ok(common);
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
    bail!(
        "the tables stand at different offsets: {differing}\n  hint: a crash between two commits leaves them so; `tidewatch run` makes them even"
    )
}

async fn replay(
    settings: &Settings,
    catalog: &Arc<Catalog>,
    store: &Store,
    mut ends: BTreeMap<TopicPartition, i64>,
    (pushed, journal): (Option<&StoredLog>, &JournalReader),
    commits: Handle,
) -> Result<()> {
    let of_log: Vec<_> = pushed.iter().flat_map(|log| log.topics()).collect();
    let of_log: Vec<_> =
        of_log.into_iter().filter_map(|(topic, partition)| Some((topic, ends.remove_entry(&partition)?))).collect();
    let put_back = ends.remove_entry(&journal_partition());
    let topics: BTreeSet<Arc<str>> = ends.keys().map(|p| Arc::clone(&p.topic)).collect();
    let total: i64 = ends.values().map(|end| end + 1).sum();
    let inner: Option<Box<dyn Source>> = match settings.files.paths.is_empty() {
        _ if ends.is_empty() => None,
        // Outside of the group: the replay must not take partitions from the workers that count.
        true => Some(Box::new(KafkaSource::assigned(&kafka(settings, catalog)?, ends.keys().cloned().collect())?)),
        false => Some(Box::new(files(settings))),
    };
    let metrics = IngestMetrics::register(&prometheus::Registry::new())?;
    let pipeline = Pipeline {
        catalog: Arc::clone(catalog),
        store: store.clone(),
        settings: settings.worker(),
        metrics: metrics.clone(),
        news: tidewatch_ingest::News::default(),
        clock: Arc::new(SystemClock::new()),
        runtime: commits,
    };
    if let Some(inner) = inner {
        let worker = pipeline.start(Box::new(Until::new(inner, ends))).await?;
        follow(worker, &metrics, &topics, total).await?;
    }
    if let Some(log) = pushed.filter(|_| !of_log.is_empty()) {
        let names: Vec<&str> = of_log.iter().map(|(topic, _)| *topic).collect();
        let ends: BTreeMap<TopicPartition, i64> = of_log.into_iter().map(|(_, end)| end).collect();
        let topics = ends.keys().map(|p| Arc::clone(&p.topic)).collect();
        let total = ends.values().map(|end| end + 1).sum();
        let source = Box::new(LogSource::replay(log.open(&pipeline.clock)?, &names));
        let worker = pipeline.start(Box::new(Until::new(source, ends))).await?;
        follow(worker, &metrics, &topics, total).await?;
    }
    // Letters that were put back count as well, in the windows of their events.
    if let Some(put_back) = put_back {
        let source = Box::new(JournalSource::new(journal.clone(), pipeline.runtime.clone()));
        let until = Until::new(source, BTreeMap::from([put_back]));
        pipeline.start(Box::new(until)).await?.ended().await?;
    }
    Ok(())
}

/// Waits for a replay of these topics, and shows how far it has come.
async fn follow(
    mut worker: WorkerThread,
    metrics: &IngestMetrics,
    topics: &BTreeSet<Arc<str>>,
    total: i64,
) -> Result<()> {
    let clock = SystemClock::new();
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let show = |end: &str| {
        let read: u64 = topics.iter().map(|t| metrics.records.with_label_values(&[t]).get()).sum();
        let seconds = clock.monotonic().as_secs_f64();
        let share = 100.0 * read as f64 / total.max(1) as f64;
        eprint!("\rreplayed {read} records, {share:.0} %, {:.0} records/s{end}", read as f64 / seconds.max(1e-3));
    };
    let ended = loop {
        tokio::select! {
            ended = worker.ended() => break ended,
            _ = ticks.tick() => if std::io::stderr().is_terminal() { show("") },
        }
    };
    show("\n");
    Ok(ended?)
}

async fn report(catalog: &Catalog, stored: &Store, replayed: &Store, memory_bytes_max: usize) -> Result<ExitCode> {
    let names: Vec<String> = catalog.tables().iter().map(|t| t.schema.name.clone()).collect();
    let take = |store: &Store| Snapshots::new(store.clone(), Arc::new(NoLiveStates));
    let (left, right) = (take(stored), take(replayed));
    let (left, mut right) = (left.take(&names).await?, right.take(&names).await?);
    cut_alike(&left, &mut right);
    let mut different = 0;
    for name in &names {
        let comparison = compare(name, &left, &right, memory_bytes_max).await.with_context(|| name.clone())?;
        print(name, &comparison);
        different += usize::from(!comparison.different.is_empty());
    }
    match different {
        0 => println!("every window of {} tables is as replayed", names.len()),
        n => println!("{n} of {} tables differ", names.len()),
    }
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(name: &str, comparison: &Comparison) {
    let Comparison { windows, rows, different } = comparison;
    match different.as_slice() {
        [] => println!("equal     {name}: {windows} windows, {rows} rows"),
        some => println!("DIFFERENT {name}: {} of {windows} windows", some.len()),
    }
    for difference in different.iter().take(WINDOWS_LISTED) {
        println!("  window {}", difference.window());
        difference.only_stored.iter().for_each(|row| println!("    stored    {row}"));
        difference.only_replayed.iter().for_each(|row| println!("    replayed  {row}"));
    }
    if different.len() > WINDOWS_LISTED {
        println!("  … and {} more", different.len() - WINDOWS_LISTED);
    }
}
