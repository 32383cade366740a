//! Whole record batches from Kafka's brokers, read where they lie.
//!
//! A client library that hands records out one by one pays for each: an allocation, a queue, a lock, a copy. Here a
//! response of a broker stays one buffer, its batches are decompressed one after the other into another, and
//! records are slices of it. What this crate does not do is left to such a library: it joins no group, keeps no
//! offsets, asks for no metadata ([`Leaders`] is how it is told) and knows neither TLS nor SASL.
//!
//! ```text
//! broker ─▶ connection ─▶ fetcher's thread ─▶ bounded queue ─▶ reader ─▶ batch ─▶ records
//! ```
//!
//! | to understand | read |
//! |---|---|
//! | who fetches what from which broker, and when a leader changes | [`fetcher`] |
//! | how the worker's thread walks over responses | [`reader`] |
//! | the bytes of a request and its response | [`fetch`] |
//! | the bytes of a batch and its records | [`batch`] |
//! | gzip, snappy, lz4, zstd | [`compression`] |
//! | transactions that were aborted | [`aborted`] |
//!
//! Formats are those of <https://kafka.apache.org/protocol> and
//! <https://kafka.apache.org/documentation/#messageformat>.

pub mod aborted;
pub mod batch;
mod broker;
pub mod compression;
mod connection;
pub mod fetch;
pub mod fetcher;
pub mod reader;
mod wire;

pub use batch::{Record, RecordHeaders};
pub use fetcher::{FetchSettings, Leader, Leaders, Partition};
pub use reader::{ReadError, Reader};
