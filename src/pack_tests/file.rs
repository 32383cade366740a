//! The files of tests: one test per document.

use super::event::TestEvent;
use super::lines::{documents, of_items};
use crate::packs::Mistakes;
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};
use std::path::{Path, PathBuf};
use tidewatch_engine::time::parse_rfc3339;

const FOLDER: &str = "tests";

/// One test.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands: file and line.
    pub place: String,
    /// What `now()` gives; `None`: the newest event time.
    pub now_us: Option<i64>,
    /// What happened, in order.
    pub events: Vec<TestEvent>,
    /// What is asked.
    pub queries: Vec<Query>,
}

/// A query and the rows it must give.
#[derive(Debug)]
pub struct Query {
    /// Where it stands: file and line.
    pub place: String,
    /// The query.
    pub sql: String,
    /// One line per row, cells between ` | `.
    pub rows: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    now: Option<String>,
    #[serde(default)]
    events: Vec<Mapping>,
    queries: Vec<QueryText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryText {
    sql: String,
    rows: String,
}

/// All tests of a pack's folder, by file name; none when it has no folder of tests.
///
/// Errors: every mistake in any of its files.
pub fn read_folder(pack: &Path) -> Result<Vec<Case>, Mistakes> {
    let folder = pack.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let fail = |path: &Path, error: std::io::Error| Mistakes(vec![format!("{}: {error}", path.display())]);
    let entries = std::fs::read_dir(&folder).map_err(|e| fail(&folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    paths.sort();
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| fail(&path, e))?;
        let file = path.display().to_string();
        for (lines_before, document) in documents(&text) {
            match read(&file, lines_before, &document) {
                Ok(case) => cases.push(case),
                Err(found) => mistakes.extend(found),
            }
        }
    }
    if mistakes.is_empty() { Ok(cases) } else { Err(Mistakes(mistakes)) }
}

/// One document of a file; `lines_before` stand before it.
pub fn read(file: &str, lines_before: usize, text: &str) -> Result<Case, Vec<String>> {
    let place = |line: usize| format!("{file}:{}", lines_before + line);
    let document: Document = serde_yaml_ng::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |l| l.line());
        let message = error.to_string();
        let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
        vec![format!(
            "{}: {message}\n  hint: a test has name, events and queries, and now if it is not the newest event time",
            place(line)
        )]
    })?;
    let start = text.lines().position(|l| l.starts_with("name")).map_or(1, |at| at + 1);
    let event_lines = of_items(text, "events", document.events.len());
    let query_lines = of_items(text, "queries", document.queries.len());
    let line_of = |lines: &[usize], at: usize| lines.get(at).copied().unwrap_or(start);
    let (mut events, mut mistakes) = (Vec::new(), Vec::new());
    for (at, mapping) in document.events.into_iter().enumerate() {
        let line = line_of(&event_lines, at);
        // Without lines of their own, events still need ids of their own.
        let id = if event_lines.is_empty() { at + 1 } else { lines_before + line };
        match single_key(mapping).and_then(|(source, keys)| TestEvent::read(place(line), id, source, keys)) {
            Ok(event) => events.push(event),
            Err(message) => mistakes.push(format!("{}: {message}", place(line))),
        }
    }
    let now_us = match document.now.as_deref().map(|now| (now, parse_rfc3339(now))) {
        None => None,
        Some((_, Some(now_us))) => Some(now_us),
        Some((now, None)) => {
            let line = text.lines().position(|l| l.starts_with("now")).map_or(start, |at| at + 1);
            mistakes.push(format!("{}: now: expected a moment like 2026-03-14T12:10:00Z, found `{now}`", place(line)));
            None
        }
    };
    if document.queries.is_empty() {
        mistakes.push(format!("{}: the test asks nothing", place(start)));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let queries = document.queries.into_iter().enumerate().map(|(at, query)| Query {
        place: place(line_of(&query_lines, at)),
        sql: query.sql,
        rows: query.rows,
    });
    Ok(Case { name: document.name, place: place(start), now_us, queries: queries.collect(), events })
}

fn single_key(mapping: Mapping) -> Result<(String, Mapping), String> {
    const EXPECTED: &str = "an event is written as `source: { at: …, tenant: …, field: value }`";
    let mut entries = mapping.into_iter();
    match (entries.next(), entries.next()) {
        (Some((Value::String(source), Value::Mapping(keys))), None) => Ok((source, keys)),
        (Some((Value::String(source), Value::Mapping(_))), Some((Value::String(more), _))) => {
            Err(format!("`{more}` stands beside `{source}` instead of in its braces\n  hint: {EXPECTED}"))
        }
        _ => Err(EXPECTED.to_owned()),
    }
}
