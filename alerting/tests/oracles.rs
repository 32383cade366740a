//! Our verdicts against those of others: Go's text/template, promtool, the files of Prometheus and Alertmanager.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "oracles/compliance.rs"]
mod compliance;
#[path = "oracles/components.rs"]
mod components;
#[path = "oracles/default_templates.rs"]
mod default_templates;
#[path = "oracles/go_templates.rs"]
mod go_templates;
#[path = "oracles/packs.rs"]
mod packs;
#[path = "oracles/routes.rs"]
mod routes;
#[path = "oracles/rule_files.rs"]
mod rule_files;
#[path = "oracles/rule_tests.rs"]
mod rule_tests;
