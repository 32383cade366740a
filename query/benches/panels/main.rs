//! Typical dashboard panels over a month of rollups, beside DuckDB on the same files in the same run.
//!
//! ```text
//! cargo bench -p tidewatch-query --bench panels                  500 series, 30 days of minutes
//! cargo bench -p tidewatch-query --bench panels -- --days 365
//! cargo bench -p tidewatch-query --bench panels -- --pane-days 30 --shops 2 --endpoints 25
//! cargo bench -p tidewatch-query --bench panels -- --only hour   panels with that word in their names
//! cargo bench -p tidewatch-query --bench panels -- --tiny        a few rows, without DuckDB
//! ```
//!
//! The store is what the default tiers keep: two days of 10 s panes, the days of minutes, all of it by the
//! hour and day. DuckDB reads the Parquet files of the tier that Tidewatch chooses, named one by one: it has
//! neither the log nor the choice to make. Each figure is the least of several rounds, in turn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "a bench measures, and fails by panicking"
)]

mod panels;
mod store;

use panels::{PANELS, Panel};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Shape;
use tidewatch_query::{Definitions, NoLiveStates, Now, Snapshots, SqlEngine, SqlLimits};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_tiny = arguments.iter().any(|a| a == "--tiny") || !arguments.iter().any(|a| a == "--bench");
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let shape = if is_tiny {
        Shape { days: 3, pane_hours: 1, shops: 2, endpoints: 3 }
    } else {
        Shape {
            days: number("--days", 30),
            pane_hours: 24 * number("--pane-days", 2),
            shops: number("--shops", 10),
            endpoints: number("--endpoints", 50),
        }
    };
    let only = arguments.iter().position(|a| a == "--only").map_or("", |at| arguments[at + 1].as_str());
    let rounds = if is_tiny { 1 } else { number("--rounds", 5) };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let filled = runtime.block_on(store::fill(folder.path(), &shape));
    println!("{} rows, {} MB in {} files", filled.rows, filled.bytes / 1_000_000, filled.files.len());

    let snapshots = Snapshots::new(filled.store.clone(), Arc::new(NoLiveStates));
    snapshots.define(Definitions::default().with_table("calls", store::declared()));
    let limits = SqlLimits {
        rows_max: 1_000_000,
        timeout: Duration::from_secs(600),
        memory_bytes_max: 4 << 30,
        spill_bytes_max: 0,
        query_bytes_max: 100_000,
        cache_bytes_max: 0,
    };
    let engine = SqlEngine::new(snapshots, limits, Now::fixed(store::END_US));
    let ours = |panel: &Panel| {
        let started = Instant::now();
        let answer = runtime.block_on(engine.query(&panel.sql())).unwrap_or_else(|e| panic!("{}: {e}", panel.name));
        (started.elapsed(), answer.row_count())
    };
    let mut duckdb = (!is_tiny).then(|| DuckDb::new(folder.path().join("calls"), &filled)).flatten();
    println!("{:44} {:>6} {:>12} {:>12} {:>7}", "panel", "rows", "tidewatch ms", "duckdb ms", "ratio");
    let mut ratios = Vec::new();
    for panel in PANELS.iter().filter(|panel| panel.name.contains(only)) {
        let (mut least, mut other, mut rows) = (Duration::MAX, f64::INFINITY, 0);
        for _ in 0..rounds {
            let (elapsed, count) = ours(panel);
            (least, rows) = (least.min(elapsed), count);
            if let (Some(duckdb), Some(sql)) = (&mut duckdb, panel.plain_sql()) {
                let (ms, count) = duckdb.run(panel.tier, &sql);
                assert_eq!(count, rows, "{}: DuckDB has other rows", panel.name);
                other = other.min(ms);
            }
        }
        let least = least.as_secs_f64() * 1e3;
        if other.is_finite() {
            ratios.push(least / other);
            println!("{:44} {rows:>6} {least:>12.1} {other:>12.1} {:>7.2}", panel.name, least / other);
        } else {
            println!("{:44} {rows:>6} {least:>12.1} {:>12} {:>7}", panel.name, "-", "-");
        }
    }
    if !ratios.is_empty() {
        ratios.sort_by(f64::total_cmp);
        println!("ratio: median {:.2}, greatest {:.2}", ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    }
}

/// DuckDB in a process of its own, asked over its standard input.
struct DuckDb {
    input: std::process::ChildStdin,
    output: std::io::BufReader<std::process::ChildStdout>,
    _child: std::process::Child,
}

impl DuckDb {
    fn new(table: PathBuf, filled: &store::Filled) -> Option<Self> {
        let cache = PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache/tidewatch/venv/bin/python");
        let python = std::env::var("TIDEWATCH_PYTHON").map_or(cache, PathBuf::from);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/panels/duckdb_panels.py");
        let child = Command::new(python)
            .arg(script)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("DuckDB is missing: run tests/truth/venv.sh, or set TIDEWATCH_PYTHON");
            return None;
        };
        let mut duckdb = Self {
            input: child.stdin.take().unwrap(),
            output: std::io::BufReader::new(child.stdout.take().unwrap()),
            _child: child,
        };
        for tier in ["10s", "1m", "1h", "1d"] {
            let files = filled.files.iter().filter(|(of, _)| of == tier).map(|(_, path)| table.join(path));
            let files: Vec<String> = files.map(|path| format!("'{}'", path.display())).collect();
            duckdb.ask(&format!("CREATE VIEW calls_{tier} AS FROM read_parquet([{}])", files.join(",")));
        }
        Some(duckdb)
    }

    fn run(&mut self, tier: &str, sql: &str) -> (f64, usize) {
        self.ask(&sql.replace("FROM calls", &format!("FROM calls_{tier}")))
    }

    /// Milliseconds and rows of an answer.
    fn ask(&mut self, sql: &str) -> (f64, usize) {
        use std::io::{BufRead, Write};
        writeln!(self.input, "{}", sql.replace('\n', " ")).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (ms, rows) = line.trim().split_once(' ').unwrap_or_else(|| panic!("DuckDB: {sql}: {line}"));
        (ms.parse().unwrap_or_else(|_| panic!("DuckDB: {sql}: {line}")), rows.parse().unwrap())
    }
}
