//! Rules that tests evaluate, at times of their own, with nothing running beside.

use super::{Pushed, SetClock};
use crate::begin::{Definition, Ruler};
use crate::evaluate;
use crate::templates::TemplateBook;
use crate::{RulerSettings, tell};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tidewatch_alerting::config::Config;
use tidewatch_alerting::rules::{Group, LoadOptions, load};
use tidewatch_notify::OutboxSettings;
use tower::ServiceExt;

/// Whom nobody tells anything.
pub const NOBODY: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// A folder, data and a clock, all of which outlive the rules.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub data: Arc<Pushed>,
    pub clock: Arc<SetClock>,
    pub runtime: tokio::runtime::Runtime,
    pub registry: Registry,
}

impl Bench {
    /// At `now_ms`, milliseconds since the epoch.
    pub fn new(now_ms: i64) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            data: Arc::default(),
            clock: Arc::new(SetClock(AtomicI64::new(now_ms))),
            runtime: tokio::runtime::Runtime::new().unwrap(),
            registry: Registry::new(),
        }
    }

    /// Opens rules, with settings as `change` makes them.
    pub fn open(&mut self, groups: Vec<Group>, config: &str, change: impl FnOnce(&mut RulerSettings)) -> Ruler {
        let config = Config::load(config).unwrap();
        let definition = Definition { groups, config, templates: TemplateBook::default() };
        let mut settings = RulerSettings::new(self.folder.path().to_owned());
        change(&mut settings);
        let (data, clock) = (Arc::clone(&self.data) as _, Arc::clone(&self.clock) as _);
        // A process has its own.
        self.registry = Registry::new();
        Ruler::open(settings, definition, OutboxSettings::default(), data, clock, &self.registry).unwrap()
    }

    /// Sets the clock and evaluates all groups.
    pub fn evaluate(&self, ruler: &Ruler, now_ms: i64) {
        self.clock.0.store(now_ms, Ordering::SeqCst);
        for place in 0..ruler.shared().with_groups(<[_]>::len) {
            self.runtime.block_on(evaluate::evaluate(ruler.shared(), place, now_ms));
        }
    }

    /// Evaluates and tells.
    pub fn tick(&self, ruler: &Ruler, now_ms: i64) {
        self.evaluate(ruler, now_ms);
        tell::tick(ruler.shared(), now_ms).unwrap();
    }

    /// `data` of an answer of the API.
    pub fn get(&self, ruler: &Ruler, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let body = self.runtime.block_on(async {
            let response = ruler.routes().oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].take()
    }

    /// The value of one of our metrics, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no {name}"));
        let value =
            |metric: &prometheus::proto::Metric| metric.get_counter().get_value() + metric.get_gauge().get_value();
        family.get_metric().iter().map(value).sum()
    }
}

/// Groups of a file's text.
pub fn groups(text: &str) -> Vec<Group> {
    load("rules.yaml", text, LoadOptions::default()).unwrap().groups
}
