//! The page at `/`, in Chromium, by Playwright: `page/tests` says what is looked at.

use crate::support::{PROGRAM, browser};
use std::path::Path;
use std::process::Command;

/// Runs a program in `page/`; panics with what it said when it fails.
fn run(page: &Path, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .env_remove("PAGE_FROM_DIST")
        .current_dir(page)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}:\n{said}");
    said
}

#[test]
fn people_see_and_do_what_they_should() {
    let Some((chromium, page)) = browser() else { return };
    let checked = run(&page, "./build.sh", &["--check"], &[]);
    assert!(checked.contains("dist/ is what src/ gives"), "{checked}");
    let chromium = chromium.to_str().unwrap();
    let variables = [("TIDEWATCH_BIN", PROGRAM), ("TIDEWATCH_CHROMIUM", chromium)];
    let said = run(&page, "npx", &["--no-install", "playwright", "test"], &variables);
    assert!(said.contains(" passed"), "{said}");
}
