//! Rules and alerts of a running process: where their files are, what they read, where their state lies.

mod data;
mod files;
mod forward;
mod late;
mod ledger;
mod seat;

pub use data::{EngineData, RulerClock};
pub use files::{definition, load_rules};
pub use late::LateInbox;
pub use ledger::LedgerSlot;
pub use seat::{Opening, Rules};

use crate::settings::Settings;
use anyhow::Result;
use axum::Router;
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use tidewatch_ingest::clock::Clock;
use tidewatch_ruler::{Data, Ruler, RulerSettings};

/// What the name of the folder ends in, when the settings do not name one.
const BESIDE: &str = "-alerts";

/// What a process does about rules.
#[derive(Debug)]
pub enum Opened {
    /// They are switched off, or nothing says where their state lies.
    Off,
    /// It evaluates them.
    Taken(Box<Ruler>),
    /// Another process evaluates them, until it stops or dies.
    StandBy(Box<Opening>),
}

impl Opened {
    /// What is answered about rules and alerts.
    pub fn routes(&self) -> Router {
        match self {
            Self::Taken(ruler) => ruler.routes(),
            Self::Off | Self::StandBy(_) => tidewatch_ruler::routes_without_rules(),
        }
    }
}

/// Opens the rules of the settings.
///
/// Errors: mistakes in rules or routes, a folder that cannot be used.
pub async fn open(
    settings: &Settings,
    packs: Vec<tidewatch_alerting::rules::Group>,
    data: Arc<dyn Data>,
    clock: &Arc<dyn Clock>,
    registry: &Registry,
) -> Result<Opened> {
    if !settings.alerting.enabled {
        return Ok(Opened::Off);
    }
    let Some(folder) = folder(settings) else {
        tracing::warn!("no rules are evaluated: the tables are in an object store; name a folder in alerting.path");
        return Ok(Opened::Off);
    };
    let opening = Opening {
        settings: settings.ruler(folder),
        definition: definition(settings, packs)?,
        data,
        clock: Arc::clone(clock),
        registry: registry.clone(),
    };
    match opening.open().await? {
        Some(ruler) => Ok(Opened::Taken(Box::new(ruler))),
        None => {
            let folder = opening.settings.folder.display();
            tracing::warn!(%folder, "another process evaluates the rules; this one stands by");
            Ok(Opened::StandBy(Box::new(opening)))
        }
    }
}

/// Where states and messages lie: `None` when nothing says where.
pub fn folder(settings: &Settings) -> Option<PathBuf> {
    let (path, location) = (&settings.alerting.path, &settings.storage.location);
    if !path.is_empty() {
        return Some(PathBuf::from(path));
    }
    (!location.contains("://")).then(|| PathBuf::from(format!("{}{BESIDE}", location.trim_end_matches('/'))))
}

impl Settings {
    /// How rules run.
    pub fn ruler(&self, folder: PathBuf) -> RulerSettings {
        let own = &self.alerting;
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let mut ruler = RulerSettings::new(folder);
        ruler.groups.interval_ms = ms(own.evaluation_interval);
        ruler.groups.query_offset_ms = ms(own.query_offset);
        ruler.groups.external_labels = own.external_labels.clone().into_iter().collect();
        ruler.groups.external_url = self.external_url();
        ruler.react_min_ms = ms(own.react_min);
        ruler.resend_delay_ms = ms(own.resend_delay);
        ruler.give_up_ms = ms(own.give_up_after);
        ruler.ledger_retention_ms = ms(own.ledger_retention);
        ruler.ledger_rows_max = own.ledger_rows_max;
        ruler.concurrency_max = own.concurrency_max;
        ruler.amend.delay_ms = ms(own.amend.delay);
        ruler.amend.wait_max_ms = ms(own.amend.wait_max);
        ruler.amend.age_max_ms = ms(own.amend.age_max);
        ruler.amend.instants_max = own.amend.evaluations_max;
        // Mistakes in it were refused when the settings were read.
        ruler.forward = own.forwarding().unwrap_or_default();
        ruler
    }

    /// Where links in messages lead.
    fn external_url(&self) -> String {
        let own = self.alerting.external_url.trim_end_matches('/');
        if own.is_empty() { format!("http://{}", self.http.listen) } else { own.to_owned() }
    }
}
