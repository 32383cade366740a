//! A simulated week of the platform: every rollup of the built-in pack, and its metrics as the catalogue defines
//! them, equal what DuckDB computes from the raw events; and still do after copies and after maintenance.

use crate::support::{Tidewatch, python, repository, run_tool, tidewatch, write_settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A whole week, few events: parcels arrive, days and tiers end.
#[test]
fn a_quiet_week_counts_as_duckdb_counts_it() {
    let Some(week) = Simulated::new("steady", "7d", "0.1") else { return };
    week.count();
    week.compare(&[]);
    // Fine windows that are older than their tier is kept are gone; nothing coarser may have changed.
    tidewatch(&["maintain", "-c", &week.settings]);
    week.compare(&["--merged"]);
}

/// Three in ten events are sent again: copies count once.
#[test]
fn copies_change_nothing() {
    let Some(storm) = Simulated::new("duplicate_storm", "12m", "15") else { return };
    storm.count();
    storm.compare(&["--only", "order"]);
}

#[test]
#[ignore = "more than a million events: minutes in a release build, an hour in a debug build"]
fn a_busy_week_counts_as_duckdb_counts_it() {
    let Some(week) = Simulated::new("steady", "7d", "2") else { return };
    week.count();
    week.compare(&[]);
    tidewatch(&["maintain", "-c", &week.settings]);
    week.compare(&["--merged"]);
}

/// Events in a folder of their own, and the settings to count them.
struct Simulated {
    python: PathBuf,
    events: [String; 2],
    settings: String,
    _folder: tempfile::TempDir,
}

impl Simulated {
    /// Events that end about now, because metrics of "now" ask for the last minutes, hours and days. To repeat a run,
    /// set `TIDEWATCH_TRUTH_START` to the start that it printed.
    fn new(scenario: &str, duration: &str, rate: &str) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let events = [path("simulated.ndjson"), path("rare.ndjson")];
        let start = std::env::var("TIDEWATCH_TRUTH_START").unwrap_or_else(|_| a_week_ago(&python));
        println!("TIDEWATCH_TRUTH_START={start}");
        let span = ["--start", &start, "--duration", duration, "--rate", rate, "--seed", "7"];
        tidewatch(&[&["simulate", "--scenario", scenario, "--to", "file", "--path", &events[0]], &span[..]].concat());
        run_tool(&python, &[&script("creatorflow/rare_events.py"), &start, &events[1]]);
        let settings = write_settings(
            folder.path(),
            "packs = [\"builtin:creatorflow\"]\n[storage]\nlocation = \"data\"\n\
             [files]\npaths = [\"simulated.ndjson\", \"rare.ndjson\"]\n[personal]\nsalt = \"of tests\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[sql]\nrows_max = 5_000_000\ntimeout = \"10m\"\n\
             memory_bytes_max = 4_000_000_000\n[maintenance]\nenabled = false\nfresh_files = 1\n",
        );
        Some(Self { python, events, settings: settings.display().to_string(), _folder: folder })
    }

    fn count(&self) {
        Tidewatch::start(&["run", "-c", &self.settings, "--until-caught-up"]).wait(Duration::from_secs(3600));
    }

    /// Asks a server for everything, beside what the script computes.
    fn compare(&self, options: &[&str]) {
        let mut server = Tidewatch::run(Path::new(&self.settings));
        let address = format!("http://{}", server.address());
        let events: Vec<&str> = self.events.iter().map(String::as_str).collect();
        let said =
            run_tool(&self.python, &[&[script("creatorflow").as_str(), &address], &events[..], options].concat());
        println!("{said}");
        server.stop();
    }
}

fn script(name: &str) -> String {
    repository().join("tests/truth").join(name).display().to_string()
}

/// To the minute.
fn a_week_ago(python: &Path) -> String {
    let code = "import datetime as d; print((d.datetime.now(d.timezone.utc) - d.timedelta(days=7)).strftime('%Y-%m-%dT%H:%M:00Z'))";
    run_tool(python, &["-c", code]).trim().to_owned()
}
