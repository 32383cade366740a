use super::*;
use crate::explain::explain;
use crate::testing::{Pushed, SetClock};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use tidewatch_alerting::rules::{LoadOptions, load};

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
        annotations: {summary: '{{ $labels.shop }} has {{ $value }} errors'}
"#;

const CONFIG: &str = r#"
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 1h}
receivers:
  - name: hook
    webhook_configs: [{url: 'http://127.0.0.1:9/', send_resolved: true}]
"#;

const START_MS: i64 = 1_800_000_000_000;

fn definition(rules: &str, config: &str) -> Definition {
    Definition {
        groups: load("shop.yml", rules, LoadOptions::default()).unwrap().groups,
        config: Config::load(config).unwrap(),
        templates: TemplateBook::default(),
    }
}

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
        let settings = RulerSettings::new(self.folder.path().to_owned());
        let (data, clock) = (Arc::clone(&self.data) as _, Arc::clone(&self.clock) as _);
        Ruler::open(settings, definition(rules, CONFIG), OutboxSettings::default(), data, clock, &Registry::new())
            .unwrap()
    }

    /// Evaluates and ticks at `after_s` seconds from the start, with the shop's errors.
    fn at(&self, ruler: &Ruler, after_s: i64, errors: f64) {
        let now_ms = START_MS + after_s * 1000;
        self.clock.0.store(now_ms, Ordering::SeqCst);
        self.data.push(&[("__name__", "errors"), ("shop", "a")], now_ms, errors);
        self.runtime.block_on(evaluate::evaluate(&ruler.shared, 0, now_ms));
        tell::tick(&ruler.shared, now_ms).unwrap();
    }
}

fn alerts(ruler: &Ruler) -> Vec<(String, &'static str)> {
    let notifier = ruler.shared.notifier();
    let now = timestamp(ruler.shared.clock.now_ms());
    notifier.state.store.iter().map(|alert| (alert.fingerprint().to_string(), alert.status(now))).collect()
}

fn stages(ruler: &Ruler, alert: &str) -> Vec<String> {
    ruler.shared.store.rows_of_alert(alert, 100).unwrap().into_iter().map(|row| row.stage).collect()
}

#[test]
fn what_a_rule_finds_is_told_once_and_told_to_be_over_and_explained() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.at(&ruler, 0, 9.0);
    bench.at(&ruler, 10, 9.0);
    assert_eq!((alerts(&ruler), ruler.shared.outbox.waiting()), (vec![], 0), "pending");
    bench.at(&ruler, 20, 8.0);
    let told = alerts(&ruler);
    let [(fingerprint, "firing")] = &told[..] else { panic!("{told:?}") };
    assert_eq!(ruler.shared.outbox.waiting(), 1);
    bench.at(&ruler, 30, 7.0);
    assert_eq!(ruler.shared.outbox.waiting(), 1, "told already");
    bench.at(&ruler, 40, 1.0);
    bench.at(&ruler, 90, 1.0);
    assert_eq!(alerts(&ruler)[0].1, "resolved");
    assert_eq!(ruler.shared.outbox.waiting(), 2);
    let explained = explain(&ruler.shared, fingerprint).unwrap();
    let text = explained.to_string();
    let steps = explained.history.iter().filter(|row| row.stage == "rule");
    let steps: Vec<(&str, &str)> =
        steps.map(|row| (row.from.as_deref().unwrap(), row.to.as_deref().unwrap())).collect();
    assert_eq!(steps, [("inactive", "pending"), ("pending", "firing"), ("firing", "inactive")], "{text}");
    assert_eq!(explained.messages.len(), 2, "{text}");
    for part in ["has held for 20s (for: 20s)", "hook/webhook[0]", "value 8"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let kept = bench.data.kept.lock().unwrap();
    let names: std::collections::BTreeSet<&str> = kept.iter().map(|sample| sample.labels.metric_name()).collect();
    assert_eq!(names, ["ALERTS", "ALERTS_FOR_STATE", "shop:errors:max"].into());
}

