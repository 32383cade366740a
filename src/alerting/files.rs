//! Rule files and the configuration of routes.

use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::path::Path;
use tidewatch_alerting::config::Config;
use tidewatch_alerting::rules::{Group, LoadOptions, load};
use tidewatch_ruler::begin::Definition;
use tidewatch_ruler::{TemplateBook, matching};

/// The rules of packs, where the settings ask for them, those of the settings' files, and the routes.
///
/// Errors: every mistake in the first file that has some; what is wrong with the routes.
pub fn definition(settings: &Settings, packs: Vec<Group>) -> Result<Definition> {
    let mut groups = if settings.alerting.pack_rules { packs } else { Vec::new() };
    groups.extend(load_rules(&settings.alerting.rules)?);
    let config = &settings.alerting.config;
    if config.is_empty() {
        return Definition::untold(groups).map_err(anyhow::Error::msg);
    }
    let text = std::fs::read_to_string(config).with_context(|| format!("alerting.config {config}"))?;
    let routes = Config::load(&text).map_err(|error| anyhow::anyhow!("{config}: {error}"))?;
    let folder = Path::new(config).parent().unwrap_or(Path::new("."));
    let templates = TemplateBook::load(&routes.templates, folder).map_err(anyhow::Error::msg)?;
    Ok(Definition { groups, config: routes, templates })
}

/// The groups of rule files; the last part of a path may have one `*`.
///
/// Errors: every mistake in the first file that has some.
pub fn load_rules(paths: &[String]) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for path in paths {
        for file in matching(Path::new(path)).map_err(|error| anyhow::anyhow!("alerting.rules: {error}"))? {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(&file).with_context(|| format!("alerting.rules {shown}"))?;
            match load(&shown, &text, LoadOptions::default()) {
                Ok(file) => groups.extend(file.groups),
                Err(mistakes) => bail!("{mistakes}"),
            }
        }
    }
    Ok(groups)
}
