//! Arguments of `tidewatch dead-letters`.

use super::Config;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tidewatch_ingest::letters::LetterId;

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// The newest letters, or with --summary how many there are for each reason and topic.
    List(ListLetters),
    /// Everything about one letter: its bytes, what is wrong with it, what to do.
    Show(ShowLetter),
    /// Put letters back into their original windows, each at most once ever. It may be stopped at any
    /// moment and run again, and `tidewatch run` may work on the same tables meanwhile.
    ///
    /// Only letters that would count are put back: others are reported with what is wrong and stay. Repair
    /// them with --export FILE, an editor, and --repaired FILE.
    Redrive(Redrive),
}

#[derive(Debug, Args)]
pub struct Tables {
    /// Folder or URL of the tables, instead of that in the settings.
    #[arg(long, value_name = "LOCATION")]
    pub data: Option<String>,
    /// Settings file.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which letters. Several conditions must all hold.
#[derive(Debug, Args)]
pub struct Which {
    /// Letters with this reason; may be repeated.
    #[arg(long = "reason", value_name = "REASON")]
    pub reasons: Vec<String>,
    /// Letters from this topic; replayed files are `file:NAME`.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Letters that arrived since then: a time in RFC 3339, or how long ago, as in 30m or 7d.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Events of this type, with or without its reverse-DNS prefix.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "source")]
    pub event_type: Option<String>,
    /// Events of the type that this source of the packs has.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
}

#[derive(Debug, Args)]
pub struct ListLetters {
    #[command(flatten)]
    pub tables: Tables,
    #[command(flatten)]
    pub which: Which,
    /// Per reason and topic: how many, how many were put back, the first and the last.
    #[arg(long)]
    pub summary: bool,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 50, value_name = "N", conflicts_with = "summary")]
    pub limit: usize,
    /// How to print; csv and json have every column but the payload.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    Table,
    Csv,
    Json,
}

#[derive(Debug, Args)]
pub struct ShowLetter {
    #[command(flatten)]
    pub tables: Tables,
    /// The letter, as `list` names it.
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub letter: LetterId,
}

#[derive(Debug, Args)]
pub struct Redrive {
    #[command(flatten)]
    pub config: Config,
    #[command(flatten)]
    pub which: Which,
    /// This letter, as `list` names it; may be repeated.
    #[arg(long = "letter", value_name = "TOPIC/PARTITION/OFFSET", conflicts_with = "all")]
    pub letters: Vec<LetterId>,
    /// Every letter that was not put back yet.
    #[arg(long)]
    pub all: bool,
    /// NDJSON with repaired payloads, one letter a line, as --export writes them. Without another selection,
    /// the letters in it are meant.
    #[arg(long, value_name = "FILE")]
    pub repaired: Option<PathBuf>,
    /// Write the letters to a new file for editing, and put nothing back.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repaired", "dry_run"])]
    pub export: Option<PathBuf>,
    /// Only say what would happen.
    #[arg(long)]
    pub dry_run: bool,
}