#[test]
fn what_another_group_recorded_from_incomplete_windows_ends_no_alert_not_even_after_a_restart() {
    let rules = "
groups:
  - {name: recorded, interval: 10s, rules: [{record: 'shop:errors:max', expr: max by (shop) (errors)}]}
  - {name: told, interval: 10s, rules: [{alert: Errors, expr: 'shop:errors:max > 5'}]}";
    let bench = Bench::new();
    let both = |ruler: &Ruler, after_s: i64, errors: f64| {
        bench.at(ruler, after_s, errors);
        bench.runtime.block_on(evaluate::evaluate(&ruler.shared, 1, START_MS + after_s * 1000));
        alerts(ruler)[0].1
    };
    let ruler = bench.open(rules);
    assert_eq!(both(&ruler, 0, 9.0), "firing");
    bench.data.partial.lock().unwrap().insert("errors".to_owned());
    assert_eq!(both(&ruler, 10, 1.0), "firing", "more errors may come");
    drop(ruler);
    let ruler = bench.open(rules);
    bench.clock.0.store(START_MS + 11_000, Ordering::SeqCst);
    bench.runtime.block_on(evaluate::evaluate(&ruler.shared, 1, START_MS + 11_000));
    assert_eq!(alerts(&ruler)[0].1, "firing", "what is read is still of then");
    bench.data.partial.lock().unwrap().clear();
    assert_eq!(both(&ruler, 20, 1.0), "resolved");
}

#[test]
fn a_restart_goes_on_where_it_was_and_tells_nothing_twice() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    bench.at(&ruler, 0, 9.0);
    bench.at(&ruler, 10, 9.0);
    drop(ruler);
    let ruler = bench.open(RULES);
    // As Prometheus: what a stop of less than an interval interrupts is not held up.
    bench.at(&ruler, 20, 9.0);
    let (fingerprint, status) = alerts(&ruler).remove(0);
    assert_eq!(status, "firing");
    let before = stages(&ruler, &fingerprint);
    drop(ruler);
    let ruler = bench.open(RULES);
    assert_eq!(ruler.shared.outbox.waiting(), 1);
    bench.at(&ruler, 30, 9.0);
    assert_eq!(ruler.shared.outbox.waiting(), 1);
    assert_eq!(stages(&ruler, &fingerprint), before);
}

#[test]
fn a_tick_that_was_not_written_down_comes_again_with_the_same_messages() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    [0, 10].into_iter().for_each(|after_s| bench.at(&ruler, after_s, 9.0));
    // The state before the tick is what a kill after the outbox's write leaves.
    let before = ruler.shared.notifier().state.clone();
    bench.at(&ruler, 20, 9.0);
    let told = ruler.shared.notifier().state.store.iter().next().cloned().unwrap();
    let mut state = before;
    {
        let now = timestamp(START_MS + 20_000);
        let mut notifier = Notifier::new(Config::load(CONFIG).unwrap(), state.clone(), now);
        notifier.receive(vec![told], now).into_iter().for_each(|result| _ = result.unwrap());
        state = notifier.state;
    }
    ruler.shared.notifier().state = state;
    tell::tick(&ruler.shared, START_MS + 21_000).unwrap();
    assert_eq!(ruler.shared.outbox.waiting(), 1, "the outbox knows the key");
}

#[test]
fn alerts_of_a_rule_that_is_gone_resolve_and_others_go_on() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    [0, 10, 20].into_iter().for_each(|after_s| bench.at(&ruler, after_s, 9.0));
    drop(ruler);
    bench.clock.0.store(START_MS + 25_000, Ordering::SeqCst);
    let ruler = bench.open(&RULES.replace("has {{ $value }}", "counts {{ $value }}"));
    assert_eq!(alerts(&ruler)[0].1, "firing", "an edited text changes no meaning");
    drop(ruler);
    let ruler = bench.open(&RULES.replace("alert: Errors", "alert: Mistakes"));
    assert_eq!(alerts(&ruler)[0].1, "resolved");
    tell::tick(&ruler.shared, START_MS + 90_000).unwrap();
    assert_eq!(ruler.shared.outbox.waiting(), 2, "and that is told");
}

/// Waits for what running rules do at the times that a test sets.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited 30 s for {what}");
}

