//! Real spans of a microservice shop (Nezha, 2022-08-22): counts exact, percentiles within the bound of
//! the histogram from the exact order statistics, also after merging minutes into hours and services
//! into one.

use crate::support::{
    Csv, RealKafka, Tidewatch, data, kafka, pack, produce_lines, python, repository, run_tool, sql, write_settings,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const SPANS: u64 = 633_913;
const RUN: Duration = Duration::from_secs(600);

/// The spans as events, and the exact statistics of them; made once for all tests.
pub struct Nezha {
    folder: TempDir,
}

impl Nezha {
    pub fn events(&self) -> PathBuf {
        self.folder.path().join("spans.ndjson")
    }

    fn truth(&self) -> Csv {
        Csv::parse(&std::fs::read_to_string(self.folder.path().join("truth.csv")).unwrap())
    }
}

pub fn nezha() -> Option<&'static Nezha> {
    static NEZHA: OnceLock<Option<Nezha>> = OnceLock::new();
    let make = || {
        let (python, data) = (python()?, data("nezha-onlineboutique")?);
        let nezha = Nezha { folder: tempfile::tempdir().unwrap() };
        let truth = repository().join("tests/truth");
        let script = |name: &str| truth.join(name).display().to_string();
        let (events, csv) = (nezha.events(), nezha.folder.path().join("truth.csv"));
        run_tool(&python, &[&script("nezha_events.py"), data.to_str().unwrap(), events.to_str().unwrap()]);
        run_tool(&python, &[&script("nezha_quantiles.py"), events.to_str().unwrap(), csv.to_str().unwrap()]);
        Some(nezha)
    };
    NEZHA.get_or_init(make).as_ref()
}

/// Settings for a replay; `source` is the rest of the file.
pub fn nezha_settings(folder: &Path, source: &str) -> PathBuf {
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[sql]\nrows_max = 1_000_000\n{source}",
        pack("nezha")
    );
    write_settings(folder, &text)
}

#[test]
fn percentiles_of_a_file_replay_are_those_of_the_sorted_spans() {
    let Some(nezha) = nezha() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = nezha_settings(folder.path(), &format!("[files]\npaths = [\"{}\"]\n", nezha.events().display()));
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    compare(nezha, &folder.path().join("data"));
}

#[test]
fn percentiles_through_kafka_are_those_of_the_sorted_spans() {
    let (Some(nezha), Some(_)) = (nezha(), kafka()) else { return };
    let kafka = RealKafka::start();
    assert_eq!(produce_lines(&kafka.bootstrap_servers, "spans", 4, &nezha.events()), SPANS);
    let folder = tempfile::tempdir().unwrap();
    let source = format!("[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n", kafka.bootstrap_servers);
    let settings = nezha_settings(folder.path(), &source);
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    compare(nezha, &folder.path().join("data"));
}

/// By level of merging: count, min, max, sum, p50, p95, p99.
type Statistics = BTreeMap<(String, String), [f64; 7]>;

fn compare(nezha: &Nezha, data: &Path) {
    let truth = nezha.truth();
    let names = ["count", "min", "max", "sum", "p50", "p95", "p99"];
    for (level, unit) in [("minute", "minute"), ("hour", "hour")] {
        for (service, column) in [(true, "service"), (false, "'*'")] {
            let mut exact = Statistics::new();
            for [row_level, window, row_service, rest @ ..] in
                truth.rows(["level", "window_start", "service", "count", "min", "max", "sum", "p50", "p95", "p99"])
            {
                if row_level == level && (row_service == "*") != service {
                    exact.insert(
                        (window.trim_end_matches('Z').to_owned(), row_service.to_owned()),
                        rest.map(|v| v.parse().unwrap()),
                    );
                }
            }
            assert!(!exact.is_empty());
            for (table, bound) in [("spans_by_service", 1e-3), ("spans_by_operation", 1e-2)] {
                let own = match table {
                    "spans_by_service" => {
                        "min(duration_min_us) AS min, max(duration_max_us) AS max, sum(duration_mean_us_sum) AS sum"
                    }
                    _ => "0 AS min, 0 AS max, 0 AS sum",
                };
                let query = format!(
                    "SELECT date_trunc('{unit}', window_start) AS window, {column} AS service, sum(spans) AS count, {own}, \
                     quantile(duration_us, 0.5) AS p50, quantile(duration_us, 0.95) AS p95, quantile(duration_us, 0.99) AS p99 \
                     FROM {table} GROUP BY 1, 2"
                );
                let found = Csv::parse(&sql(data, &query));
                assert_eq!(found.len(), exact.len(), "{table} by {level}, {column}");
                for [window, service, rest @ ..] in
                    found.rows(["window", "service", "count", "min", "max", "sum", "p50", "p95", "p99"])
                {
                    let window = window.split('.').next().unwrap().trim_end_matches('Z');
                    let key = (window.to_owned(), service.to_owned());
                    let exact = exact.get(&key).unwrap_or_else(|| panic!("{table}: no window {key:?} in the truth"));
                    let found: [f64; 7] = rest.map(|v| v.parse().unwrap());
                    for (index, name) in names.iter().enumerate() {
                        let (exact, found) = (exact[index], found[index]);
                        let is_right = match index {
                            0 => found == exact,
                            1..=3 if table == "spans_by_operation" => true,
                            1..=3 => found == exact,
                            _ => found >= exact && found <= exact * (1.0 + bound),
                        };
                        assert!(is_right, "{table} {key:?} {name}: exact {exact}, found {found}");
                    }
                }
            }
        }
    }
}
