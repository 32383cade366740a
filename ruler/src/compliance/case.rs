//! Runs a story: rules, samples, and what must be seen at every evaluation.
//!
//! | line | says |
//! |---|---|
//! | `rules` … `end` | rules of the story instead of the specification's |
//! | `group NAME` | begins with a group of them; it is evaluated at its interval |
//! | `alert NAME {labels}` | names an alert |
//! | `says NAME ANNOTATION TEXT` | its annotation; `<value>` stands for its value |
//! | `load SERIES VALUExCOUNT …` | a sample per evaluation; `_` is none |
//! | `is NAME FROM UNTIL STATE ACTIVE-AT VALUE` | the alert from one evaluation to another, inclusive; else there is none |
//! | `sent NAME AT STATE STARTS-AT ENDS-AT` | what is forwarded; `FROM..UNTIL/STEP` several times, `+4m` after it was sent |
//! | `until TIME` | evaluates, and checks everything |
//!
//! Times are durations since the first evaluation.

use crate::begin::Ruler;
use crate::evaluate::timestamp;
use crate::testing::bench::{Bench, NOBODY, groups};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_alerting::rules::{Group, Rule};
use tidewatch_notify::SecretUrl;
use tidewatch_promql::{Grammar, Query, Sample, Value as Answer};

/// 2027-01-15T08:00:00Z, a multiple of every interval of the stories.
const START_MS: i64 = 1_800_000_000_000;

#[derive(Default)]
struct Named {
    labels: Map<String, Value>,
    says: BTreeMap<String, String>,
}

struct Stretch {
    alert: String,
    from_ms: i64,
    until_ms: i64,
    state: String,
    active_ms: i64,
    value: String,
}

struct Sent {
    alert: String,
    at_ms: Vec<i64>,
    is_firing: bool,
    starts_ms: i64,
    /// Absolute, or after it was sent.
    ends: Result<i64, i64>,
}

/// Labels of a series, and its samples.
type Load = (Vec<(String, String)>, Vec<Option<f64>>);

#[derive(Default)]
struct Story {
    rules: Option<String>,
    group: String,
    alerts: BTreeMap<String, Named>,
    loads: Vec<Load>,
    stretches: Vec<Stretch>,
    sent: Vec<Sent>,
}

/// Runs the stories of a file.
pub fn run(text: &str) {
    let mut story = Story::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (rest, mut words) = (rest.trim(), rest.split_whitespace());
        let mut next = || words.next().unwrap_or_else(|| panic!("too short: {line}"));
        match word {
            "" | "#" => {}
            "rules" => {
                let own: Vec<&str> = lines.by_ref().take_while(|line| *line != "end").collect();
                story.rules = Some(own.join("\n"));
            }
            "group" => story = Story { rules: story.rules.take(), group: rest.to_owned(), ..Story::default() },
            "alert" => {
                let (name, labels) = rest.split_once(' ').unwrap();
                let labels = series(labels).into_iter().map(|(name, value)| (name, json!(value))).collect();
                story.alerts.insert(name.to_owned(), Named { labels, says: BTreeMap::new() });
            }
            "says" => {
                let parts: Vec<&str> = rest.splitn(3, ' ').collect();
                story.alerts.get_mut(parts[0]).unwrap().says.insert(parts[1].to_owned(), parts[2].to_owned());
            }
            "load" => {
                let (labels, values) = rest.split_at(rest.find('}').unwrap() + 1);
                story.loads.push((series(labels), values.split_whitespace().flat_map(repeated).collect()));
            }
            "is" => {
                let (alert, from_ms, until_ms) = (next().to_owned(), ms(next()), ms(next()));
                let (state, active_ms, value) = (next().to_owned(), ms(next()), next().to_owned());
                story.stretches.push(Stretch { alert, from_ms, until_ms, state, active_ms, value });
            }
            "sent" => {
                let (alert, at_ms, is_firing) = (next().to_owned(), times(next()), next() == "firing");
                let (starts_ms, ends) = (ms(next()), next());
                let ends = ends.strip_prefix('+').map(ms).map_or_else(|| Ok(ms(ends)), Err);
                story.sent.push(Sent { alert, at_ms, is_firing, starts_ms, ends });
            }
            "until" => story.play(ms(next())),
            other => panic!("{other}: {line}"),
        }
    }
}

