use super::*;
use crate::begin::{Definition, Ruler};
use crate::evaluate;
use crate::ledger::{Row, STAGE_AMENDMENT, STAGE_MESSAGE};
use crate::testing::{Pushed, SetClock};
use crate::{RulerSettings, TemplateBook, tell};
use std::sync::atomic::{AtomicI64, Ordering};
use tidewatch_alerting::config::Config;
use tidewatch_alerting::memory::Memory;
use tidewatch_alerting::rules::{LoadOptions, load};
use tidewatch_notify::{OutboxSettings, Outgoing, Payload};
use tidewatch_promql::Options;

const RULES: &str = r#"
groups:
  - name: shop
    interval: 10s
    rules:
      - record: shop:errors:max
        expr: max by (shop) (errors)
      - alert: Errors
        expr: shop:errors:max > 5
        for: 20s
        labels: {severity: critical}
"#;

const CONFIG: &str = r#"
route: {receiver: all, group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 1h}
receivers:
  - name: all
    slack_configs: [{app_token: xoxb-1, channel: '#ops', send_resolved: true}]
    pagerduty_configs: [{routing_key: k}]
    webhook_configs: [{url: 'http://127.0.0.1:9/'}]
tidewatch:
  escalation: [{name: E, matchers: [severity=critical], levels: [{after: 1h, receivers: [all]}]}]
  digests: [{name: d, receiver: all, at: "13:00"}]
"#;

const START_MS: i64 = 1_800_000_000_000;

/// Seconds from the start with the shop's errors.
type Samples = Vec<(i64, f64)>;

struct Bench {
    folder: tempfile::TempDir,
    data: Arc<Pushed>,
    clock: Arc<SetClock>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            data: Arc::default(),
            clock: Arc::new(SetClock(AtomicI64::new(START_MS))),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn open(&self, rules: &str) -> Ruler {
        let definition = Definition {
            groups: load("shop.yml", rules, LoadOptions::default()).unwrap().groups,
            config: Config::load(CONFIG).unwrap(),
            templates: TemplateBook::default(),
        };
        let settings = RulerSettings::new(self.folder.path().to_owned());
        let (data, clock) = (Arc::clone(&self.data) as _, Arc::clone(&self.clock) as _);
        Ruler::open(settings, definition, OutboxSettings::default(), data, clock, &Registry::new()).unwrap()
    }

    fn set(&self, after_s: i64) -> i64 {
        let now_ms = START_MS + after_s * 1000;
        self.clock.0.store(now_ms, Ordering::SeqCst);
        now_ms
    }

    fn evaluate(&self, ruler: &Ruler, after_s: i64) {
        let now_ms = self.set(after_s);
        self.runtime.block_on(evaluate::evaluate(&ruler.shared, 0, now_ms));
        tell::tick(&ruler.shared, now_ms).unwrap();
    }

    /// Each sample comes in time, and the group is evaluated on it.
    fn live(&self, ruler: &Ruler, samples: &Samples) {
        for (after_s, errors) in samples {
            self.data.push(&[("__name__", "errors"), ("shop", "a")], START_MS + after_s * 1000, *errors);
            self.evaluate(ruler, *after_s);
        }
    }

    /// From now on the past is this.
    fn rewrite(&self, samples: &Samples) {
        *self.data.memory.lock().unwrap() = Memory::new(Options::default());
        for (after_s, errors) in samples {
            self.data.push(&[("__name__", "errors"), ("shop", "a")], START_MS + after_s * 1000, *errors);
        }
    }

    /// What lies between 0 and 90 s came late, at `after_s`.
    fn late(&self, ruler: &Ruler, after_s: i64) {
        let stretch = LateStretch { source: "s".to_owned(), from_ms: START_MS, to_ms: START_MS + 90_000 };
        self.data.late.stretches.lock().unwrap().push(stretch);
        collect(&ruler.shared, &self.data.late, self.set(after_s));
    }

