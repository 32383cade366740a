//! Programs and data that a machine may have or not. Missing, a test is skipped, or fails under `CI=true`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn found<T>(what: &str, how: &str, component: Option<T>) -> Option<T> {
    if component.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is missing and CI=true: {how}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing: {how}");
    }
    component
}

/// A file or folder of the shared data.
pub fn data(name: &str) -> Option<PathBuf> {
    let named = std::env::var("TIDEWATCH_DATA").map(PathBuf::from).ok();
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    found(name, "set TIDEWATCH_DATA to the folder that holds it", Some(folder.join(name)).filter(|path| path.exists()))
}

/// Prometheus' tool.
pub fn promtool() -> Option<PathBuf> {
    let runs = Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success());
    found("promtool", "install Debian's package prometheus", runs.then(|| PathBuf::from("promtool")))
}

/// The same of version 3, which knows native histograms; Debian stable has an older one.
pub fn promtool_3() -> Option<PathBuf> {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache");
    let usual =
        || std::env::var("XDG_CACHE_HOME").map_or_else(|_| home(), PathBuf::from).join("tidewatch/prometheus-3");
    let folder = std::env::var("TIDEWATCH_PROMETHEUS").map_or_else(|_| usual(), PathBuf::from);
    let how = "run tests/truth/prometheus.sh, or set TIDEWATCH_PROMETHEUS";
    found("promtool 3", how, Some(folder.join("promtool")).filter(|path| path.is_file()))
}

/// Alertmanager's tool.
pub fn amtool() -> Option<PathBuf> {
    let named = std::env::var("TIDEWATCH_AMTOOL").map(PathBuf::from).ok();
    let runs = || Command::new("amtool").arg("--version").output().is_ok_and(|output| output.status.success());
    let found_here = named.or_else(|| runs().then(|| PathBuf::from("amtool")));
    found("amtool", "install Debian's package prometheus-alertmanager, or set TIDEWATCH_AMTOOL", found_here)
}

/// The Go compiler.
pub fn go() -> Option<PathBuf> {
    let usual = ["go", "/usr/local/go/bin/go"].into_iter();
    let runs = |name: &&str| Command::new(name).arg("version").output().is_ok_and(|output| output.status.success());
    found("go", "install Go 1.22 or later", usual.into_iter().find(runs).map(PathBuf::from))
}

/// All files below `folder`, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
    }
    all.sort();
    all
}

/// Runs promtool; whether it was content, and what it said.
pub fn run_promtool(promtool: &Path, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(promtool).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}
