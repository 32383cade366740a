//! A reader of the JSON that programs write: no escapes in strings, not deeply nested. It says where the members of an
//! event and of its `data` stand, so that nothing is passed over twice and what no rollup asks for is not read.
//!
//! Whatever it does not know, it leaves alone: the record is read by `sonic-rs` then, which also words what is wrong. It
//! accepts nothing that is no JSON, and sees in what it accepts what any other reader sees; both are tested against
//! `serde_json`.
//!
//! Predicting the next key from what followed it the last time was tried: comparing it costs as much as finding its end.

mod scan;
mod value;

pub(super) use scan::{Member, Members};
pub(super) use value::{Raw, Unread, read_value};

/// Deepest nesting of a value; what is deeper is left alone.
const DEPTH_MAX: u32 = 100;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