    fn review(&self, ruler: &Ruler, after_s: i64) {
        let past = crate::Data::past(&*self.data, self.runtime.handle()).unwrap();
        review(&ruler.shared, &self.data.late, &*past, self.set(after_s), &|_| true);
    }
}

/// One sample every ten seconds from 0 to 90: high ones from `high.0` to `high.1`, inclusive.
fn course(high: Option<(i64, i64)>) -> Samples {
    let value = |at: i64| if high.is_some_and(|(from, to)| (from..=to).contains(&at)) { 9.0 } else { 1.0 };
    (0..10).map(|step| (step * 10, value(step * 10))).collect()
}

fn rows(ruler: &Ruler) -> Vec<Row> {
    ruler.ledger().newest(1000).unwrap()
}

fn amendments(ruler: &Ruler) -> Vec<String> {
    rows(ruler).into_iter().filter(|row| row.stage == STAGE_AMENDMENT).map(|row| row.reason).collect()
}

/// Messages by integration, in the order in which they were made.
fn messages(ruler: &Ruler, integration: &str) -> Vec<Outgoing> {
    let keys = rows(ruler).into_iter().filter(|row| row.stage == STAGE_MESSAGE).filter_map(|row| row.message);
    let found = keys.filter_map(|key| ruler.shared.outbox.message(&key).unwrap());
    let mut found: Vec<Outgoing> = found.filter(|one| one.integration.contains(integration)).collect();
    found.dedup_by(|one, other| one.key == other.key);
    found
}

fn body(message: &Outgoing) -> &str {
    let Payload::Http(http) = &message.payload else { panic!("{message:?}") };
    &http.body
}

#[test]
fn an_alert_that_would_not_have_fired_is_written_down_once_and_its_message_edited() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40))));
    assert_eq!(ruler.shared.outbox.waiting(), 6, "firing and resolved, three integrations");
    bench.rewrite(&course(None));
    bench.late(&ruler, 100);
    bench.review(&ruler, 110);
    assert_eq!(amendments(&ruler), Vec::<String>::new(), "not quiet for long enough");
    bench.review(&ruler, 131);
    let found = amendments(&ruler);
    let [sentence] = &found[..] else { panic!("{found:?}") };
    assert!(sentence.starts_with("would not have fired from 2027-01-15T08:00:20"), "{sentence}");
    assert!(sentence.contains("by the rule as it is since 2027-01-15T08:00:00"), "{sentence}");
    // The message that is there is edited, and nothing else goes out.
    assert_eq!(ruler.shared.outbox.waiting(), 7);
    let slack = messages(&ruler, "slack");
    let [first, _, edit] = &slack[..] else { panic!("{slack:?}") };
    let Payload::Http(http) = &edit.payload else { panic!() };
    let refers = http.refers.as_ref().unwrap();
    assert_eq!((refers.key.as_str(), &refers.otherwise), (first.key.as_str(), &None));
    assert!(serde_json::to_string(&http.url).unwrap().ends_with("/api/chat.update\""), "{:?}", http.url);
    assert!(body(edit).contains("Amended: would not have fired"), "{}", body(edit));
    assert!(body(edit).contains("*Resolved*"), "{}", body(edit));
    assert_eq!((messages(&ruler, "pagerduty").len(), messages(&ruler, "webhook").len()), (2, 2));
    assert!(ruler.shared.notifier().tick(evaluate::timestamp(START_MS + 132_000)).pages.is_empty());
    // Whatever is told of it later says so.
    {
        let notifier = ruler.shared.notifier();
        let alert = notifier.state.store.iter().next().unwrap();
        assert!(alert.detail.amendment.as_deref().is_some_and(|text| text.starts_with("would not")), "{alert:?}");
    }
    bench.evaluate(&ruler, 140);
    bench.evaluate(&ruler, 210);
    let notifier = ruler.shared.notifier();
    assert!(notifier.state.store.iter().all(|alert| alert.detail.amendment.is_some()), "told again, with it");
}

