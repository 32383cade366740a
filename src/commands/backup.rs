//! `tidewatch backup` and `tidewatch restore`.

use crate::app::open_store;
use crate::backup::{Held, Manifest, STATE, TABLES, back_up_tables, claim, prune, restore as put_back};
use crate::cli::{Backup, Restore};
use crate::settings::Settings;
use crate::{alerting, push};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_storage::Store;

/// Names of the folders in a manifest.
const PUSH: &str = "push";
const ALERTS: &str = "alerts";

pub async fn backup(options: Backup) -> Result<ExitCode> {
    let settings = Settings::load(&options.config.config)?;
    let source = open_store(&settings)?;
    let open = |location: &str| {
        Store::open(location, settings.storage.options.clone()).with_context(|| format!("--to {}", options.to))
    };
    let target = open(&options.to)?;
    let contains = |outer: &Store, inner: &Store| inner.url().as_str().starts_with(outer.url().as_str());
    if contains(&source, &target) || contains(&target, &source) {
        bail!("--to {}: a backup must lie outside of the tables", options.to);
    }
    claim(&target).await?;
    let tables = open(&format!("{}/{TABLES}", options.to.trim_end_matches('/')))?;
    let now = DateTime::from_timestamp_micros(SystemClock::new().now_us()).unwrap_or_default();
    let created_at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let before = Manifest::read(&target).await?;
    let mut manifest = Manifest::new(created_at, source.url().to_string());
    let mut tell = |line: String| eprintln!("{line}");
    let state = format!("{STATE}/{}", now.format("%Y%m%dT%H%M%S%3fZ"));
    // Held until the tables are copied: none of them must be ahead of the log.
    let mut all_held = Vec::new();
    for (name, folder) in folders(&settings) {
        let folder = match folder {
            Ok(folder) => Held::take(&folder)?,
            Err(why) => Err(why),
        };
        match folder {
            Ok(held) => {
                let entry = held.copy(&target, &format!("{state}/{name}")).await?;
                tell(format!("{name}: {} files", entry.files.len()));
                manifest.folders.insert(name.to_owned(), entry);
                all_held.push(held);
            }
            Err(why) => {
                tell(format!("skipped {name}: {why}"));
                manifest.skipped.insert(name.to_owned(), why);
            }
        }
    }
    manifest.tables = back_up_tables(&source, &tables, before.as_ref(), &mut tell).await?;
    drop(all_held);
    manifest.write(&target).await?;
    let removed = prune(&target, &manifest).await?;
    eprintln!("{removed} files of older backups removed");
    println!("backed up {} tables to {}", manifest.tables.len(), target.url());
    Ok(ExitCode::SUCCESS)
}

/// What lies beside the store, or why it does not.
fn folders(settings: &Settings) -> [(&'static str, Result<PathBuf, String>); 2] {
    let alerts = match alerting::folder(settings) {
        _ if !settings.alerting.enabled => Err("alerting.enabled is false".to_owned()),
        Some(folder) => Ok(folder),
        None => Err("alerting.path names no folder".to_owned()),
    };
    [(PUSH, push::folder(settings).map_err(|(why, _)| why)), (ALERTS, alerts)]
}

pub async fn restore(options: Restore) -> Result<ExitCode> {
    let mut settings = match &options.config {
        Some(config) => Settings::load(config)?,
        None => Settings::default(),
    };
    settings.storage.location.clone_from(&options.to);
    let from = Store::open(&options.from, settings.storage.options.clone())
        .with_context(|| format!("--from {}", options.from))?;
    let to = open_store(&settings).with_context(|| format!("--to {}", options.to))?;
    let known = folders(&settings).into_iter().filter_map(|(name, folder)| Some((name.to_owned(), folder.ok()?)));
    let known: BTreeMap<String, PathBuf> = known.collect();
    put_back(&from, &to, &known, &mut |line| eprintln!("{line}")).await?;
    println!("restored to {}: `tidewatch run` goes on where these tables stand", to.url());
    Ok(ExitCode::SUCCESS)
}
