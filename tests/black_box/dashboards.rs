//! Grafana's dashboards show something: every query of every panel, filled as Grafana fills it, answers without an error
//! and not with nothing; promtool takes the PromQL; the JSON is what the sources give, what Grafana's types say and what
//! the rules for dashboards ask for.

use crate::support::{program, python, repository, run_tool, skipped};
use std::process::Command;

#[test]
#[ignore = "hundreds of queries: minutes in a release build, most of an hour in a debug build"]
fn every_panel_has_an_answer() {
    let Some(python) = python() else { return };
    println!("{}", run_tool(&python, &[&script("check.py"), env!("CARGO_BIN_EXE_tidewatch")]));
}

/// What admins look at first.
#[test]
fn the_first_dashboards_have_answers() {
    let Some(python) = python() else { return };
    let few = ["creatorflow-d09", "tidewatch-alerting"];
    println!("{}", run_tool(&python, &[&script("check.py"), env!("CARGO_BIN_EXE_tidewatch"), few[0], few[1]]));
}

#[test]
fn dashboards_keep_the_rules() {
    let Some(python) = python() else { return };
    println!("{}", run_tool(&python, &[&script("lint.py")]));
}

#[test]
fn dashboards_are_of_grafanas_types() {
    let Some(npm) = program("npm", "npm") else { return };
    let Some(node) = program("node", "nodejs") else { return };
    let folder = script("schema");
    let installed = Command::new(npm).args(["ci", "--no-audit", "--no-fund", "--prefix", &folder]).output().unwrap();
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr).into_owned();
        assert!(std::env::var("CI").as_deref() != Ok("true"), "npm ci: {why}");
        return skipped("@grafana/schema", &why);
    }
    println!("{}", run_tool(&node, &[&format!("{folder}/check.mjs")]));
}

fn script(name: &str) -> String {
    repository().join("tests/dashboards").join(name).display().to_string()
}
