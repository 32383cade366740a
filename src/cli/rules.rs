//! Arguments of `tidewatch rules` and `tidewatch explain`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Read rule files and say every mistake with its place.
    Check(RuleFiles),
    /// Run unit tests of rules, files of promtool's form.
    Test(RuleFiles),
    /// Run rules over stored numbers, as if they had been there: nothing is written and nobody is told.
    Backtest(Backtest),
    /// What another set of rules would have done differently.
    Diff(DiffRules),
    /// Which threshold of a rule would have found known incidents, and how often it would have cried wolf.
    Suggest(Suggest),
}

#[derive(Debug, Args)]
pub struct RuleFiles {
    /// Files; the last part of a path may have one *.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Where the numbers are, and which of them.
#[derive(Debug, Args)]
pub struct Between {
    /// Settings file; without it tidewatch.toml, if that is there.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder or URL of the tables, instead of that in the settings.
    #[arg(long, value_name = "LOCATION")]
    pub data: Option<String>,
    /// Begin: how long ago, as in 90d, or a time in RFC 3339.
    #[arg(long, default_value = "30d", value_name = "TIME")]
    pub since: String,
    /// End, inclusive [default: now].
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Least time between two evaluations; groups with a longer interval keep it [default: each group's interval].
    #[arg(long, value_parser = humantime_serde::re::humantime::parse_duration, value_name = "DURATION")]
    pub step: Option<std::time::Duration>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct Backtest {
    /// Rule files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    #[command(flatten)]
    pub between: Between,
}

#[derive(Debug, Args)]
pub struct DiffRules {
    /// The rules as they are.
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The rules as they would be.
    #[arg(value_name = "NEW")]
    pub new: String,
    #[command(flatten)]
    pub between: Between,
}

#[derive(Debug, Args)]
pub struct Suggest {
    /// Rule file.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Name of the alert whose threshold is looked for.
    #[arg(long, value_name = "ALERT")]
    pub rule: String,
    /// Incidents: YAML, a list of {start, end, matchers: ['shop="a"']}, times in RFC 3339.
    #[arg(long, value_name = "FILE")]
    pub incidents: PathBuf,
    /// How many thresholds are tried, at even ranks of the values that were seen.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub candidates: usize,
    #[command(flatten)]
    pub between: Between,
}

#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Everything that was decided about an alert: pending since, grouped with, silenced by whom, sent where.
    Alert(ExplainAlert),
}

#[derive(Debug, Args)]
pub struct ExplainAlert {
    /// The alert's fingerprint, 16 hexadecimal digits, or its name: then every alert of that name that is known.
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// Address of the running process.
    #[arg(long, default_value = "http://127.0.0.1:9890", value_name = "URL")]
    pub url: String,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}
