//! Asks a real Prometheus the same queries over the same samples, and expects the same numbers.
//!
//! Needs `prometheus` and `promtool`, installed ones of any version since 2.40 and those of version 3 that
//! `tests/truth/prometheus.sh` fetches; without them a test says so and passes, except where `CI=true`.
//! The queries in `queries.txt` mean the same in versions 2 and 3: no sample lies on the left end of a range,
//! which version 2 took in; no counter is so near its zero that the extrapolation, which differs there, reaches
//! it; no histogram is native. Those in `queries_3.txt` are for version 3 alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by panicking")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;
use tidewatch_promql::{
    Grammar, Labels, Limits, Options, Query, Selection, Series, Storage, StorageError, Value, number,
};

const START_S: i64 = 1_700_000_900;
const END_S: i64 = START_S + 4_100;
const STEP_S: i64 = 37;

/// Samples by series; times in milliseconds.
struct Data(BTreeMap<Labels, Vec<(i64, f64)>>);

impl Storage for Data {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let found =
            self.0.iter().filter(|(labels, _)| selection.matchers.iter().all(|matcher| matcher.matches_labels(labels)));
        Ok(found
            .map(|(labels, samples)| {
                let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
                Series::floats(labels.clone(), times, values)
            })
            .collect())
    }
}

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn data() -> Data {
    let mut chance = Chance(7);
    let mut all = BTreeMap::new();
    let mut series =
        |labels: &[(&str, &str)], gaps: bool, chance: &mut Chance, value: &mut dyn FnMut(&mut Chance) -> f64| {
            // Half a second more than whole ones: never on the end of a range.
            let mut time = 1_700_000_000_437 + chance.below(13) as i64 * 1_000;
            let samples = (0..400)
                .map(|_| {
                    time += if gaps && chance.below(20) == 0 { 400_000 } else { 15_000 };
                    (time, value(chance))
                })
                .collect();
            all.insert(Labels::new(labels.iter().copied()), samples);
        };
    for (job, i) in [("x", "0"), ("x", "1"), ("x", "2"), ("y", "0"), ("y", "1"), ("y", "2")] {
        let mut total = 1e6;
        series(&[("__name__", "c_total"), ("job", job), ("i", i)], false, &mut chance, &mut |chance| {
            total += chance.below(9) as f64 * 2.5;
            if chance.below(40) == 0 {
                total = 1e5;
            }
            total
        });
        series(&[("__name__", "g"), ("job", job), ("i", i)], true, &mut chance, &mut |chance| {
            chance.below(60_000) as f64 / 1_000.0 - 20.0
        });
    }
    for i in ["0", "1", "2"] {
        let value = &mut |chance: &mut Chance| (1 + chance.below(3)) as f64;
        series(&[("__name__", "s"), ("i", i)], true, &mut chance, value);
    }
    for i in ["0", "1"] {
        series(&[("__name__", "nn"), ("i", i)], false, &mut chance, &mut |chance| {
            [1.0, -1.0, f64::NAN, f64::INFINITY, 3.0, 0.0][chance.below(6) as usize]
        });
    }
    for job in ["x", "y"] {
        for (below, le) in [(1, "0.1"), (2, "0.5"), (3, "1"), (4, "5"), (5, "+Inf")] {
            let mut count = 0.0;
            let mut time = 0;
            // Cumulative by construction: a higher bucket grows by at least as much.
            series(&[("__name__", "h_bucket"), ("job", job), ("le", le)], false, &mut Chance(3), &mut |_| {
                time += 1;
                count += f64::from(below * (time % 4) + below * below * (time % 3));
                count
            });
        }
    }
    // It begins at its zero.
    for i in ["0", "1"] {
        let mut total = 0.0;
        series(&[("__name__", "z_total"), ("i", i)], false, &mut chance, &mut |chance| {
            let value = total;
            total = if chance.below(60) == 0 { 0.0 } else { total + chance.below(4) as f64 };
            value
        });
    }
    Data(all)
}

