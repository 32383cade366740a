use super::*;
use crate::RulerSettings;
use crate::begin::{Definition, Ruler};
use crate::data::{Changes, NoChanges};
use crate::evaluate;
use crate::explain::explain;
use crate::templates::TemplateBook;
use crate::testing::{Pushed, SetClock};
use futures::future::BoxFuture;
use prometheus::Registry;
use std::sync::atomic::{AtomicI64, Ordering};
use tidewatch_alerting::config::Config;
use tidewatch_alerting::route::AlertDetail;
use tidewatch_alerting::rules::{LoadOptions, load};
use tidewatch_alerting::state::Completeness;
use tidewatch_notify::OutboxSettings;
use tidewatch_promql::{Answer, Options, Plan, Storage};
use tokio::runtime::Runtime;

const START_MS: i64 = 1_800_000_000_000;
const MINUTE_MS: i64 = 60_000;
const WEEK_MS: i64 = 7 * 24 * 60 * MINUTE_MS;

const RULES: &str = r#"
groups:
  - name: api
    interval: 10s
    rules:
      - alert: Errors
        expr: sum by (api) (increase(calls_total{outcome="error"}[5m])) / sum by (api) (increase(calls_total[5m])) > 0.05
        labels: {severity: critical}
        annotations: {runbook_url: 'https://runbooks/errors', dashboard_url: 'https://g/d/errors'}
"#;

const CONFIG: &str = r#"
route: {receiver: hook, group_by: [alertname], group_wait: 30s, group_interval: 1m, repeat_interval: 1h}
receivers:
  - name: hook
    webhook_configs: [{url: 'http://127.0.0.1:9/'}]
"#;

/// Data that stops answering after some queries; the last of them takes long.
#[derive(Debug)]
struct Halting {
    pushed: Pushed,
    clock: Arc<SetClock>,
    answers: AtomicI64,
}

impl Data for Halting {
    fn answer(
        &self,
        plan: Plan,
        own: Arc<dyn Storage + Send + Sync>,
    ) -> BoxFuture<'_, Result<(Answer, Completeness), String>> {
        match self.answers.fetch_sub(1, Ordering::SeqCst) {
            ..=0 => return Box::pin(std::future::pending()),
            1 => _ = self.clock.0.fetch_add(20_000, Ordering::SeqCst),
            2.. => {}
        }
        self.pushed.answer(plan, own)
    }

    fn keep(&self, samples: Vec<VectorSample>) -> BoxFuture<'_, Result<(), String>> {
        self.pushed.keep(samples)
    }

    fn options(&self) -> Options {
        Options::default()
    }

    fn changes(&self) -> Arc<dyn Changes> {
        Arc::new(NoChanges)
    }
}

struct Bench {
    folder: tempfile::TempDir,
    data: Arc<Halting>,
    clock: Arc<SetClock>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(START_MS)));
        Self {
            folder: tempfile::tempdir().unwrap(),
            data: Arc::new(Halting {
                pushed: Pushed::default(),
                clock: Arc::clone(&clock),
                answers: AtomicI64::new(i64::MAX),
            }),
            clock,
            runtime: Runtime::new().unwrap(),
            stop: watch::channel(false).0,
        }
    }

    /// Errors of 100 calls in a minute, of two providers, in the ten minutes until an instant.
    fn count(&self, until_ms: i64, errors: [(&str, f64); 2]) {
        for minute in 0..=10 {
            let time_ms = until_ms - (10 - minute) * MINUTE_MS;
            for (provider, errors) in errors {
                for (outcome, each) in [("error", errors), ("success", 100.0 - errors)] {
                    let series =
                        [("__name__", "calls_total"), ("api", "rates"), ("provider", provider), ("outcome", outcome)];
                    self.data.pushed.push(&series, time_ms, minute as f64 * each);
                }
            }
        }
    }

    fn open(&self, rules: &str) -> Ruler {
        let definition = Definition {
            groups: load("api.yml", rules, LoadOptions::default()).unwrap().groups,
            config: Config::load(CONFIG).unwrap(),
            templates: TemplateBook::default(),
        };
        let settings = RulerSettings::new(self.folder.path().to_owned());
        let (data, clock) = (Arc::clone(&self.data) as _, Arc::clone(&self.clock) as _);
        Ruler::open(settings, definition, OutboxSettings::default(), data, clock, &Registry::new()).unwrap()
    }

    fn evaluate(&self, ruler: &Ruler, after_s: i64) {
        let now_ms = START_MS + after_s * 1000;
        self.clock.0.store(now_ms, Ordering::SeqCst);
        self.runtime.block_on(evaluate::evaluate(&ruler.shared, 0, now_ms));
    }

    /// Answers what waits; returns how much that was.
    fn answer(&self, ruler: &mut Ruler) -> usize {
        let mut answered = 0;
        while let Ok(question) = ruler.waiting.0.try_recv() {
            answer(&ruler.shared, &question, self.runtime.handle().clone(), self.stop.subscribe());
            answered += 1;
        }
        answered
    }
}

/// What is known of the only alert, in the store and in its group.
fn detail(ruler: &Ruler) -> AlertDetail {
    let notifier = ruler.shared.notifier();
    let alert = notifier.state.store.iter().next().unwrap();
    let (_, group) = notifier.state.groups.iter().next().unwrap();
    assert_eq!(group.alerts[&alert.fingerprint()].detail, alert.detail);
    alert.detail.clone()
}

