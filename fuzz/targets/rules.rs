//! Any text as a file of rules: it loads or is refused, with a place within the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_alerting::rules::{LoadOptions, load};

fuzz_target!(|text: &str| {
    let Err(errors) = load("rules.yaml", text, LoadOptions::default()) else { return };
    let lines = text.lines().count().max(1) + 1;
    assert!(!errors.0.is_empty());
    for error in errors.0 {
        assert!(error.line <= lines, "{error} of {lines} lines");
        assert!(!error.message.is_empty());
    }
});