#[test]
fn what_tells_of_the_present_only_is_not_judged_by_a_past_that_it_has_not() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40))));
    bench.data.late.present.lock().unwrap().insert("errors".to_owned());
    bench.rewrite(&Vec::new());
    bench.late(&ruler, 100);
    bench.review(&ruler, 131);
    assert_eq!(amendments(&ruler), Vec::<String>::new());
    assert!(ruler.shared.amends.metrics.skipped(Skipped::Present) > 0);
    assert_eq!(lock(&ruler.shared.amends.queue).pending.len(), 0, "nothing waits for it");
}

#[test]
fn late_data_that_comes_again_or_after_a_restart_says_nothing_twice_and_takes_back() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40))));
    bench.rewrite(&course(None));
    bench.late(&ruler, 95);
    drop(ruler);
    bench.set(96);
    let ruler = bench.open(RULES);
    bench.review(&ruler, 131);
    assert_eq!(amendments(&ruler).len(), 1, "what waited was kept");
    bench.late(&ruler, 132);
    bench.review(&ruler, 170);
    assert_eq!((amendments(&ruler).len(), ruler.shared.outbox.waiting()), (1, 7));
    drop(ruler);
    let ruler = bench.open(RULES);
    bench.late(&ruler, 180);
    bench.review(&ruler, 220);
    assert_eq!((amendments(&ruler).len(), ruler.shared.outbox.waiting()), (1, 7));
    bench.rewrite(&course(Some((0, 40))));
    bench.late(&ruler, 230);
    bench.review(&ruler, 270);
    let found = amendments(&ruler);
    assert!(found.len() == 2 && found[1].starts_with("stands after all"), "{found:?}");
    let slack = messages(&ruler, "slack");
    assert!(body(slack.last().unwrap()).contains("Amended: stands after all"), "{slack:?}");
    assert_eq!((slack.len(), ruler.shared.outbox.waiting()), (4, 8));
    bench.rewrite(&course(None));
    bench.late(&ruler, 280);
    bench.review(&ruler, 320);
    assert_eq!((amendments(&ruler).len(), ruler.shared.outbox.waiting()), (3, 9), "said a second time, edited again");
}

#[test]
fn an_alert_that_should_have_fired_is_for_the_record_only() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(None));
    bench.rewrite(&course(Some((10, 70))));
    bench.late(&ruler, 95);
    bench.review(&ruler, 130);
    let found = amendments(&ruler);
    assert!(found.len() == 1 && found[0].starts_with("should have fired"), "{found:?}");
    assert_eq!(ruler.shared.outbox.waiting(), 0);
    {
        let notifier = ruler.shared.notifier();
        assert_eq!(notifier.state.store.iter().count(), 0, "no alert is made of it");
        assert_eq!(notifier.state.groups.iter().count(), 0);
    }
    bench.rewrite(&course(None));
    bench.late(&ruler, 140);
    bench.review(&ruler, 180);
    let found = amendments(&ruler);
    assert!(found.len() == 2 && found[1].starts_with("would not have fired after all"), "{found:?}");
    assert_eq!(ruler.shared.outbox.waiting(), 0);
}

#[test]
fn other_instants_are_no_amendment() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((20, 60))));
    bench.late(&ruler, 95);
    bench.review(&ruler, 130);
    assert_eq!(amendments(&ruler), Vec::<String>::new(), "nothing has changed");
    // The numbers came ten seconds before they were looked at, and were looked at between the instants.
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    let samples = course(Some((20, 60)));
    for (after_s, errors) in &samples {
        bench.data.push(&[("__name__", "errors"), ("shop", "a")], START_MS + after_s * 1000, *errors);
        for off_s in [3, 4, 8] {
            bench.evaluate(&ruler, after_s + off_s);
        }
    }
    let shifted: Samples = samples.iter().map(|(after_s, errors)| (after_s + 9, *errors)).collect();
    bench.rewrite(&shifted);
    bench.late(&ruler, 105);
    bench.review(&ruler, 140);
    assert_eq!(amendments(&ruler), Vec::<String>::new());
    assert!(!messages(&ruler, "slack").is_empty(), "it has fired");
}

