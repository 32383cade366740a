//! `tidewatch check`: settings and definitions, without touching a broker or a store.

use crate::cli::Check;
use crate::packs;
use crate::settings::{DEFAULT_TOML, Settings};
use anyhow::Result;
use tidewatch_engine::rollup::{TablePlan, Tier};
use std::process::ExitCode;

pub fn check(options: &Check) -> Result<ExitCode> {
    if options.defaults {
        print!("{DEFAULT_TOML}");
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(&options.config.config)?;
    let catalog = packs::load(&settings.packs)?;
    println!("{}: settings are valid", options.config.config.display());
    println!("packs: {}", settings.packs.join(", "));
    for TablePlan { schema, topics, .. } in catalog.tables() {
        let columns: Vec<&str> = schema.dimensions.iter().map(|d| d.name.as_str()).collect();
        let measures: Vec<&str> = schema.measures.iter().map(|m| m.name.as_str()).collect();
        println!(
            "  {} ← {} ({}), {} by {}: {}",
            schema.name,
            schema.sources.join(", "),
            topics.into_iter().collect::<Vec<_>>().join(", "),
            match schema.tiers.iter().map(Tier::name).collect::<Vec<_>>().as_slice() {
                [] => "one row each".to_owned(),
                widths => format!("windows of {}", widths.join(", ")),
            },
            if columns.is_empty() { "nothing else".to_owned() } else { columns.join(", ") },
            measures.join(", "),
        );
    }
    if !catalog.unused.is_empty() {
        let unused: Vec<&str> = catalog.unused.iter().map(|s| s.name.as_str()).collect();
        println!("sources that no rollup reads: {}", unused.join(", "));
    }
    println!("topics: {}", catalog.topics().into_iter().collect::<Vec<_>>().join(", "));
    Ok(ExitCode::SUCCESS)
}
