//! What has become of a definition since its table was made: nothing, more measures, or something else.
//!
//! More measures widen the table: their columns are added, and the rows that are there already hold
//! nothing for them. Everything else would make old and new rows mean different things.

use super::{Measure, RollupSchema};
use std::collections::BTreeSet;

/// How a definition differs from the one that its table stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionChange {
    /// It counts the same. How long rows are kept, and the order of the measures, may differ.
    Same,
    /// It counts the same and more.
    Widened {
        /// The schema that the table has afterwards: measures in the order of its columns.
        schema: Box<RollupSchema>,
        /// The measures that are new, in the order of the definition.
        added: Vec<Measure>,
    },
    /// It counts something else; the reason.
    Other(String),
}

impl DefinitionChange {
    /// Compares what a table stores with what is defined now.
    pub fn between(stored: &RollupSchema, defined: &RollupSchema) -> Self {
        if let Some(reason) = difference_of_keys(stored, defined) {
            return Self::Other(reason);
        }
        for measure in &stored.measures {
            match defined.measures.iter().find(|m| m.name == measure.name) {
                None => return Self::Other(format!("measure {} is gone", measure.name)),
                Some(now) if now.kind == measure.kind => {}
                Some(_) => return Self::Other(format!("measure {} is of another kind", measure.name)),
            }
        }
        let is_new = |m: &&Measure| stored.measures.iter().all(|s| s.name != m.name);
        let added: Vec<Measure> = defined.measures.iter().filter(is_new).cloned().collect();
        if let Some(reason) = difference_of_lines(&stored.definition, &defined.definition, &added) {
            return Self::Other(reason);
        }
        if added.is_empty() {
            return Self::Same;
        }
        let measures = stored.measures.iter().chain(&added).cloned().collect();
        Self::Widened { schema: Box::new(RollupSchema { measures, ..defined.clone() }), added }
    }
}

fn difference_of_keys(stored: &RollupSchema, defined: &RollupSchema) -> Option<String> {
    let widths = |schema: &RollupSchema| schema.tiers.iter().map(|t| t.pane_us).collect::<Vec<_>>();
    let parts = [
        ("name", stored.name == defined.name),
        ("sources", stored.sources == defined.sources),
        ("window", stored.pane_us == defined.pane_us),
        ("widths of the tiers", widths(stored) == widths(defined)),
        ("dimensions", stored.dimensions == defined.dimensions),
    ];
    let differs = parts.iter().find(|(_, is_equal)| !is_equal)?;
    Some(format!("the {} differ", differs.0))
}

/// Compares canonical texts, line by line within each branch: every line that is stored must be defined
/// still, and a line more must be that of a measure that was added.
fn difference_of_lines(stored: &str, defined: &str, added: &[Measure]) -> Option<String> {
    let (stored, defined) = (branches(stored), branches(defined));
    if stored.len() != defined.len() {
        return Some("the branches differ".to_owned());
    }
    for ((head, lines), (head_now, lines_now)) in stored.iter().zip(&defined) {
        if head != head_now {
            return Some(format!("`{head}` became `{head_now}`"));
        }
        if let Some(line) = lines.difference(lines_now).next() {
            return Some(format!("`{line}` is not defined any more"));
        }
        let is_added =
            |line: &str| added.iter().any(|m| line.split_once(" = ").is_some_and(|(name, _)| name == m.name));
        if let Some(line) = lines_now.difference(lines).find(|line| !is_added(line)) {
            return Some(format!("`{line}` is new, but no measure of its own"));
        }
    }
    None
}

/// The first line of each branch, and its other lines.
fn branches(definition: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let mut branches: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for line in definition.lines() {
        match branches.last_mut() {
            Some((_, lines)) if !line.starts_with("from ") => {
                lines.insert(line);
            }
            _ => branches.push((line, BTreeSet::new())),
        }
    }
    branches
}

#[cfg(test)]
mod tests;
