//! `tidewatch backfill`.

mod line;
mod origin;

use crate::app::{open_store, start_log};
use crate::cli;
use crate::packs;
use crate::settings::Settings;
use crate::signals::Shutdown;
use anyhow::{Context, Result, bail};
use line::Line;
use origin::Origin;
use prometheus::Registry;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_engine::backfill::{Job, Records, Scope};
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::rollup::{Catalog, DIGESTS, RollupSchema};
use tidewatch_ingest::backfill::Backfill;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_storage::{Store, Table};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

pub async fn backfill(options: cli::Backfill, commits: Handle) -> Result<ExitCode> {
    let settings = Settings::load(&options.config.config)?;
    let catalog = packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.catalog;
    start_log(&settings)?;
    settings.check_packs(&catalog)?;
    let mut shutdown = Shutdown::listen()?;
    let rollup = rollup(&catalog, &options)?;
    let store = open_store(&settings)?;
    let mut table = open(&store, rollup).await?;
    let origin = block_in_place(|| Origin::of(&options, &settings, &catalog))?;
    let measure = options.measure.as_deref();
    let records = declare(&mut table, &origin, measure).await?;
    let pushed = Origin::pushed(&options, &settings)?;
    // Letters that were put back count as well, in the windows of their events.
    let put_back = Origin::put_back(&store, commits.clone()).await?;
    let jobs = |origin: &Origin| records.jobs(measure, |p| origin.has(p));
    if [&origin, &pushed, &put_back].into_iter().all(|origin| jobs(origin).is_empty()) {
        println!("{}: nothing to fill", options.rollup);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backfill = Backfill {
        catalog: &catalog,
        rollup,
        store: store.clone(),
        settings: settings.worker(),
        rate: options.rate,
        metrics: IngestMetrics::register(&Registry::new())?,
        clock: Arc::clone(&clock),
        runtime: commits,
    };
    for origin in [&origin, &pushed, &put_back] {
        for job in jobs(origin) {
            if !run(&backfill, &table, &records, &job, origin, &mut shutdown).await? {
                eprintln!("stopped; what was read is committed, and the same command goes on from there");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    table.refresh().await?;
    for job in table.records().await?.jobs(None, |_| true) {
        println!("not filled: {}", describe(&options.rollup, &job));
    }
    Ok(ExitCode::SUCCESS)
}

fn rollup<'c>(catalog: &'c Catalog, options: &cli::Backfill) -> Result<&'c RollupSchema> {
    let tables = catalog.tables();
    // The digests of a rollup are filled with it.
    let tables: Vec<_> = tables.iter().filter(|t| t.schema.name != DIGESTS).collect();
    let names: Vec<&str> = tables.iter().map(|t| t.schema.name.as_str()).collect();
    let found = tables.iter().find(|t| t.schema.name == options.rollup).map(|t| t.schema);
    let rollup =
        found.with_context(|| format!("no rollup named {}\n  hint: there are {}", options.rollup, names.join(", ")))?;
    if let Some(measure) = options.measure.as_deref().filter(|m| rollup.measures.iter().all(|r| r.name != **m)) {
        let names: Vec<&str> = rollup.measures.iter().map(|m| m.name.as_str()).collect();
        bail!("{} has no measure named {measure}\n  hint: it has {}", rollup.name, names.join(", "));
    }
    Ok(rollup)
}

async fn open(store: &Store, rollup: &RollupSchema) -> Result<Table> {
    let table = store.table(&rollup.name).await?;
    let table = table.with_context(|| {
        format!(
            "{} has no table yet\n  hint: `tidewatch run` with this definition makes it; a backfill fills what came before",
            rollup.name
        )
    })?;
    // Says what is wrong with the definition before anything is asked of Kafka.
    table.clone().filling(rollup, vec![Scope::Rollup])?;
    Ok(table)
}

/// What the table records, once files that were given and that it has never heard of are gaps of it.
async fn declare(table: &mut Table, origin: &Origin, measure: Option<&str>) -> Result<Records> {
    let records = table.records().await?;
    let late = records.late_measures();
    let measures = late.iter().map(|m| Scope::Measure((*m).to_owned()));
    let scopes: Vec<Scope> = match measure {
        None => [Scope::Rollup].into_iter().chain(measures).collect(),
        Some(name) => measures.filter(|s| *s == Scope::Measure(name.to_owned())).collect(),
    };
    let mut ends: BTreeMap<TopicPartition, i64> = origin.given();
    ends.retain(|partition, _| {
        let is_declared = scopes.iter().any(|s| records.begins.get(s).is_some_and(|b| b.contains_key(partition)));
        !is_declared && !records.offsets.contains_key(partition)
    });
    if ends.is_empty() || scopes.is_empty() {
        return Ok(records);
    }
    table.declare(&scopes, &ends).await?;
    Ok(table.records().await?)
}

/// Runs one job; false when a stop was asked for before its end.
async fn run(
    backfill: &Backfill<'_>,
    table: &Table,
    records: &Records,
    job: &Job,
    origin: &Origin,
    shutdown: &mut Shutdown,
) -> Result<bool> {
    let name = &backfill.rollup.name;
    let (source, spans) = block_in_place(|| origin.open(job))?;
    println!("filling {}", describe(name, job));
    let started = backfill.clock.monotonic();
    let (mut worker, progress) = backfill.start(table.clone(), records, job, &spans, source).await?;
    let line = || Line {
        progress: Arc::clone(&progress),
        clock: Arc::clone(&backfill.clock),
        disorder_us: backfill.settings.watermark.disorder_us,
        pane_us: backfill.rollup.pane_us,
    };
    if let Some(loss) = line().loss() {
        println!("{name}: {loss}");
    }
    let shown = tokio::spawn(line().run());
    let ended = tokio::select! {
        ended = worker.ended() => Some(ended),
        () = shutdown.requested() => None,
    };
    shown.abort();
    let is_complete = ended.is_some();
    match ended {
        Some(ended) => ended?,
        None => {
            worker.handle.drain();
            worker.ended().await?;
        }
    }
    // Now the first records that are left have told from when on the numbers are whole.
    if let Some(loss) = line().loss() {
        println!("{name}: {loss}");
    }
    if is_complete {
        let seconds = (backfill.clock.monotonic() - started).as_secs_f64();
        println!("{name}: filled with {} events in {seconds:.1} s", progress.records());
    }
    Ok(is_complete)
}

fn describe(rollup: &str, job: &Job) -> String {
    let measures: Vec<&str> = job.measures().collect();
    let what = if measures.is_empty() { rollup.to_owned() } else { format!("{} of {rollup}", measures.join(", ")) };
    let offsets: i64 = job.gaps.iter().map(|g| g.to - g.from).sum();
    let plural = if job.gaps.len() == 1 { "" } else { "s" };
    format!("{what}: {offsets} offsets of {} partition{plural}", job.gaps.len())
}
