//! The reader of plain JSON beside `serde_json`: what it accepts is JSON, with the same members and values.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Not through its crate, which takes DataFusion with it.
#[allow(dead_code, unused_imports)]
#[path = "../../ingest/src/decode/plain/mod.rs"]
mod plain;

fuzz_target!(|text: &str| {
    let mut members = plain::Members::default();
    plain::oracle::check(&mut members, text);
});