/// A Prometheus over blocks of these samples; ends with the value.
struct Prometheus {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Prometheus {
    /// With the programs of a folder; those on the `PATH` if its name is empty.
    fn start(programs: &Path, data: &Data) -> Prometheus {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("tidewatch-promql-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut text = String::new();
        for (labels, samples) in &data.0 {
            let rest = labels.without_name().to_string().replace("\", ", "\",");
            for (time, value) in samples {
                let seconds = format!("{}.{:03}", time / 1000, time % 1000);
                text.push_str(&format!("{}{rest} {} {seconds}\n", labels.metric_name(), number::plain(*value)));
            }
        }
        std::fs::write(folder.join("samples.om"), text + "# EOF\n").unwrap();
        std::fs::write(folder.join("prometheus.yml"), "global: {}\n").unwrap();
        let created = Command::new(programs.join("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics", "samples.om", "data"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status();
        assert!(created.unwrap().success(), "promtool refused the samples");
        let process = Command::new(programs.join("prometheus"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(&folder)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Prometheus { process, folder, port };
        for _ in 0..600 {
            if prometheus.get("/-/ready").is_some_and(|answer| answer.contains(" 200 ")) {
                return prometheus;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("Prometheus was not ready within a minute");
    }

    /// The whole answer, headers included.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn ask(&self, query: &str) -> Result<Numbers, String> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/api/v1/query_range?query={query}&start={START_S}&end={END_S}&step={STEP_S}");
        let answer = self.get(&path).unwrap();
        let json: Json = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        if let Some(error) = json["error"].as_str() {
            return Err(error.to_string());
        }
        let mut numbers = Numbers::new();
        for series in json["data"]["result"].as_array().unwrap() {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels = Labels::new(labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
            let points = series["values"].as_array().unwrap().iter();
            let points = points.map(|point| {
                let time_ms = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
                (time_ms, number::parse(point[1].as_str().unwrap()).unwrap())
            });
            numbers.insert(labels.to_string(), points.collect());
        }
        Ok(numbers)
    }
}

/// Values by series and time.
type Numbers = BTreeMap<String, BTreeMap<i64, f64>>;

fn ours(query: &str, data: &Data) -> Result<Numbers, String> {
    let answer = Query::parse(query, Grammar::default())
        .and_then(|query| query.range(START_S * 1000, END_S * 1000, STEP_S * 1000, &Options::default()))
        .and_then(|plan| plan.run(data, &Limits::none()));
    match answer {
        Err(error) => Err(error.to_string()),
        Ok(answer) => {
            let Value::Matrix(matrix) = answer.value else { panic!("{query} gave no matrix") };
            Ok(matrix.into_iter().map(|one| (one.labels.to_string(), one.floats.into_iter().collect())).collect())
        }
    }
}

fn close(left: f64, right: f64) -> bool {
    left == right
        || left.is_nan() && right.is_nan()
        || (left - right).abs() <= 1e-9 * left.abs().max(right.abs()) + 1e-12
}

/// What differs, if anything does.
fn difference(theirs: &Numbers, ours: &Numbers) -> Option<String> {
    if !theirs.keys().eq(ours.keys()) {
        return Some(format!("series: theirs {:?}, ours {:?}", theirs.keys(), ours.keys()));
    }
    for (labels, points) in theirs {
        let own = &ours[labels];
        if !points.keys().eq(own.keys()) {
            return Some(format!("{labels} has other times"));
        }
        if let Some((time, value)) = points.iter().find(|(time, value)| !close(**value, own[*time])) {
            return Some(format!("{labels} at {time}: theirs {value}, ours {}", own[time]));
        }
    }
    None
}

/// Whether a folder has the programs, see `Prometheus::start`.
fn has(programs: &Path, how: &str) -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = runs("prometheus") && runs("promtool");
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "prometheus is missing and CI=true: {how}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: prometheus is missing: {how}");
    }
    found
}

fn compare(programs: &Path, queries: &[&str]) {
    let data = data();
    let prometheus = Prometheus::start(programs, &data);
    let (mut different, mut filled) = (Vec::new(), 0);
    for query in queries {
        let what = match (prometheus.ask(query), ours(query, &data)) {
            (Ok(theirs), Ok(ours)) => {
                filled += usize::from(!theirs.is_empty());
                difference(&theirs, &ours)
            }
            (Err(theirs), Err(ours)) => (!theirs.contains(&ours)).then(|| format!("theirs {theirs:?}, ours {ours:?}")),
            (theirs, ours) => Some(format!("theirs {theirs:?}, ours {ours:?}")),
        };
        different.extend(what.map(|what| format!("{query}\n    {what}")));
    }
    assert!(different.is_empty(), "{} queries differ:\n{}", different.len(), different.join("\n"));
    assert!(filled * 10 >= queries.len() * 9, "only {filled} of {} answers hold anything", queries.len());
}

fn queries() -> Vec<&'static str> {
    include_str!("queries.txt").lines().collect()
}

#[test]
fn prometheus_gives_the_same_numbers() {
    let installed = Path::new("");
    if has(installed, "install the package prometheus; .ci/setup.sh does") {
        compare(installed, &queries());
    }
}

#[test]
fn prometheus_3_gives_the_same_numbers() {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache");
    let usual =
        || std::env::var("XDG_CACHE_HOME").map_or_else(|_| home(), PathBuf::from).join("tidewatch/prometheus-3");
    let programs = std::env::var("TIDEWATCH_PROMETHEUS").map_or_else(|_| usual(), PathBuf::from);
    if has(&programs, "run tests/truth/prometheus.sh, or set TIDEWATCH_PROMETHEUS") {
        let of_version_3 = include_str!("queries_3.txt").lines();
        compare(&programs, &queries().into_iter().chain(of_version_3).collect::<Vec<_>>());
    }
}