impl Story {
    fn play(&self, until_ms: i64) {
        let Some(rules) = self.rules.clone().or_else(super::rules) else { return };
        let group = groups(&rules).into_iter().find(|group| *group.name == *self.group).unwrap();
        let interval_ms = group.interval_ms.unwrap_or(60_000);
        let mut bench = Bench::new(START_MS);
        let ruler = bench.open(vec![group.clone()], NOBODY, |settings| {
            settings.forward.alertmanagers = vec![SecretUrl::parse("http://127.0.0.1:9/").unwrap()];
        });
        assert_eq!(bench.get(&ruler, "/api/v1/rules")["groups"][0]["interval"], interval_ms as f64 / 1000.0);
        let mut seen = BTreeSet::new();
        for (step, after_ms) in (0..=until_ms).step_by(usize::try_from(interval_ms).unwrap()).enumerate() {
            for (labels, values) in &self.loads {
                let Some(Some(value)) = values.get(step) else { continue };
                let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
                bench.data.push(&labels, START_MS + after_ms, *value);
            }
            bench.evaluate(&ruler, START_MS + after_ms);
            let at = Instant { story: self, after_ms };
            at.api(&bench, &ruler, &group);
            at.series(&bench, &ruler);
            at.forwarded(&ruler);
            seen.insert(after_ms);
        }
        // What is expected at a time that nobody looked at is a mistake of the story.
        let expected = self.sent.iter().flat_map(|sent| &sent.at_ms).chain(self.stretches.iter().map(|s| &s.from_ms));
        expected.for_each(|at_ms| assert!(seen.contains(at_ms), "{}: nothing was evaluated at {at_ms} ms", self.group));
    }
}

/// One evaluation.
struct Instant<'a> {
    story: &'a Story,
    after_ms: i64,
}

impl Instant<'_> {
    fn time(&self) -> String {
        format!("{} at {} s", self.story.group, self.after_ms / 1000)
    }

    fn expected(&self) -> impl Iterator<Item = (&Stretch, &Named)> {
        let now = |stretch: &&Stretch| (stretch.from_ms..=stretch.until_ms).contains(&self.after_ms);
        self.story.stretches.iter().filter(now).map(|stretch| (stretch, &self.story.alerts[&stretch.alert]))
    }

    fn annotations(named: &Named, value: &str) -> Value {
        named.says.iter().map(|(name, text)| (name.clone(), json!(text.replace("<value>", value)))).collect()
    }

    /// `GET /api/v1/rules` and `GET /api/v1/alerts`.
    fn api(&self, bench: &Bench, ruler: &Ruler, group: &Group) {
        let (time, now) = (self.time(), millis(START_MS + self.after_ms));
        let found = bench.get(ruler, "/api/v1/rules")["groups"][0].take();
        assert_eq!((&found["name"], &found["lastEvaluation"]), (&json!(self.story.group), &json!(now)), "{time}");
        let mut all = Vec::new();
        for (rule, found) in group.rules.iter().zip(found["rules"].as_array().unwrap()) {
            let Rule::Alerting(rule) = rule else { continue };
            let of_rule = self.expected().filter(|(_, named)| named.labels["alertname"] == *rule.name);
            let alerts: Vec<Value> = of_rule
                .map(|(stretch, named)| {
                    json!({
                        "labels": named.labels,
                        "annotations": Self::annotations(named, &stretch.value),
                        "state": stretch.state,
                        "activeAt": millis(START_MS + stretch.active_ms),
                        "value": stretch.value,
                    })
                })
                .collect();
            let is = |state: &str| alerts.iter().any(|alert| alert["state"] == state);
            let state = ["firing", "pending"].into_iter().find(|state| is(state)).unwrap_or("inactive");
            let texts = |list: &[(String, tidewatch_alerting::template::alert::AlertTemplate)]| -> Value {
                list.iter().map(|(name, template)| (name.clone(), json!(template.text()))).collect()
            };
            let expected = [
                ("type", json!("alerting")),
                ("name", json!(*rule.name)),
                ("query", json!(rule.query.text())),
                ("duration", json!(rule.for_ms as f64 / 1000.0)),
                ("labels", texts(&rule.labels)),
                ("annotations", texts(&rule.annotations)),
                ("lastEvaluation", json!(now)),
                ("health", json!("ok")),
                ("state", json!(state)),
                ("lastError", Value::Null),
            ];
            for (key, value) in expected {
                assert_eq!(found[key], value, "{time}: {key} of {}", rule.name);
            }
            assert!(found["evaluationTime"].is_number(), "{time}: {found}");
            // As the file has it, where quotes within quotes are doubled.
            let written = self.story.rules.clone().or_else(super::rules).unwrap().replace("''", "'");
            assert!(written.contains(found["query"].as_str().unwrap()), "{time}: {}", found["query"]);
            let mut found = found["alerts"].clone();
            for alert in found.as_array_mut().unwrap() {
                // A key of Prometheus' that the specification does not know.
                alert.as_object_mut().unwrap().remove("keepFiringSince");
            }
            assert_eq!(sorted(found), sorted(json!(alerts)), "{time}: alerts of {}", rule.name);
            all.extend(alerts);
        }
        let mut found = bench.get(ruler, "/api/v1/alerts")["alerts"].take();
        for alert in found.as_array_mut().unwrap() {
            alert.as_object_mut().unwrap().remove("keepFiringSince");
        }
        assert_eq!(sorted(found), sorted(json!(all)), "{time}: all alerts");
    }

    /// `ALERTS` and `ALERTS_FOR_STATE`, as later rules see them.
    fn series(&self, bench: &Bench, ruler: &Ruler) {
        let of = |name: &str, state: Option<&str>, named: &Named| {
            let mut labels = named.labels.clone();
            labels.insert("__name__".to_owned(), json!(name));
            labels.extend(state.map(|state| ("alertstate".to_owned(), json!(state))));
            json!(labels)
        };
        let alerts = self.expected().map(|(stretch, named)| (of("ALERTS", Some(&stretch.state), named), 1.0));
        let for_state = self.expected().map(|(stretch, named)| {
            (of("ALERTS_FOR_STATE", None, named), ((START_MS + stretch.active_ms) / 1000) as f64)
        });
        let pairs = |list: Vec<(Value, f64)>| sorted(list.into_iter().map(|(l, v)| json!([l, v])).collect());
        for (query, expected) in [("ALERTS", pairs(alerts.collect())), ("ALERTS_FOR_STATE", pairs(for_state.collect()))]
        {
            assert_eq!(pairs(ask(bench, ruler, query, START_MS + self.after_ms)), expected, "{}: {query}", self.time());
        }
    }

    /// What other Alertmanagers are told.
    fn forwarded(&self, ruler: &Ruler) {
        let now = self.story.sent.iter().filter(|sent| sent.at_ms.contains(&self.after_ms));
        let expected: Vec<Value> = now
            .map(|sent| {
                let named = &self.story.alerts[&sent.alert];
                let ends_ms = sent.ends.unwrap_or_else(|after_ms| self.after_ms + after_ms);
                assert_eq!(sent.is_firing, ends_ms > self.after_ms, "{}", self.time());
                // An alert that is over says what it said last.
                let mut known = self.story.stretches.iter().filter(|stretch| stretch.alert == sent.alert);
                let last = known.rfind(|stretch| stretch.from_ms <= self.after_ms).unwrap();
                json!({
                    "labels": named.labels,
                    "annotations": Self::annotations(named, &last.value),
                    "startsAt": millis(START_MS + sent.starts_ms),
                    "endsAt": millis(START_MS + ends_ms),
                })
            })
            .collect();
        let mut found = ruler.shared().forward.taken();
        for alert in &mut found {
            let url = alert.as_object_mut().unwrap().remove("generatorURL").unwrap();
            assert!(url.as_str().unwrap().contains("/graph?g0.expr="), "{url}");
            for key in ["startsAt", "endsAt"] {
                // As RFC 3339 allows it: with or without milliseconds.
                let time = chrono::DateTime::parse_from_rfc3339(alert[key].as_str().unwrap()).unwrap();
                alert[key] = json!(millis(time.timestamp_millis()));
            }
        }
        assert_eq!(sorted(json!(found)), sorted(json!(expected)), "{}: sent", self.time());
    }
}