#[test]
fn an_alert_that_fires_is_told_what_moved_it_and_keeps_it() {
    let bench = Bench::new();
    bench.count(START_MS - WEEK_MS, [("ups", 1.0), ("usps", 1.0)]);
    bench.count(START_MS, [("ups", 19.0), ("usps", 3.0)]);
    let mut ruler = bench.open(RULES);
    bench.evaluate(&ruler, 0);
    let at_once = detail(&ruler);
    assert!((at_once.value.unwrap() - 0.11).abs() < 1e-12);
    assert_eq!((at_once.baseline, at_once.contributions.len()), (None, 0), "nothing waits for the explanation");
    assert_eq!(at_once.runbook.as_deref(), Some("https://runbooks/errors"));
    assert_eq!(at_once.links, [("dashboard".to_owned(), "https://g/d/errors".to_owned())].into());
    assert_eq!(bench.answer(&mut ruler), 1);
    let explained = detail(&ruler);
    let shares: Vec<String> = explained.contributions.iter().map(text::share).collect();
    assert_eq!(shares, [r#"+90 % provider="ups""#, r#"+10 % provider="usps""#]);
    assert!((explained.baseline.unwrap() - 0.01).abs() < 1e-12);
    assert_eq!(explained.compared_with.as_deref(), Some("a week before"));
    assert_eq!(ruler.shared.metrics.explanations.get(), 1);
    // Explained once, kept when it is told again, and after a restart.
    bench.evaluate(&ruler, 90);
    assert_eq!(bench.answer(&mut ruler), 0);
    assert_eq!(detail(&ruler).contributions, explained.contributions);
    drop(ruler);
    let mut ruler = bench.open(RULES);
    bench.evaluate(&ruler, 180);
    assert_eq!((bench.answer(&mut ruler), detail(&ruler).contributions), (0, explained.contributions));
    let fingerprint = ruler.shared.notifier().state.store.iter().next().unwrap().fingerprint().to_string();
    let shown = explain(&ruler.shared, &fingerprint).unwrap().to_string();
    for part in ["0.01 a week before", r#"+90 % provider="ups""#, "runbook https://runbooks/errors", " contributions: "]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn what_cannot_be_explained_is_counted_and_told_without() {
    let bench = Bench::new();
    bench.count(START_MS, [("ups", 19.0), ("usps", 3.0)]);
    let mut ruler = bench.open(RULES);
    bench.evaluate(&ruler, 0);
    // After the first query the time is over, and the second has no answer.
    bench.data.answers.store(1, Ordering::SeqCst);
    assert_eq!(bench.answer(&mut ruler), 1);
    assert_eq!((ruler.shared.metrics.explanations.get(), ruler.shared.metrics.explanations_failed.get()), (0, 1));
    assert!(detail(&ruler).value.is_some());
}

#[test]
fn a_stop_waits_for_no_explanation() {
    let bench = Bench::new();
    bench.count(START_MS, [("ups", 19.0), ("usps", 3.0)]);
    let ruler = bench.open(RULES);
    bench.evaluate(&ruler, 0);
    bench.data.answers.store(0, Ordering::SeqCst);
    let (shared, stop) = (Arc::clone(&ruler.shared), bench.stop.clone());
    bench.runtime.block_on(async {
        let running = tokio::spawn(run(Arc::clone(&shared), ruler.waiting, stop.subscribe()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.send_replace(true);
        tokio::time::timeout(TIMEOUT / 2, running).await.unwrap().unwrap();
    });
    assert_eq!((shared.metrics.explanations.get(), shared.metrics.explanations_failed.get()), (0, 1));
}

#[test]
fn the_task_explains_what_comes() {
    let bench = Bench::new();
    bench.count(START_MS, [("ups", 19.0), ("usps", 3.0)]);
    let ruler = bench.open(RULES);
    bench.evaluate(&ruler, 0);
    let (shared, stop) = (Arc::clone(&ruler.shared), bench.stop.clone());
    bench.runtime.block_on(async {
        let running = tokio::spawn(run(Arc::clone(&shared), ruler.waiting, stop.subscribe()));
        let explained = async {
            while shared.metrics.explanations.get() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, explained).await.unwrap();
        stop.send_replace(true);
        running.await.unwrap();
    });
}

#[test]
fn more_than_the_queue_holds_are_told_unexplained_and_counted() {
    let bench = Bench::new();
    for shop in 0..WAITING_MAX + 3 {
        bench.data.pushed.push(&[("__name__", "errors"), ("shop", &shop.to_string())], START_MS, 9.0);
    }
    let rules = "groups: [{name: g, interval: 10s, rules: [{alert: Errors, expr: errors > 5}]}]";
    let ruler = bench.open(rules);
    bench.evaluate(&ruler, 0);
    assert_eq!(ruler.waiting.0.len(), WAITING_MAX);
    assert_eq!(ruler.shared.metrics.explanations_dropped.get(), 3);
    assert_eq!(ruler.shared.notifier().state.store.iter().count(), WAITING_MAX + 3);
}

#[test]
fn what_is_over_is_not_explained() {
    let bench = Bench::new();
    bench.count(START_MS, [("ups", 19.0), ("usps", 3.0)]);
    let mut ruler = bench.open(RULES);
    bench.evaluate(&ruler, 0);
    // An hour later there are no calls any more.
    bench.evaluate(&ruler, 3600);
    assert_eq!(bench.answer(&mut ruler), 1);
    assert_eq!((ruler.shared.metrics.explanations.get(), ruler.shared.metrics.explanations_failed.get()), (0, 0));
}
