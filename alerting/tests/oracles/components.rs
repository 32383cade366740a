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
