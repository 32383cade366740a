//! Mergeable sketches with a stated error and a canonical encoding: equal content, equal bytes.

pub mod distinct;
pub mod hdr;
mod hdr_v2;

pub use distinct::DistinctSketch;
pub use hdr::HdrSketch;

use thiserror::Error;

/// Why a stored sketch cannot be read or merged.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SketchError {
    /// Digits outside 1..=3.
    #[error("a histogram keeps 1 to 3 significant digits, not {0}")]
    Digits(u8),
    /// Two sketches of different layout.
    #[error("histograms of {0} and {1} significant digits cannot be merged exactly")]
    Layout(u8, u8),
    /// The bytes end early.
    #[error("the sketch is truncated: {0}")]
    Truncated(&'static str),
    /// The bytes are of another kind or version.
    #[error("not a sketch of a known version: {0}")]
    Unknown(String),
    /// The bytes contradict themselves.
    #[error("the sketch is damaged: {0}")]
    Damaged(&'static str),
}
