//! What the tests share: instants, alerts, programs and data that a machine may have or not.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use chrono::{TimeDelta, TimeZone, Utc};

use crate::config::Config;
use crate::route::{Alert, Labels, Timestamp};

/// `seconds` after noon of some Wednesday.
pub(crate) fn at(seconds: f64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, 4, 12, 0, 0).unwrap() + TimeDelta::milliseconds((seconds * 1000.0) as i64)
}

pub(crate) fn alert<const N: usize>(labels: [(&str, &str); N], starts_at: f64) -> Alert {
    Alert { ends_at: Some(at(1e6)), ..Alert::firing(Labels::from(labels), at(starts_at)) }
}

pub(crate) fn config(text: &str) -> Config {
    Config::load(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Something a test needs; missing, the test is skipped, or fails under `CI=true`.
pub(crate) fn needed<T>(what: &str, how: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is missing and CI=true: {how}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing: {how}");
    }
    found
}

/// Folder with Alertmanager's own configurations.
pub(crate) fn alertmanager_data() -> Option<PathBuf> {
    let named = std::env::var("TIDEWATCH_DATA").map(PathBuf::from).ok();
    let usual = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let found = named.into_iter().chain([usual]).map(|folder| folder.join("alertmanager")).find(|it| it.exists());
    needed("shared/data/alertmanager", "set TIDEWATCH_DATA to the folder that holds it", found)
}

fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let named = std::env::var(variable).map(PathBuf::from).ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let search = || {
        std::env::split_paths(&path)
            .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
            .find(|it| it.exists())
    };
    named.or_else(search)
}

/// Every `amtool` of this machine: Debian's (0.25), and the one whose verdicts are ours, if somebody has built it:
/// `GOBIN=~/.cache/tidewatch/amtool-0.34.2 go install github.com/prometheus/alertmanager/cmd/amtool@v0.34.2`.
pub(crate) fn amtools() -> Vec<PathBuf> {
    let newer = std::env::var("HOME").map(|home| PathBuf::from(home).join(".cache/tidewatch/amtool-0.34.2/amtool"));
    let newer = newer.ok().filter(|path| path.exists());
    let all: Vec<PathBuf> = program("TIDEWATCH_AMTOOL", &["amtool"]).into_iter().chain(newer).collect();
    needed(
        "amtool",
        "install Debian's prometheus-alertmanager or set TIDEWATCH_AMTOOL",
        (!all.is_empty()).then_some(all),
    )
    .unwrap_or_default()
}

/// Alertmanager itself.
pub(crate) fn alertmanager() -> Option<PathBuf> {
    let found = program("TIDEWATCH_ALERTMANAGER", &["prometheus-alertmanager", "alertmanager"]);
    needed("Alertmanager", "install Debian's prometheus-alertmanager or set TIDEWATCH_ALERTMANAGER", found)
}

pub(crate) fn run(program: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// An own folder under the build folder.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tidewatch-alerting-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
