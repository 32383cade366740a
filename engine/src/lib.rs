//! The pure core: time, windows, aggregates, sketches, rollup definitions, commit decisions.
//!
//! ```text
//! decoded batch ─▶ open states ─▶ frozen states ─▶ rows of partials ─▶ merged rows
//! open::EventBatch  open            open             rollup::schema      rollup::merge
//! ```
//!
//! The same input and the same `now` give the same output: nothing here reads a clock, opens a file or
//! a socket, or knows Kafka, HTTP or the format of the log on disk. The idea behind all of it: every
//! stored number is the state of a commutative monoid, every write appends states together with the
//! offsets they cover, every read is a merge. `FORMAT.md` beside this crate describes the bytes.
//!
//! | to understand | read |
//! |---|---|
//! | instants and windows | [`time`], [`watermark`] |
//! | what an event looks like | [`source`] |
//! | how SQL becomes a rollup, and what is refused | [`rollup`] |
//! | how events are counted | [`open`], [`series`], [`aggregate`] |
//! | how many series a tenant may have | [`cardinality`] |
//! | percentiles and distinct counts | [`sketch`] |
//! | why a copy of an event counts nothing | [`dedupe`] |
//! | when a commit may be made | [`commit`] |
//! | what a table lacks that was defined later | [`backfill`] |
//! | how files are merged, rolled up and dropped | [`life_cycle`] |
//! | what readers see before a commit | [`live`] |
//! | whether a window is all there | [`completeness`] |
//! | our own metrics | [`metrics`] |

pub mod aggregate;
pub mod backfill;
pub mod cardinality;
pub mod commit;
pub mod completeness;
pub mod dedupe;
pub mod functions;
pub mod life_cycle;
pub mod live;
pub mod metrics;
pub mod open;
pub mod rollup;
pub mod samples;
pub mod series;
pub mod sketch;
pub mod source;
pub mod time;
pub mod watermark;