/// Labels and values of a query, with what rules have just written.
pub fn ask(bench: &Bench, ruler: &Ruler, query: &str, now_ms: i64) -> Vec<(Value, f64)> {
    let shared = ruler.shared();
    let plan = Query::parse(query, Grammar::default()).unwrap().instant(now_ms, &shared.data.options());
    let own = Arc::clone(&shared.recent) as _;
    let (answer, _) = bench.runtime.block_on(shared.data.answer(plan, own)).unwrap();
    let Answer::Vector(samples) = answer.value else { panic!("{query}") };
    let of = |sample: tidewatch_promql::VectorSample| {
        let Sample::Float(value) = sample.value else { panic!("{query}") };
        assert_eq!(sample.time_ms, now_ms);
        let labels: Map<String, Value> =
            sample.labels.iter().map(|label| (label.name.to_string(), json!(*label.value))).collect();
        (json!(labels), value)
    };
    samples.into_iter().map(of).collect()
}

/// RFC 3339 with milliseconds.
fn millis(time_ms: i64) -> String {
    timestamp(time_ms).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn sorted(list: Value) -> Vec<String> {
    let mut list: Vec<String> = list.as_array().unwrap().iter().map(Value::to_string).collect();
    list.sort();
    list
}

/// `name{a="b", …}` as labels.
fn series(text: &str) -> Vec<(String, String)> {
    let (name, labels) = text.trim_end_matches('}').split_once('{').unwrap();
    let labels = labels.split(", ").map(|pair| pair.split_once('=').unwrap());
    let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    let name = Some(name).filter(|name| !name.is_empty()).map(|name| ("__name__".to_owned(), name.to_owned()));
    labels.chain(name).collect()
}

fn repeated(text: &str) -> Vec<Option<f64>> {
    let (value, count) = text.split_once('x').unwrap_or((text, "1"));
    vec![value.parse().ok(); count.parse().unwrap()]
}

fn times(text: &str) -> Vec<i64> {
    let Some((from, rest)) = text.split_once("..") else { return vec![ms(text)] };
    let (until, step) = rest.split_once('/').unwrap();
    (ms(from)..=ms(until)).step_by(usize::try_from(ms(step)).unwrap()).collect()
}

/// `1m30s` in milliseconds.
fn ms(text: &str) -> i64 {
    let mut total = 0;
    let mut number = 0;
    for c in text.chars() {
        match c {
            '0'..='9' => number = number * 10 + i64::from(c.to_digit(10).unwrap()),
            'm' => total += std::mem::take(&mut number) * 60_000,
            's' => total += std::mem::take(&mut number) * 1000,
            other => panic!("{other} in {text}"),
        }
    }
    assert_eq!(number, 0, "{text}: expected a unit");
    total
}
