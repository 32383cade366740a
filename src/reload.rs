//! Other packs without a restart: what was counted is committed, and counting goes on by the new
//! definitions from where each table stands. HTTP answers all the while.

use crate::alerting;
use crate::app::App;
use crate::packs::{self, Mistakes, Packs};
use crate::settings::Settings;
use anyhow::Result;
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_alerting::rules::Group;
use tidewatch_engine::metrics as catalogue;
use tidewatch_ingest::worker::WorkerError;

/// How the start and reloads went.
#[derive(Debug, Clone)]
pub struct ProcessMetrics {
    reloads: IntCounterVec,
    last_succeeded: IntGauge,
    start_seconds: Gauge,
}

impl ProcessMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self> {
        let opts = |def: &catalogue::MetricDef| Opts::new(def.name, def.help);
        let metrics = Self {
            reloads: IntCounterVec::new(opts(&catalogue::RELOADS), catalogue::RELOADS.labels)?,
            last_succeeded: IntGauge::with_opts(opts(&catalogue::LAST_RELOAD_SUCCEEDED))?,
            start_seconds: Gauge::with_opts(opts(&catalogue::START_SECONDS))?,
        };
        // Both are there before the first reload, so that an alert on them has something to look at.
        ["applied", "refused"].iter().for_each(|outcome| _ = metrics.reloads.with_label_values(&[outcome]));
        metrics.last_succeeded.set(1);
        registry.register(Box::new(metrics.reloads.clone()))?;
        registry.register(Box::new(metrics.last_succeeded.clone()))?;
        registry.register(Box::new(metrics.start_seconds.clone()))?;
        Ok(metrics)
    }

    /// The process serves, after so long.
    pub fn started(&self, after: Duration) {
        self.start_seconds.set(after.as_secs_f64());
    }

    fn note(&self, is_applied: bool) {
        self.reloads.with_label_values(&[if is_applied { "applied" } else { "refused" }]).inc();
        self.last_succeeded.set(i64::from(is_applied));
    }
}

impl App {
    /// Reads the packs that the settings name now and goes on with them. Mistakes in them are logged,
    /// every one, and nothing changes.
    ///
    /// Errors: ingestion cannot go on. Everything that was read is committed.
    pub async fn reload(&mut self, config: &Path) -> Result<()> {
        let applied = match self.read_packs(config).await {
            Ok(packs) => {
                self.go_on_with(packs).await?;
                tracing::info!("packs reloaded");
                true
            }
            Err(Mistakes(mistakes)) => {
                for mistake in &mistakes {
                    tracing::error!("{mistake}");
                }
                tracing::error!(mistakes = mistakes.len(), "packs not reloaded; going on with those that were");
                false
            }
        };
        self.process.note(applied);
        Ok(())
    }

    /// Rules and routes as their files are now. What is wrong with them is logged, and they stay as they were.
    async fn redefine_rules(&mut self, packs: Vec<Group>) {
        let redefined = match alerting::definition(&self.plant.settings, packs) {
            Ok(definition) => self.rules.redefine(definition).await,
            Err(error) => Err(error),
        };
        if let Err(error) = redefined {
            tracing::error!("rules and routes not reloaded: {error:#}");
        }
    }

    async fn read_packs(&self, config: &Path) -> Result<Packs, Mistakes> {
        let settings = Settings::load(config).map_err(|e| Mistakes(vec![format!("{e:#}")]))?;
        let old = Settings { packs: settings.packs.clone(), ..self.plant.settings.clone() };
        if settings != old {
            tracing::warn!("only packs are reloaded; the other settings take effect with a restart");
        }
        let packs = packs::load(&settings.packs, tidewatch_query::Checking::Plans).await?;
        packs.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        settings.check_packs(&packs.catalog).map_err(|e| Mistakes(vec![format!("{e:#}")]))?;
        let prepared = self.plant.prepare_tables(&packs.catalog).await;
        prepared.map_err(|errors| Mistakes(errors.iter().map(ToString::to_string).collect()))?;
        Ok(packs)
    }

    async fn go_on_with(&mut self, packs: Packs) -> Result<()> {
        if let Some(ingestion) = self.ingestion.take() {
            match ingestion.drain().await {
                Ok(()) => {}
                // What did not come through in time is read again; a commit that still does is found.
                Err(error @ WorkerError::DrainTimeout(_)) => tracing::warn!(%error, "while reloading"),
                Err(error) => return Err(error.into()),
            }
        }
        // From here until the new workers have begun, what is committed is all there is.
        let catalog = Arc::new(packs.catalog);
        let ingestion = self.plant.start(&catalog).await?;
        self.push.define(&catalog);
        self.live.set(ingestion.handles());
        self.engine.snapshots().define(packs.definitions);
        self.redefine_rules(packs.rules).await;
        self.ingestion = Some(ingestion);
        Ok(())
    }
}
