//! `tidewatch sql`: a query over the committed tables.

use crate::app::{now, open_store};
use crate::cli::{Sql, SqlFormat};
use crate::packs;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_query::format::{Format, TextCells};
use tidewatch_query::sql::Export;
use tidewatch_query::system::Surroundings;
use tidewatch_query::{NoLiveStates, Snapshots, SqlEngine, SqlError};
use tidewatch_storage::Store;

const DEFAULT_CONFIG: &str = "tidewatch.toml";

pub async fn sql(options: Sql) -> Result<ExitCode> {
    let (settings, store, are_given) = open(options.config.as_deref(), options.data.as_deref())?;
    let definitions = packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.definitions;
    let snapshots = Snapshots::new(store.clone(), Arc::new(NoLiveStates));
    snapshots.define(match are_given {
        true => definitions,
        // A folder of tables that the usual packs may know nothing of.
        false => definitions.over_existing(&store.table_names().await?),
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let surroundings = Surroundings { registry: None, limits: settings.named_limits(), ledger: None };
    let engine = SqlEngine::new(snapshots, settings.sql_limits(), now(&clock))
        .with_spill_folder(settings.spill_folder())
        .with_surroundings(surroundings);
    let export = match Export::parse(&options.query) {
        Ok(export) => export,
        Err(error) => bail!("{}", told(&error)),
    };
    let query = export.as_ref().map_or(&options.query, |e| &e.query);
    let answer = match engine.query(query).await {
        Ok(answer) => answer,
        Err(error) => {
            let nothing = match store.table_names().await {
                Ok(names) if names.is_empty() => format!("\n  hint: there are no tables in {} yet", store.url()),
                _ => String::new(),
            };
            bail!("{}{nothing}", told(&error));
        }
    };
    let (format, asked) = match &export {
        Some(export) => (export.format, export.cells),
        None => (format_of(options.format), TextCells::AsTheyAre),
    };
    let cells = if options.spreadsheet { TextCells::Neutralised } else { asked };
    let bytes = format.write_with(&answer, cells).map_err(|e| match e.hint() {
        Some(hint) => anyhow::anyhow!("{e}\n  hint: {hint}"),
        None => e.into(),
    })?;
    let file = export.as_ref().map(|e| &e.path).or(options.output.as_ref());
    match file {
        Some(path) => std::fs::write(path, bytes).with_context(|| path.display().to_string())?,
        None if !format.is_text() && std::io::stdout().is_terminal() => {
            bail!("this format is not for a terminal\n  hint: add --output FILE, or redirect");
        }
        None => std::io::stdout().write_all(&bytes)?,
    }
    if let Some(export) = export {
        eprintln!("{} rows written to {}", answer.row_count(), export.path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn told(error: &SqlError) -> String {
    format!("{error}{}", error.hint().map(|h| format!("\n  hint: {h}")).unwrap_or_default())
}

fn format_of(format: SqlFormat) -> Format {
    match format {
        SqlFormat::Table => Format::Table,
        SqlFormat::Csv => Format::Csv,
        SqlFormat::Json => Format::Json,
        SqlFormat::Ndjson => Format::Ndjson,
        SqlFormat::Parquet => Format::Parquet,
        SqlFormat::Arrow => Format::Arrow,
        SqlFormat::Xlsx => Format::Xlsx,
    }
}

/// The settings, the store that `location` or the settings name, and whether the settings are somebody's or
/// only the defaults.
pub fn open(config: Option<&Path>, location: Option<&str>) -> Result<(Settings, Store, bool)> {
    let config = config.or_else(|| Some(Path::new(DEFAULT_CONFIG)).filter(|p| p.exists()));
    let settings = config.map(Settings::load).transpose()?;
    let are_given = settings.is_some();
    match (location, settings) {
        (Some(location), settings) => {
            let settings = settings.unwrap_or_default();
            // Asking must not make a folder out of a typing mistake.
            if !location.contains("://") && !Path::new(location).is_dir() {
                bail!("{location}: there is no such folder");
            }
            let store = Store::open(location, settings.storage.options.clone())?;
            Ok((settings, store, are_given))
        }
        (None, Some(settings)) => {
            let store = open_store(&settings)?;
            Ok((settings, store, are_given))
        }
        (None, None) => bail!("which tables?\n  hint: --data FOLDER, or -c FILE, or a {DEFAULT_CONFIG} in this folder"),
    }
}
