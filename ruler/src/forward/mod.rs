//! Forwards alerts to real Alertmanagers, as Prometheus does.
//!
//! ```text
//! evaluation ─▶ alerts that are due ─▶ queue of an address ─▶ POST /api/v2/alerts
//! evaluate      alerting::state::send  queue                  lane
//! ```
//!
//! What is forwarded is what rules find, whatever our own routes, silences and inhibitions make of it: that is the
//! other Alertmanager's business. A request that fails is not repeated by the queue. It need not be: what fires is due
//! again every `resend_delay`, what was resolved for 15 minutes, and after a restart both at the first evaluation.
//! A rule that fails forwards nothing.
//!
//! An address that is down, slow or half-open fills its own queue, whose oldest alerts go at the bound, and nothing
//! else: an evaluation only adds to the queues.

mod lane;
mod metrics;
mod queue;

use crate::begin::RulerError;
use lane::Lane;
use metrics::ForwardMetrics;
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_alerting::api_v2::PostableAlert;
use tidewatch_alerting::route::Alert;
use tidewatch_notify::http::{HttpSender, HttpSettings};
use tidewatch_notify::{Clock, SecretUrl};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// The path of Alertmanager's API that takes alerts, below the address of the settings.
const PATH: &str = "api/v2/alerts";

/// Where alerts are forwarded to.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardSettings {
    /// Addresses of Alertmanagers with the prefix of their paths, if they have one; none: nothing is forwarded. Each
    /// of them is told everything, as members of an Alertmanager's cluster expect.
    pub alertmanagers: Vec<SecretUrl>,
    /// How requests are made; `url` is not looked at. An address may have a user and a password of its own.
    pub http: HttpSettings,
    /// Alerts that may wait for one address; beyond that the oldest go.
    pub capacity: usize,
    /// Most alerts of one request.
    pub batch_max: usize,
}

impl Default for ForwardSettings {
    /// As Prometheus: 10,000 alerts wait, 64 go at once, an answer comes within ten seconds.
    fn default() -> Self {
        Self {
            alertmanagers: Vec::new(),
            http: HttpSettings { timeout: Duration::from_secs(10), ..HttpSettings::default() },
            capacity: 10_000,
            batch_max: 64,
        }
    }
}

/// Forwards to all addresses.
#[derive(Debug)]
pub(crate) struct Forwarder {
    lanes: Vec<Arc<Lane>>,
}

impl Forwarder {
    /// Makes the clients; reads certificates. Nothing is sent before [`Forwarder::start`].
    ///
    /// # Errors
    /// An address is named twice or settings of the client are wrong; names of metrics are taken.
    pub fn new(settings: &ForwardSettings, registry: &Registry) -> Result<Self, RulerError> {
        let metrics = ForwardMetrics::register(registry, settings.capacity)?;
        let mut lanes: Vec<Arc<Lane>> = Vec::new();
        for base in &settings.alertmanagers {
            let url = endpoint(base)?;
            let address = shown(url.reveal());
            if lanes.iter().any(|lane| lane.address == address) {
                let what = format!("{address} is named twice: each Alertmanager is told everything once");
                return Err(RulerError::Configuration(what));
            }
            let failed = |what: String| RulerError::Configuration(format!("forwarding to {address}: {what}"));
            let sender = HttpSender::new(settings.http.clone()).map_err(failed)?;
            let (bounds, metrics) = ((settings.capacity, settings.batch_max), metrics.lane(&address));
            lanes.push(Arc::new(Lane::new(address, url, sender, bounds, metrics)));
        }
        Ok(Self { lanes })
    }

    /// Whether there is anybody to forward to.
    pub fn is_on(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Alerts as they are forwarded; none when nothing is.
    pub fn written(&self, alerts: &[Alert]) -> Vec<Arc<str>> {
        if !self.is_on() {
            return Vec::new();
        }
        alerts.iter().filter_map(json).collect()
    }

    /// Queues alerts for every address and returns at once.
    pub fn push(&self, alerts: &[Arc<str>]) {
        if !alerts.is_empty() {
            self.lanes.iter().for_each(|lane| lane.push(alerts));
        }
    }

    /// Starts a task for each address.
    pub fn start(&self, tasks: &mut JoinSet<()>, clock: &Arc<dyn Clock>, stopped: &watch::Receiver<bool>) {
        for lane in &self.lanes {
            tasks.spawn(Arc::clone(lane).run(Arc::clone(clock), stopped.clone()));
        }
    }

    /// What waits for the first address, which nobody sends then.
    #[cfg(test)]
    pub fn taken(&self) -> Vec<serde_json::Value> {
        let batches = std::iter::repeat_with(|| self.lanes[0].take()).take_while(|batch| !batch.is_empty());
        batches.flatten().map(|text| serde_json::from_str(&text).unwrap()).collect()
    }
}

fn json(alert: &Alert) -> Option<Arc<str>> {
    let alert = PostableAlert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: Some(alert.starts_at),
        ends_at: alert.ends_at,
        generator_url: alert.generator_url.clone(),
    };
    // Texts and times only: it cannot fail.
    serde_json::to_string(&alert).ok().map(Arc::from)
}

fn endpoint(base: &SecretUrl) -> Result<SecretUrl, RulerError> {
    let mut url = base.reveal().clone();
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    SecretUrl::parse(url.as_str()).map_err(|error| RulerError::Configuration(error.to_string()))
}

/// The address without user, password and query.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests;
