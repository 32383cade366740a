//! Bytes in, commits out.
//!
//! ```text
//! source ─▶ decode ─▶ count ─▶ freeze ─▶ commit
//! source::  decode::  worker::counting   committer (rows and offsets of every table)
//! ```
//!
//! | to understand | read |
//! |---|---|
//! | Kafka, rebalances, replay of files | [`source`] |
//! | CloudEvents to columns, what is refused | [`decode`], [`dead_letter`] |
//! | the life of a worker | [`worker`] |
//! | how a flush becomes commits | [`committer`], [`piece`] |
//! | what came before a rollup was defined | [`backfill`] |

pub mod backfill;
pub mod clock;
pub mod committer;
pub mod dead_letter;
pub mod decode;
pub mod metrics;
pub mod piece;
mod pipeline;
pub mod source;
mod tables;
pub mod worker;

pub use pipeline::{Pipeline, PipelineError, WorkerThread};
