//! Any text as a configuration of routes and receivers: it loads or is refused, and what is shown of it loads again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_alerting::config::Config;

fuzz_target!(|text: &str| {
    let Ok(config) = Config::load(text) else { return };
    let _ = config.unsupported();
    let _ = config.redacted();
});
