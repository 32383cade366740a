//! Tests of packs: events and queries with the rows they must give, in `tests/*.yaml` of a pack.
//!
//! ```text
//! file ─▶ event ─▶ decoder ─▶ open states ─▶ pieces ─▶ SQL ─▶ rows, compared
//! file    event    counted    counted        ways      runner  rows
//! ```
//!
//! Nothing stands in for the engine: events are decoded, counted, merged and asked as in `run`, only the
//! source is the file and nothing is committed. Each test runs in several ways (order turned around, cut
//! between events), because numbers must not depend on how events come together.

mod counted;
mod event;
mod file;
mod lines;
mod rows;
mod runner;
#[cfg(test)]
mod tests;
mod ways;

pub use file::{Case, read_folder};
pub use runner::{Bench, Report};