#[test]
fn what_fires_still_is_judged_when_it_has_ended() {
    let bench = Bench::new();
    let ruler = bench.open(&RULES.replace("for: 20s", "keep_firing_for: 5m"));
    bench.live(&ruler, &course(Some((20, 40))));
    bench.rewrite(&course(None));
    bench.late(&ruler, 95);
    bench.review(&ruler, 130);
    assert_eq!(amendments(&ruler), Vec::<String>::new());
    assert_eq!(lock(&ruler.shared.amends.queue).pending.len(), 1, "waits on");
    for after_s in (100..=400).step_by(10) {
        bench.evaluate(&ruler, after_s);
    }
    bench.review(&ruler, 800);
    let found = amendments(&ruler);
    assert!(found.len() == 1 && found[0].starts_with("would not have fired"), "{found:?}");
    assert!(lock(&ruler.shared.amends.queue).pending.is_empty());
}

#[test]
fn stops_and_edits_of_rules_are_not_late_data() {
    // Nobody looked while the numbers came down.
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40)))[..5].to_vec());
    drop(ruler);
    bench.set(85);
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(None)[9..].to_vec());
    bench.rewrite(&course(None));
    bench.late(&ruler, 95);
    bench.review(&ruler, 130);
    assert_eq!(amendments(&ruler), Vec::<String>::new());
    // The rule meant something else.
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40))));
    drop(ruler);
    let ruler = bench.open(&RULES.replace("> 5", "> 4"));
    bench.evaluate(&ruler, 95);
    bench.rewrite(&course(None));
    bench.late(&ruler, 96);
    bench.review(&ruler, 130);
    assert_eq!(amendments(&ruler), Vec::<String>::new());
    assert!(lock(&ruler.shared.amends.queue).pending.is_empty());
}

#[test]
fn bounds_are_counted_and_failures_tried_again_and_given_up() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.live(&ruler, &course(Some((0, 40))));
    bench.rewrite(&course(None));
    bench.late(&ruler, 95);
    let pending = lock(&ruler.shared.amends.queue).pending[0].clone();
    let past = crate::Data::past(&*bench.data, bench.runtime.handle()).unwrap();
    let units = ruler.shared.with_groups(|books| all_units(&ruler.shared, books));
    let watch = lock(&ruler.shared.amends.watches).of(units[0].meaning);
    let rows = ruler.shared.store.rule_rows(0, 1000).unwrap().unwrap();
    let around = look::Around {
        shared: &ruler.shared,
        unit: &units[0],
        watch: &watch,
        rows: &rows,
        past: &*past,
        now_ms: START_MS + 130_000,
    };
    let mut instants = 1;
    assert!(look::look(&around, &pending, &mut instants).unwrap().findings.is_empty(), "not looked at");
    assert_eq!(ruler.shared.amends.metrics.skipped(Skipped::Instants), 1);
    assert_eq!(ruler.shared.store.rule_rows(0, 1).unwrap(), None, "more rows than may be read");
    let failing = Pending { failures: ruler.shared.settings.amend.failures_max - 1, ..pending.clone() };
    let names = || Names::from([("shop".to_owned(), "Errors".to_owned())]);
    let now_ms = START_MS + 130_000;
    let left = remaining(&ruler.shared, &pending, names(), true, now_ms).unwrap();
    assert_eq!((left.failures, left.rules), (1, Some(names())));
    assert_eq!(remaining(&ruler.shared, &failing, names(), true, now_ms), None);
    assert_eq!(ruler.shared.amends.metrics.skipped(Skipped::Failing), 1);
}
