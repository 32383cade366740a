//! What lies in `deploy/` is right, as far as it can be told without a cluster and without Docker: by Helm's and
//! Compose's own libraries, Kubernetes' schemas, hadolint, systemd-analyze, promtool, amtool and `tidewatch check`.
//! `topology` starts the same parts natively.

mod topology;

use crate::support::{PROGRAM, deploy_python, deploy_tool, program, repository, run_tool};

#[test]
fn the_image_is_built_as_hadolint_likes_it() {
    check(&["dockerfile"]);
}

#[test]
fn the_unit_is_valid_and_hardened() {
    if program("systemd-analyze", "systemd").is_some() {
        check(&["unit"]);
    }
}

#[test]
fn rules_fire_as_their_tests_say() {
    if program("promtool", "prometheus").is_some() && program("amtool", "prometheus-alertmanager").is_some() {
        check(&["rules"]);
    }
}

#[test]
fn settings_are_valid() {
    check(&["settings", PROGRAM]);
}

#[test]
fn compose_mounts_and_names_what_is_there() {
    let tool = deploy_tool().map(|tool| tool.display().to_string());
    check(&["compose", PROGRAM].into_iter().chain(tool.as_deref()).collect::<Vec<_>>());
}

#[test]
fn the_chart_is_valid_with_every_file_of_values() {
    if let Some(tool) = deploy_tool() {
        check(&["chart", PROGRAM, &tool.display().to_string()]);
    }
}

fn check(arguments: &[&str]) {
    let Some(python) = deploy_python() else { return };
    let script = repository().join("tests/deploy/check.py").display().to_string();
    println!("{}", run_tool(&python, &[&[script.as_str()], arguments].concat()));
}
