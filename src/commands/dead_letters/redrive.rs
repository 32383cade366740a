//! `tidewatch dead-letters redrive`: select, judge, write down, count, report.

use super::report::Report;
use crate::app::{open_store, start_log};
use crate::cli::Redrive;
use crate::packs;
use crate::settings::Settings;
use crate::status::Status;
use anyhow::{Context, Result, bail};
use prometheus::Registry;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange};
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::Pipeline;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::dead_letter::{DEAD_LETTERS, REJECTED};
use tidewatch_ingest::letters::{
    Entry, Journal, Judge, LetterFilter, LetterId, Letters, Repairs, StoredLetter, count_journal, fate,
    journal_positions, repair,
};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::source::JOURNAL_TOPIC;
use tokio::runtime::Handle;

/// Bounds of one commit of the journal.
const COMMIT_BYTES: usize = 32 * 1024 * 1024;
const COMMIT_LETTERS: usize = 10_000;

pub async fn redrive(options: Redrive, commits: Handle) -> Result<ExitCode> {
    let mut settings = Settings::load(&options.config.config)?;
    // Progress and the report say what goes on; the log is for trouble.
    settings.log.filter = "warn".to_owned();
    start_log(&settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let catalog = Arc::new(packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.catalog);
    settings.check_packs(&catalog)?;
    let repairs = read_repairs(options.repaired.as_deref())?;
    let filter = filter(&options, &catalog, &repairs, clock.now_us())?;
    let store = open_store(&settings)?;
    let letters = Letters::open(&store).await?;
    refuse_missing(&letters, &options.letters, &repairs).await?;
    let journal = Journal::open(&store).await?;
    if let Some(path) = &options.export {
        return export(path, &letters, &filter, &journal).await;
    }
    let pipeline = Pipeline {
        catalog,
        store,
        settings: settings.worker(),
        metrics: IngestMetrics::register(&Registry::new())?,
        news: tidewatch_ingest::News::default(),
        clock,
        runtime: commits,
    };
    let mut redriving = Redriving {
        judge: Judge::open(&pipeline.store, &pipeline.catalog, &pipeline.settings).await?,
        report: Report::new(options.dry_run, repairs.not_repaired()),
        own: Vec::new(),
        journal,
        repairs,
        pipeline,
        is_dry_run: options.dry_run,
    };
    redriving.run(&letters, &filter).await?;
    std::io::stdout().write_all(redriving.report.text(options.dry_run).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn read_repairs(path: Option<&Path>) -> Result<Repairs> {
    let Some(path) = path else { return Ok(Repairs::default()) };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Repairs::parse(&text).with_context(|| path.display().to_string())
}

fn filter(options: &Redrive, catalog: &Catalog, repairs: &Repairs, now_us: i64) -> Result<LetterFilter> {
    let mut filter = options.which.filter(catalog, now_us)?;
    filter.disposition = Some(REJECTED);
    if !options.letters.is_empty() {
        filter.ids = Some(options.letters.iter().cloned().collect());
        // Somebody who names a notice is told that it is one.
        filter.disposition = None;
    } else if options.which.is_empty() && !options.all {
        if options.repaired.is_none() {
            bail!(
                "which letters?\n  hint: --all, --letter TOPIC/PARTITION/OFFSET, --reason, --topic, --since, --type, --source, or --repaired FILE"
            );
        }
        filter.ids = Some(repairs.ids().cloned().collect());
        filter.disposition = None;
    }
    Ok(filter)
}

/// Every letter that is named must be there, before anything is put back.
async fn refuse_missing(letters: &Letters, named: &[LetterId], repairs: &Repairs) -> Result<()> {
    let wanted: Vec<&LetterId> = named.iter().chain(repairs.ids()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let found = letters.ids(&LetterFilter::of_ids(wanted.iter().map(|&id| id.clone()))).await?;
    let missing = fate::missing(wanted, &found);
    if let Some(first) = missing.first() {
        let others = if missing.len() > 1 { format!(", nor {} other ones", missing.len() - 1) } else { String::new() };
        bail!("{first}: there is no such letter{others}\n  hint: `tidewatch dead-letters list` names them");
    }
    Ok(())
}

async fn export(path: &Path, letters: &Letters, filter: &LetterFilter, journal: &Journal) -> Result<ExitCode> {
    let file = File::create_new(path).with_context(|| format!("{}: is an older export in the way?", path.display()))?;
    let mut file = BufWriter::new(file);
    let (mut written, mut left_out) = (0, 0);
    let mut stream = letters.stream(filter).await?;
    while let Some(some) = stream.next().await? {
        for letter in some {
            if letter.disposition != REJECTED || journal.has(&letter.id) {
                left_out += 1;
                continue;
            }
            file.write_all(repair::export_line(&letter).as_bytes())?;
            written += 1;
        }
    }
    file.flush()?;
    println!("{written} letters written to {}; {left_out} left out, as they count already", path.display());
    Ok(ExitCode::SUCCESS)
}

struct Redriving {
    judge: Judge,
    report: Report,
    journal: Journal,
    repairs: Repairs,
    pipeline: Pipeline,
    is_dry_run: bool,
    /// Rows of the journal that this redrive has written.
    own: Vec<OffsetRange>,
}

impl Redriving {
    async fn run(&mut self, letters: &Letters, filter: &LetterFilter) -> Result<()> {
        let before = journal_positions(&self.pipeline).await?;
        let slowest = before.values().min().copied().unwrap_or(BEFORE_FIRST);
        self.report.caught_up = (self.journal.reader().end() - slowest).max(0);
        let mut batch: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut stream = letters.stream(filter).await?;
        while let Some(some) = stream.next().await? {
            self.judge.prepare(&some, &self.journal).await?;
            for letter in some {
                let Some(entry) = self.judge(letter) else { continue };
                bytes += entry.payload.len();
                batch.push(entry);
                if bytes >= COMMIT_BYTES || batch.len() >= COMMIT_LETTERS {
                    self.write_down(std::mem::take(&mut batch)).await?;
                    bytes = 0;
                }
            }
        }
        if self.is_dry_run {
            return Ok(());
        }
        self.write_down(batch).await?;
        self.count(before.get(DEAD_LETTERS).copied().unwrap_or(BEFORE_FIRST)).await
    }

    /// What goes into the journal of it, if anything.
    fn judge(&mut self, letter: StoredLetter) -> Option<Entry> {
        let id = letter.id.clone();
        let fate = self.judge.judge(letter, &self.repairs, &self.journal, self.pipeline.clock.now_us());
        self.report.note(&id, &fate);
        fate.into_entry().filter(|_| !self.is_dry_run)
    }

    async fn write_down(&mut self, batch: Vec<Entry>) -> Result<()> {
        let wanted = batch.len();
        if wanted == 0 {
            return Ok(());
        }
        let appended = match self.journal.append(batch, self.pipeline.clock.now_us()).await? {
            Some(range) => {
                self.own.push(range);
                usize::try_from(range.to - range.from).unwrap_or_default()
            }
            None => 0,
        };
        self.report.journaled += appended;
        self.report.already += wanted - appended;
        progress(&format!("{} letters judged, {} journaled", self.report.selected, self.report.journaled));
        Ok(())
    }

    /// Counts what is in the journal and looks which letters after number `seen` were refused all the same.
    async fn count(&mut self, seen: i64) -> Result<()> {
        self.journal.refresh().await?;
        let end = self.journal.reader().end();
        if journal_positions(&self.pipeline).await?.values().any(|&position| position < end) {
            progress(&format!("counting the journal up to number {end}\n"));
            let status = tokio::spawn(Status::new(self.pipeline.metrics.clone(), self.pipeline.clock.clone()).run());
            let counted = count_journal(&self.pipeline, self.journal.reader()).await;
            status.abort();
            counted.context("the letters are in the journal and none is lost: the next redrive goes on from here")?;
        }
        let refused = LetterFilter {
            topic: Some(JOURNAL_TOPIC.to_owned()),
            disposition: Some(REJECTED),
            after_offset: Some(seen),
            ..LetterFilter::default()
        };
        let mut stream = Letters::open(&self.pipeline.store).await?.stream(&refused).await?;
        while let Some(some) = stream.next().await? {
            for letter in some.iter().filter(|l| l.id.offset <= end) {
                let is_own = self.own.iter().any(|r| letter.id.offset > r.from && letter.id.offset <= r.to);
                self.report.refused_again(letter, is_own);
            }
        }
        Ok(())
    }
}

/// On a terminal only: the report says it all again.
fn progress(line: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        // A terminal that went away is no reason to stop.
        let _ = write!(out, "\r\x1b[2K{line}");
    }
}
