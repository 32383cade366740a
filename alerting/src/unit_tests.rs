//! promtool's tests of rules: `rule_files`, input series, expected alerts and expected samples.
//!
//! [`run`] comes to the same verdict as `promtool test rules` of Prometheus 3. Rule files are asked for by the patterns
//! as written, so that reading files stays outside.

mod compare;
mod file;
mod machine;

use std::collections::BTreeMap;
use std::fmt;

use crate::rules::{LoadOptions, RuleFile, load};

pub use file::{TestFile, TestFileError};

/// Finds the rule files of a pattern: their names and texts.
pub trait RuleFiles {
    /// All files that `pattern`, relative to the test file, matches.
    ///
    /// # Errors
    /// A sentence about what cannot be read.
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String>;
}

/// What came out of a test file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// One per test, in order.
    pub tests: Vec<TestReport>,
    /// What keeps the whole file from being run.
    pub errors: Vec<String>,
}

/// What came out of one test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestReport {
    /// The test's name, empty when it has none.
    pub name: String,
    /// Why it failed; empty when it did not.
    pub failures: Vec<String>,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_success(&self) -> bool {
        self.errors.is_empty() && self.tests.iter().all(|test| test.failures.is_empty())
    }

    fn failed(error: impl Into<String>) -> Report {
        Report { tests: Vec::new(), errors: vec![error.into()] }
    }
}

/// In promtool's layout: `SUCCESS`, or `FAILED:` and the reasons.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_success() {
            return writeln!(out, "  SUCCESS");
        }
        writeln!(out, "  FAILED:")?;
        for error in &self.errors {
            writeln!(out, "{error}")?;
        }
        for (at, test) in self.tests.iter().enumerate().filter(|(_, test)| !test.failures.is_empty()) {
            let name = if test.name.is_empty() { format!("test {}", at + 1) } else { test.name.clone() };
            writeln!(out, "    name: {name}")?;
            for failure in &test.failures {
                writeln!(out, "    {failure}")?;
            }
        }
        Ok(())
    }
}

/// Runs all tests of a file.
pub fn run(text: &str, files: &dyn RuleFiles, options: LoadOptions) -> Report {
    let file = match TestFile::parse(text) {
        Ok(file) => file,
        Err(error) => return Report::failed(error.to_string()),
    };
    let mut groups = Vec::new();
    for pattern in &file.rule_files {
        let found = match files.read(pattern) {
            Ok(found) => found,
            Err(error) => return Report::failed(error),
        };
        for (name, text) in found {
            match load(&name, &text, options) {
                Ok(RuleFile { groups: read }) => groups.extend(read),
                Err(errors) => return Report::failed(errors.to_string()),
            }
        }
    }
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, name) in file.group_eval_order.iter().enumerate() {
        if order.insert(name, place).is_some() {
            return Report::failed(format!("group name repeated in evaluation order: {name}"));
        }
    }
    // Groups that are not in the order are evaluated first, as by promtool, among themselves by file and name.
    groups.sort_by_key(|group| (order.get(&*group.name).copied(), group.file.clone(), group.name.clone()));
    let tests = file.tests.iter().map(|test| TestReport {
        name: test.name.clone(),
        failures: machine::run(test, &file, &groups, options).err().unwrap_or_default(),
    });
    Report { tests: tests.collect(), errors: Vec::new() }
}

#[cfg(test)]
mod tests;