#[test]
fn other_rules_go_on_where_these_are_while_they_run() {
    let bench = Bench::new();
    let ruler = bench.open(RULES);
    [0, 10, 20].into_iter().for_each(|after_s| bench.at(&ruler, after_s, 9.0));
    let fingerprint = alerts(&ruler).remove(0).0;
    let shared = Arc::clone(&ruler.shared);
    let known = || -> Vec<(String, &'static str, i64)> {
        let now = timestamp(shared.clock.now_ms());
        let of = |alert: &Alert| (alert.name().to_owned(), alert.status(now), alert.starts_at.timestamp_millis());
        shared.notifier().state.store.iter().map(of).collect()
    };
    let messages = || -> Vec<String> {
        let rows = shared.store.rows_of_alert(&fingerprint, 100).unwrap();
        rows.into_iter().filter(|row| row.stage == crate::ledger::STAGE_MESSAGE).filter_map(|row| row.to).collect()
    };
    let names = || -> Vec<String> {
        let of = |book: &GroupBook| book.group.rules.iter().map(|rule| rule.name().to_string()).collect::<Vec<_>>();
        shared.with_groups(|books| books.iter().flat_map(of).collect())
    };
    let text = || {
        shared.with_groups(|books| {
            let instances = &books[0].state.rules[1].state.instances;
            instances.values().map(|instance| instance.annotations[0].1.clone()).collect::<Vec<_>>()
        })
    };
    let set = |after_s: i64| {
        let now_ms = START_MS + after_s * 1000;
        bench.data.push(&[("__name__", "errors"), ("shop", "a")], now_ms, 9.0);
        bench.clock.0.store(now_ms, Ordering::SeqCst);
    };
    let is_evaluated = |after_s: i64| {
        let last_ms = Some(START_MS + after_s * 1000);
        shared.with_groups(|books| books.iter().all(|book| book.state.last_ms >= last_ms))
    };
    bench.runtime.block_on(async {
        let mut running = ruler.start();
        let before = known();
        let more =
            RULES.replace("has {{ $value }}", "counts {{ $value }}") + "      - {alert: More, expr: errors > 100}\n";
        running.redefine(definition(&more, CONFIG)).await.unwrap();
        assert_eq!(names(), ["shop:errors:max", "Errors", "More"]);
        set(30);
        until("an evaluation of the new rules", || is_evaluated(30)).await;
        assert_eq!(text(), ["a counts 9 errors"]);
        assert_eq!(
            (known(), messages()),
            (before.clone(), vec!["firing".to_owned()]),
            "it fires on and is not told anew"
        );

        let broken = CONFIG.replace("url: 'http://127.0.0.1:9/'", "url_file: /nowhere/at/all");
        let refused = running.redefine(definition(RULES, &broken)).await;
        assert!(matches!(refused, Err(RulerError::Configuration(_))), "{refused:?}");
        assert_eq!((names().len(), known()), (3, before), "everything stays as it is");
        set(40);
        // By the clock, at an instant of the group's own.
        until("an evaluation after a refusal", || is_evaluated(31)).await;

        running.redefine(definition(&RULES.replace("alert: Errors", "alert: Mistakes"), CONFIG)).await.unwrap();
        assert_eq!(known()[0].1, "resolved", "its rule is gone");
        set(90);
        until("its end to be told", || messages() == ["firing", "resolved"]).await;
        until("an evaluation of the rule that came", || is_evaluated(81)).await;
        set(120);
        until("the new rule to fire", || known().iter().any(|one| (one.0.as_str(), one.1) == ("Mistakes", "firing")))
            .await;
        running.stop().await.unwrap();
    });
}

#[test]
fn a_full_outbox_holds_messages_back_and_loses_none() {
    let bench = Bench::new();
    let folder: &Path = bench.folder.path();
    let full = OutboxSettings { messages_max: 0, ..OutboxSettings::default() };
    let (data, clock) = (Arc::clone(&bench.data) as _, Arc::clone(&bench.clock) as _);
    let settings = RulerSettings::new(folder.to_owned());
    let ruler = Ruler::open(settings, definition(RULES, CONFIG), full, data, clock, &Registry::new()).unwrap();
    for after_s in [0, 10, 20] {
        let now_ms = START_MS + after_s * 1000;
        bench.clock.0.store(now_ms, Ordering::SeqCst);
        bench.data.push(&[("__name__", "errors"), ("shop", "a")], now_ms, 9.0);
        bench.runtime.block_on(evaluate::evaluate(&ruler.shared, 0, now_ms));
    }
    assert!(tell::tick(&ruler.shared, START_MS + 20_000).unwrap_err().contains("the outbox is full"));
    drop(ruler);
    let ruler = bench.open(RULES);
    tell::tick(&ruler.shared, START_MS + 22_000).unwrap();
    assert_eq!(ruler.shared.outbox.waiting(), 1);
}
