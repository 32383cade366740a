//! The reader of plain JSON beside `serde_json`: what it accepts is JSON, with the same members and values.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Not through their crate, which takes DataFusion with it.
#[path = "../../ingest/src/decode/plain/oracle.rs"]
mod oracle;
#[allow(dead_code, unused_imports)]
#[path = "../../ingest/src/decode/plain/mod.rs"]
mod plain;

use plain::{Member, Members, read_value};

fuzz_target!(|text: &str| {
    oracle::check(&mut Members::default(), text);
});
