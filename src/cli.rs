//! The command line.

mod letters;
mod operations;
mod rules;

pub use letters::{DeadLetters, ListFormat, ListLetters, Redrive, ShowLetter, Which};
pub use operations::{Backup, Doctor, Restore};
pub use rules::{Backtest, Between, DiffRules, Explain, ExplainAlert, ReportFormat, RuleFiles, Rules, Suggest};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Stream-processing metrics and alerting: every number can be replayed, explained and amended.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything at once, with nothing installed: a broker, events, the engine, HTTP.
    Demo(Demo),
    /// Count events of Kafka or of files into tables, and answer over HTTP.
    Run(Run),
    /// Fill a rollup or a measure that was defined later with the events from before, beside a running
    /// process: from Kafka as far as it still has them, or from files. Goes on where it was interrupted.
    Backfill(Backfill),
    /// Check settings and definitions: every mistake with file, line and hint.
    Check(Check),
    /// Look at everything that a process with these settings needs: settings, store, Kafka, receivers, clock, disks.
    /// Counts and sends nothing; exit code 1 when something failed.
    Doctor(Doctor),
    /// Run the tests of packs: events, queries, and the rows they must give, however events come together.
    Test(Test),
    /// Ask the tables. Sees what is committed; a running process also answers for what is not yet,
    /// on POST /api/v1/sql.
    Sql(Sql),
    /// Events that could not be counted: list them, look at them, put them back.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Replay what the tables have counted and compare every window: exit code 1 when one differs.
    Verify(Verify),
    /// Merge small files, roll windows up into wider ones, delete what was kept long enough: once, until
    /// nothing is left to do. `run` does the same beside counting.
    Maintain(Maintain),
    /// Copy tables, and what lies beside them, to a place from where they can be restored. Runs beside a live process.
    Backup(Backup),
    /// Put a backup back into an empty place; `run` goes on from there.
    Restore(Restore),
    /// Rules: check and test them, run them over the past, compare them, find thresholds.
    #[command(subcommand)]
    Rules(Rules),
    /// Why something was decided.
    #[command(subcommand)]
    Explain(Explain),
    /// Generate events with known trouble.
    Simulate(Simulate),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the data goes [default: a new folder tidewatch-demo/<UTC time>].
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Events per second.
    #[arg(long, default_value_t = 500.0, value_name = "N")]
    pub rate: f64,
    /// What goes wrong, and when (see `simulate --list`).
    #[arg(long, default_value = "demo", value_name = "NAME")]
    pub scenario: String,
    /// Same seed and start, same events.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Address of the HTTP server; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:9890", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Stop by itself after this time, as in 30s or 5m.
    #[arg(long, value_parser = humantime_serde::re::humantime::parse_duration, value_name = "DURATION")]
    pub stop_after: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Config {
    /// Settings file; `tidewatch check --defaults` prints one with every setting explained.
    #[arg(short, long, default_value = "tidewatch.toml", value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub config: Config,
    /// Stop when everything that was there at the end of the sources is counted and committed.
    #[arg(long)]
    pub until_caught_up: bool,
}

#[derive(Debug, Args)]
pub struct Backfill {
    #[command(flatten)]
    pub config: Config,
    /// The rollup to fill, with all measures that were added to it.
    #[arg(long, value_name = "NAME")]
    pub rollup: String,
    /// Fill only this measure.
    #[arg(long, value_name = "NAME")]
    pub measure: Option<String>,
    /// `kafka`, or files as in [files] [default: where the settings read from].
    #[arg(long, num_args = 1.., value_name = "kafka|FILE")]
    pub from: Vec<String>,
    /// Begin with the records of this time, RFC 3339, instead of the first that Kafka has. What lies
    /// before is then never filled.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Read at most so many events per second.
    #[arg(long, value_parser = positive, value_name = "N")]
    pub rate: Option<f64>,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub config: Config,
    /// Where the replay may put its tables; they are removed at the end [default: the system's folder for
    /// temporary files].
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub config: Config,
    /// Print the default settings with their explanations and stop.
    #[arg(long)]
    pub defaults: bool,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Packs, loaded together; the tests are those in their folders tests/ [default: packs of the settings].
    #[arg(value_name = "PACK")]
    pub packs: Vec<String>,
    /// Only tests with this text in their name or file.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub config: Config,
}

#[derive(Debug, Args)]
pub struct Maintain {
    /// Folder or URL of the tables, instead of that in the settings.
    #[arg(long, value_name = "LOCATION")]
    pub data: Option<String>,
    /// Settings file; its packs say how long windows are kept, else the tables themselves do.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Sql {
    /// The query, or COPY (SELECT …) TO 'file' [STORED AS csv|json|ndjson|parquet|arrow|xlsx].
    pub query: String,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub format: SqlFormat,
    /// CSV for a spreadsheet: text that it would compute, such as =1+1, gets an apostrophe before it.
    #[arg(long)]
    pub spreadsheet: bool,
    /// Folder or URL of the tables, instead of that in the settings.
    #[arg(long, value_name = "LOCATION")]
    pub data: Option<String>,
    /// Settings file.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write to a file instead of the standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SqlFormat {
    Table,
    Csv,
    Json,
    Ndjson,
    Parquet,
    Arrow,
    Xlsx,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// What goes wrong, and when.
    #[arg(long, default_value = "steady", value_name = "NAME")]
    pub scenario: String,
    /// List the scenarios and stop.
    #[arg(long)]
    pub list: bool,
    /// Where the events go.
    #[arg(long, value_enum, required_unless_present = "list")]
    pub to: Option<Target>,
    /// File to write; a name ending in .gz is compressed.
    #[arg(long, required_if_eq("to", "file"), value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// Brokers, as host:port separated by commas.
    #[arg(long, required_if_eq("to", "kafka"), value_name = "BROKERS")]
    pub bootstrap_servers: Option<String>,
    /// Any librdkafka property, as name=value; may be repeated.
    #[arg(long = "property", value_parser = name_and_value, value_name = "NAME=VALUE")]
    pub properties: Vec<(String, String)>,
    /// Mean events per second.
    #[arg(long, default_value_t = 200.0, value_name = "N")]
    pub rate: f64,
    /// Length in event time, as in 10m or 2h; without it the events go on until Ctrl-C.
    #[arg(long, value_parser = humantime_serde::re::humantime::parse_duration, value_name = "DURATION", required_if_eq("to", "file"))]
    pub duration: Option<Duration>,
    /// First moment of event time, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Same seed and start, same events.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Number of creators.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub creators: usize,
    /// Write each event when it happens instead of as fast as possible.
    #[arg(long)]
    pub real_time: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    Kafka,
    File,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(format!("expected a number above 0, found `{text}`")),
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
