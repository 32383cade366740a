//! `tidewatch check`: settings and definitions, without touching a broker or a store.

use crate::cli::Check;
use crate::packs::{self, Packs};
use crate::settings::{DEFAULT_TOML, Settings};
use anyhow::Result;
use std::collections::BTreeSet;
use std::process::ExitCode;
use tidewatch_engine::rollup::{TablePlan, Tier};

pub async fn check(options: Check) -> Result<ExitCode> {
    if options.defaults {
        print!("{DEFAULT_TOML}");
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(&options.config.config)?;
    let Packs { catalog, definitions, rules, warnings } =
        packs::load(&settings.packs, tidewatch_query::Checking::Plans).await?;
    settings.check_packs(&catalog)?;
    crate::alerting::definition(&settings, Vec::new())?;
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
    for view in definitions.views() {
        println!(
            "  {} ← {}, view: {}",
            view.name,
            view.reads.join(", "),
            view.columns().collect::<Vec<_>>().join(", ")
        );
    }
    for group in &rules {
        let names: BTreeSet<&str> = group.rules.iter().map(|rule| rule.name().as_ref()).collect();
        println!("  {}, rules: {}", group.name, names.into_iter().collect::<Vec<_>>().join(", "));
    }
    for shadowed in tidewatch_query::promql::shadowed(&definitions) {
        println!("PromQL does not see {} as {}: that is {}", shadowed.column, shadowed.name, shadowed.by);
    }
    if !catalog.unused.is_empty() {
        let unused: Vec<&str> = catalog.unused.iter().map(|s| s.name.as_str()).collect();
        println!("sources that no rollup reads: {}", unused.join(", "));
    }
    println!("topics: {}", catalog.topics().into_iter().collect::<Vec<_>>().join(", "));
    for warning in &warnings {
        println!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
