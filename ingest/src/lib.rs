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
//! | the local log that pushed records lie in | [`log`] |
//! | samples that others push | [`samples`] |
//! | events over HTTP | [`push`] |
//! | CloudEvents to columns, what is refused | [`decode`], [`dead_letter`] |
//! | what personal data leaves behind | [`personal`] |
//! | how dead letters are read and put back | [`letters`] |
//! | the life of a worker | [`worker`] |
//! | how a flush becomes commits | [`committer`], [`piece`] |
//! | how a restart knows which series have rows of their own | [`admitted`] |
//! | how others hear of what was counted late | [`late`] |
//! | how copies of events are known after a restart | [`event_ids`] |
//! | what came before a rollup was defined | [`backfill`] |
//! | how tables are kept small and fast | [`maintenance`] |

pub mod admitted;
pub mod backfill;
pub mod clock;
mod commit_health;
pub mod committer;
pub mod dead_letter;
pub mod decode;
pub mod event_ids;
pub mod late;
pub mod letters;
pub mod log;
pub mod maintenance;
pub mod metrics;
mod news;
pub mod personal;
pub mod piece;
mod pipeline;
pub mod push;
pub mod samples;
pub mod source;
mod staleness;
mod tables;
pub mod worker;

pub use commit_health::{CommitHealth, Failing};
pub use news::News;
pub use piece::reads;
pub use pipeline::{Pipeline, PipelineError, WorkerThread};
pub use staleness::Staleness;
pub use tables::prepare;
