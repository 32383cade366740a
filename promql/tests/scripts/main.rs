//! Runs Prometheus' own test scripts, which lie outside the repository, and ours in `tests/scripts/own`.
//!
//! The folder of Prometheus' scripts is `promqltest` in `$TIDEWATCH_DATA` or in `../shared/data` beside the
//! workspace; without it the test is skipped, except where `CI=true`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by panicking")]

mod compare;
mod not_passed;
mod script;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use not_passed::NOT_PASSED;
use script::{Outcome, run_script};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn data_folder() -> PathBuf {
    match std::env::var_os("TIDEWATCH_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("../shared/data"),
    }
}

fn scripts_in(folder: &Path) -> Vec<PathBuf> {
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    scripts.sort();
    scripts
}

/// Runs all scripts of a folder; what went wrong, by file and line.
fn run_folder(folder: &Path, delayed_name_removal: bool, prometheus_only: bool) -> BTreeMap<(String, usize), String> {
    let mut failures = BTreeMap::new();
    for path in scripts_in(folder) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let outcomes = run_script(&text, delayed_name_removal, prometheus_only);
        let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        println!("{file}: {} passed, {failed} failed", outcomes.len() - failed);
        for Outcome { line, query, failure } in outcomes {
            if let Some(failure) = failure {
                failures.insert((file.clone(), line), format!("{query}\n    {failure}"));
            }
        }
    }
    failures
}

#[test]
fn the_scripts_of_prometheus_pass() {
    let folder = data_folder().join("promqltest");
    if !folder.is_dir() {
        let message = format!("no scripts in {}; set TIDEWATCH_DATA to a folder with promqltest/", folder.display());
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        println!("SKIPPED: {message}");
        return;
    }
    for delayed_name_removal in [true, false] {
        println!("metric names removed {}:", if delayed_name_removal { "in the answer" } else { "at once" });
        let mut failures = run_folder(&folder, delayed_name_removal, true);
        for known in NOT_PASSED.iter().filter(|known| known.delayed_name_removal == delayed_name_removal) {
            let failed = failures.remove(&(known.file.to_string(), known.line));
            let (file, line) = (known.file, known.line);
            assert!(failed.is_some(), "{file}:{line} passes now: take it off the list in not_passed.rs");
            println!("{file}:{line} does not pass: {}", known.reason);
        }
        let list: Vec<String> =
            failures.into_iter().map(|((file, line), failure)| format!("{file}:{line}: {failure}")).collect();
        assert!(list.is_empty(), "{} evaluations failed:\n{}", list.len(), list.join("\n"));
    }
}

#[test]
fn our_own_scripts_pass() {
    let failures = run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/own"), false, false);
    assert!(failures.is_empty(), "{failures:#?}");
}
