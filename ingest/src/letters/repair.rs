//! Repaired payloads: a file of NDJSON, one letter a line, written for editing and read back.
//!
//! ```json
//! {"topic":"orders.events.v1","partition":0,"offset":17,"payload":{"specversion":"1.0",…}}
//! ```
//!
//! What is written has `reason` and `detail` beside it, and where no JSON object was kept a `payload` of
//! null and the bytes as `text`. Reading takes payloads as they are written, byte for byte, and passes
//! over keys it does not need and over lines whose payload is still null.

use super::{LetterId, StoredLetter};
use crate::decode::is_too_deep;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sonic_rs::LazyValue;
use std::collections::BTreeMap;
use std::fmt::Write;
use thiserror::Error;

/// Payloads by letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    payloads: BTreeMap<LetterId, Vec<u8>>,
    not_repaired: usize,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "line {line}: {reason}\n  hint: a line is {{\"topic\":…,\"partition\":…,\"offset\":…,\"payload\":{{a CloudEvents object}}}}; `redrive --export FILE` writes such lines"
)]
pub struct RepairError {
    line: usize,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(borrow)]
    payload: LazyValue<'a>,
}

impl Repairs {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, RepairError> {
        let mut repairs = Self::default();
        let mut lines: BTreeMap<LetterId, usize> = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let fail = |reason: String| RepairError { line: index + 1, reason };
            if is_too_deep(line.as_bytes()) {
                return Err(fail("nested too deep for an event".to_owned()));
            }
            serde_json::from_str::<IgnoredAny>(line).map_err(|e| fail(e.to_string()))?;
            let read: Line<'_> = sonic_rs::from_str(line)
                .map_err(|e| fail(e.to_string().lines().next().unwrap_or_default().to_owned()))?;
            let id = LetterId::new(read.topic, read.partition, read.offset);
            if let Some(first) = lines.insert(id.clone(), index + 1) {
                return Err(fail(format!("{id} stands in line {first} already")));
            }
            match read.payload.as_raw_str().trim() {
                "null" => repairs.not_repaired += 1,
                object if object.starts_with('{') => {
                    repairs.payloads.insert(id, object.as_bytes().to_vec());
                }
                other => {
                    let found: String = other.chars().take(40).collect();
                    return Err(fail(format!("payload: expected an object, found {found}")));
                }
            }
        }
        Ok(repairs)
    }

    /// The repaired payload of a letter.
    pub fn payload(&self, id: &LetterId) -> Option<&[u8]> {
        self.payloads.get(id).map(Vec::as_slice)
    }

    /// The letters with a repaired payload.
    pub fn ids(&self) -> impl Iterator<Item = &LetterId> {
        self.payloads.keys()
    }

    /// Lines whose payload is still null.
    pub fn not_repaired(&self) -> usize {
        self.not_repaired
    }
}

/// A letter as a line for editing, its end included.
pub fn export_line(letter: &StoredLetter) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let id = &letter.id;
    let mut line = format!(
        r#"{{"topic":{},"partition":{},"offset":{},"reason":{},"detail":{}"#,
        quoted(&id.topic),
        id.partition,
        id.offset,
        quoted(&letter.reason),
        quoted(&letter.detail)
    );
    match object(&letter.payload).filter(|_| !letter.is_cut_off()) {
        // A line break in JSON stands between its parts only, and may as well be a blank.
        Some(text) => line.extend([",\"payload\":", &text.replace(['\n', '\r'], " ")]),
        None => {
            // Writing to a text cannot fail.
            let _ = write!(
                line,
                ",\"payload_bytes\":{},\"text\":{},\"payload\":null",
                letter.payload_bytes,
                quoted(&String::from_utf8_lossy(&letter.payload))
            );
        }
    }
    line.push_str("}\n");
    line
}

/// The text of a payload that is a JSON object.
pub fn object(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok().filter(|_| !is_too_deep(payload))?.trim();
    (text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()).then_some(text)
}

#[cfg(test)]
mod tests;
