//! What the tests share: the program, its settings, other programs, a broker, HTTP.

mod components;
mod csv;
mod http;
mod kafka;
mod process;
mod sink;

pub use components::{
    browser, data, deploy_python, deploy_tool, jdbc, kafka, program, psql, python, repository, run_tool, skipped,
};
pub use csv::Csv;
pub use http::{Response, get, post, put};
pub use kafka::{RealKafka, produce_lines};
pub use process::{PROGRAM, Tidewatch, sql, tidewatch, tidewatch_fails, tidewatch_finds, wait_until};
pub use sink::{Received, Sink};

use std::path::{Path, PathBuf};

/// Writes `tidewatch.toml` into a folder and returns its path. The port is a free one.
pub fn write_settings(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("tidewatch.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A pack of these tests.
pub fn pack(name: &str) -> String {
    repository().join("tests/black_box/packs").join(name).display().to_string()
}
