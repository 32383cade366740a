//! The binary: command line, settings, wiring, shutdown. What is counted, stored and answered lives in
//! the other crates.

mod alerting;
mod app;
mod backup;
mod cli;
mod commands;
mod doctor;
mod ingestion;
mod live;
mod own_series;
mod pack_tests;
mod packs;
mod probes;
mod push;
mod reload;
mod server;
mod settings;
mod signals;
mod status;
mod telemetry;
mod wires;

use clap::Parser;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Planning a query and decoding events are many small allocations.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match commands::execute(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // A reader that closed the pipe early (`| head`) has seen what it wanted.
            let is_broken_pipe = error.chain().any(|e| {
                e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            });
            if is_broken_pipe {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
