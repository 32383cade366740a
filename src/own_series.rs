//! Our own metrics as series in our own tables: rules, dashboards and SQL see them without a Prometheus beside, and
//! a backtest sees how they were.

use anyhow::{Result, bail};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::samples::{OwnSeries, SampleReceiver};
use tidewatch_query::exposition::{Family, families_of};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Label `job` of our own series.
const JOB: &str = "tidewatch";
/// Under this tenant lies what a process knows of itself.
const TENANT: &str = "";

/// Keeps what `/metrics?rollups=false` says, again and again, for as long as it is held.
#[derive(Debug)]
pub struct Keeper {
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins; `None` when `interval` is zero. `instance` becomes a label, as a Prometheus would set it.
    ///
    /// Errors: there is nowhere to keep samples.
    pub fn start(
        registry: Registry,
        samples: SampleReceiver,
        instance: String,
        interval: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>> {
        if interval.is_zero() {
            return Ok(None);
        }
        if let Err(reason) = samples.is_open() {
            bail!("scrape.keep_interval: our own metrics cannot be kept: {reason}");
        }
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut is_failing = false;
            loop {
                ticks.tick().await;
                let series = series_of(&families_of(&registry), &instance, clock.now_us().div_euclid(1000));
                match (samples.append(TENANT, series).await, is_failing) {
                    (Ok(()), true) => tracing::info!("our own metrics are kept again"),
                    // Once, not at every tick.
                    (Err(error), false) => tracing::warn!(error, "our own metrics are not kept"),
                    _ => continue,
                }
                is_failing = !is_failing;
            }
        });
        Ok(Some(Self { task }))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A sample of every series, with the labels that a scrape adds.
fn series_of(families: &[Family], instance: &str, time_ms: i64) -> Vec<OwnSeries> {
    let of_family = |family: &Family| {
        let name = family.name.clone();
        family
            .samples
            .iter()
            .map(move |sample| {
                let added = [("__name__", format!("{name}{}", sample.suffix)), ("job", JOB.to_owned())];
                let added = added.into_iter().chain([("instance", instance.to_owned())]);
                let added = added.map(|(label, value)| (label.to_owned(), value));
                let own = sample.labels.iter().map(|(label, value)| (label.to_string(), value.clone()));
                OwnSeries { labels: added.chain(own).collect(), floats: vec![(time_ms, sample.value)] }
            })
            .collect::<Vec<_>>()
    };
    families.iter().flat_map(of_family).collect()
}

#[cfg(test)]
mod tests;
