//! What the tests share: the program, its settings, other programs, a broker, HTTP.

mod components;
mod csv;
mod http;
mod kafka;
mod process;
mod sink;

pub use components::{
    browser, data, deploy_python, deploy_tool, faketime, jdbc, kafka, program, prometheus_3, psql, python, repository,
    run_tool, skipped,
};
pub use csv::Csv;
pub use http::{Response, get, post, put};
pub use kafka::{KafkaCluster, RealKafka, produce_lines};
pub use process::{PROGRAM, Tidewatch, sql, tidewatch, tidewatch_fails, tidewatch_finds, wait_until};
pub use sink::{Received, Sink};

use std::path::{Path, PathBuf};

/// Writes `tidewatch.toml` into a folder and returns its path. The port is a free one.
///
/// The rules of packs are evaluated only where the text asks for them: in a development build they take longer than
/// their intervals.
pub fn write_settings(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("tidewatch.toml");
    let (section, off) = ("[alerting]\n", "[alerting]\npack_rules = false\n");
    let text = match text {
        _ if text.contains("pack_rules") => text.to_owned(),
        _ if text.contains(section) => text.replacen(section, off, 1),
        _ => {
            // Before the first section, so that whoever adds to the last one does.
            let at = if text.starts_with('[') { 0 } else { text.find("\n[").map_or(text.len(), |at| at + 1) };
            let (before, sections) = text.split_at(at);
            format!("{before}alerting.pack_rules = false\n{sections}")
        }
    };
    std::fs::write(&path, text).unwrap();
    path
}

/// A pack of these tests.
pub fn pack(name: &str) -> String {
    repository().join("tests/black_box/packs").join(name).display().to_string()
}
