//! The routes that are shipped for the alerts of the packs (`deploy/routes/alertmanager.yml`): whoever fills in nothing
//! but receivers has what the catalogue of alerts promises, and amtool reads the file alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chrono::{TimeDelta, TimeZone, Utc};
use serde_yaml_ng::Value;
use tidewatch_alerting::config::{Config, without_extensions};
use tidewatch_alerting::escalation::incident::Policies;
use tidewatch_alerting::inhibit::Inhibitor;
use tidewatch_alerting::route::{Alert, Labels, Notifier, NotifierState, RouteTree, Timestamp};

use super::components::amtool;

const CATALOGUE: &str = include_str!("policies.txt");
/// What tells that a service is slow or fails.
const SLOW_OR_FAULTY: [&str; 7] = [
    "api_latency_high",
    "dashboard_errors",
    "error_budget_burn",
    "error_rate_critical",
    "error_rate_warning",
    "response_time_high",
    "response_time_target",
];
const SPIKES: [&str; 3] = ["orders_spike", "viral_spike", "viral_spike_major"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped() -> String {
    std::fs::read_to_string(repository().join("deploy/routes/alertmanager.yml")).unwrap()
}

fn loaded(text: &str) -> Config {
    Config::load(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The file with every setting that stands behind a `#`: no blank follows that, other than in a comment.
fn filled() -> String {
    let uncommented = |line: &str| match line.split_once('#') {
        Some((indent, rest)) if indent.trim().is_empty() && !rest.is_empty() && !rest.starts_with(' ') => {
            format!("{indent}{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    shipped().lines().map(uncommented).collect()
}

/// The file with a webhook for every receiver but `nobody`.
fn hooked() -> Config {
    let hook = |line: &str| match line.strip_prefix("  - name: ") {
        Some(name) if name != "nobody" => {
            format!("{line}\n    webhook_configs: [{{ url: 'http://127.0.0.1:9/{name}' }}]\n")
        }
        _ => format!("{line}\n"),
    };
    loaded(&shipped().lines().map(hook).collect::<String>())
}

fn at(seconds: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, 4, 12, 0, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.0.insert(name.to_string(), value.to_string());
    labels
}

/// Files of the packs.
fn pack_files(wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let entries = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let packs = entries(repository().join("packs")).filter(|path| path.is_dir());
    let mut files: Vec<PathBuf> = packs.flat_map(entries).collect();
    files.retain(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(&wanted));
    files.sort();
    files.iter().map(|file| serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_sequence().into_iter().flatten()
}

/// Text values of a mapping; what is a template is that of some series.
fn labels_of(value: &Value) -> impl Iterator<Item = (String, String)> {
    let pair = |(name, value): (&Value, &Value)| {
        let value = value.as_str().unwrap();
        let value = if value.contains("{{") { "shop" } else { value };
        (name.as_str().unwrap().to_string(), value.to_string())
    };
    value.as_mapping().unwrap().iter().map(pair)
}

/// The labels that the rules of all packs give their alerts, with a tenant.
fn alerts() -> Vec<Labels> {
    let mut all = Vec::new();
    for file in pack_files(|name| name == "rules.yaml" || name == "detectors.yaml") {
        for rule in list(&file, "groups").flat_map(|group| list(group, "rules")) {
            let Some(name) = rule.get("alert").and_then(Value::as_str) else { continue };
            let mut labels = Labels::from([("alertname", name), ("tenant", "creator:c1")]);
            labels.0.extend(labels_of(&rule["labels"]));
            all.push(labels);
        }
    }
    assert!(all.len() > 100, "{} alerts", all.len());
    all
}

/// What the catalogue says of an alert.
struct Row {
    policy: &'static str,
    owners: BTreeSet<&'static str>,
    /// Who owns it in some packs only.
    others: BTreeSet<&'static str>,
}

/// By name and severity.
fn catalogue() -> BTreeMap<(&'static str, &'static str), Row> {
    let mut rows = BTreeMap::new();
    for line in CATALOGUE.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split(' ').collect();
        let (others, owners): (Vec<&str>, Vec<&str>) =
            words[3..].iter().copied().partition(|word| word.starts_with('('));
        let others = others.iter().map(|word| word.trim_matches(['(', ')'])).collect();
        let row = Row { policy: words[2], owners: owners.into_iter().collect(), others };
        assert!(rows.insert((words[0], words[1]), row).is_none(), "{line}");
    }
    assert!(rows.len() > 90, "{} rows", rows.len());
    rows
}

/// Who is told at once.
fn told_at_once<'a>(policy: &str, owners: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let also: &[&'a str] = match policy {
        _ if owners.contains("watchdog") => return BTreeSet::from(["watchdog"]),
        "E0" => return BTreeSet::from(["nobody"]),
        "E1" => return BTreeSet::from(["team"]),
        "E2" => &["team"],
        "E3" => &["page", "TA", "SA"],
        other => panic!("policy {other:?}"),
    };
    owners.iter().chain(also).copied().collect()
}

#[test]
fn every_alert_of_the_packs_is_told_whom_the_catalogue_names() {
    let config = loaded(&shipped());
    let (tree, policies) = (RouteTree::new(&config), Policies::new(&config));
    let (alerts, rows) = (alerts(), catalogue());
    let mut met = BTreeSet::new();
    for labels in &alerts {
        let (name, severity, policy) = (labels.value("alertname"), labels.value("severity"), labels.value("policy"));
        let owners: BTreeSet<&str> = labels.value("receivers").split(',').collect();
        if let Some(row) = rows.get(&(name, severity)) {
            met.insert((name, severity));
            assert_eq!(policy, row.policy, "{labels}");
            let missing: Vec<_> = row.owners.difference(&owners).collect();
            let surplus: Vec<_> =
                owners.iter().filter(|o| !row.owners.contains(**o) && !row.others.contains(**o)).collect();
            assert!(missing.is_empty() && surplus.is_empty(), "{labels}: without {missing:?}, with {surplus:?}");
        }
        let usual = [("info", "E0"), ("warning", "E1"), ("error", "E2"), ("critical", "E3")];
        assert!(usual.contains(&(severity, policy)), "{labels}");

        let told = tree.receivers(labels);
        let once: BTreeSet<&str> = told.iter().copied().collect();
        assert_eq!(once, told_at_once(policy, &owners), "{labels}");
        assert_eq!(told.len(), once.len(), "{labels}: {told:?}");
        let is_watched = owners.contains("watchdog");
        for route in tree.matching(labels) {
            let together = route.settings.group_by.iter().map(String::as_str).collect::<Vec<_>>();
            assert_eq!(together, if is_watched { vec!["alertname"] } else { vec!["class", "tenant"] }, "{labels}");
            let wait_ms = if is_watched || policy == "E3" { 0 } else { 30_000 };
            assert_eq!(route.settings.group_wait_ms, wait_ms, "{labels}");
            let interval_ms = if is_watched || name == "payment_failure" { 60_000 } else { 30_000 };
            assert_eq!(route.settings.group_interval_ms, interval_ms, "{labels}");
        }
        let by_hand = labels.value("class") == "security" || name == "payment_failure";
        let expected = (policy != "E0").then_some((policy, by_hand && policy == "E3"));
        assert_eq!(policies.of(labels).map(|(policy, by_hand)| (policy.name.as_str(), by_hand)), expected, "{labels}");
        let owning = policies.owners_of(labels);
        assert_eq!(owning.iter().map(String::as_str).collect::<BTreeSet<_>>(), owners, "{labels}");
    }
    let absent: Vec<_> = rows.keys().filter(|key| !met.contains(*key)).collect();
    assert!(absent.is_empty(), "no pack has {absent:?}");
}

/// Names of those among `others` that an alert hides.
fn hidden<'a>(inhibitor: &Inhibitor, source: &Labels, others: &'a [Labels]) -> BTreeSet<&'a str> {
    let firing = [Alert::firing(source.clone(), at(0))];
    let sources = inhibitor.sources(firing.iter(), at(1));
    let muted = others.iter().filter(|labels| sources.muting(labels).is_some());
    muted.map(|labels| labels.value("alertname")).collect()
}

#[test]
fn a_service_that_is_down_hides_that_it_is_slow_and_a_spike_hides_the_fall_after_it() {
    let inhibitor = Inhibitor::new(&loaded(&shipped()));
    let all: Vec<Labels> = alerts().iter().map(|labels| with(labels, "service", "shop")).collect();
    let mut sources = BTreeSet::new();
    for source in &all {
        let name = source.value("alertname");
        let expected = match name {
            "service_down" => BTreeSet::from(SLOW_OR_FAULTY),
            name if SPIKES.contains(&name) => BTreeSet::from(["order_rate_drop"]),
            _ => BTreeSet::new(),
        };
        assert_eq!(hidden(&inhibitor, source, &all), expected, "{source}");
        assert!(hidden(&inhibitor, &with(source, "tenant", "creator:c2"), &all).is_empty(), "{source}: other tenants");
        if !expected.is_empty() {
            sources.insert(name);
        }
        if name == "service_down" {
            assert!(hidden(&inhibitor, &with(source, "service", "other"), &all).is_empty(), "{source}: other services");
            // What is not about a service is not about the same one.
            let nameless: Vec<Labels> = all.iter().map(|labels| with(labels, "service", "")).collect();
            assert!(hidden(&inhibitor, &with(source, "service", ""), &nameless).is_empty(), "{source}");
        }
    }
    assert_eq!(sources.len(), 1 + SPIKES.len(), "{sources:?}");
}

/// The unit tests of the packs, which promtool passes as well, show that both sides have the label.
#[test]
fn alerts_of_services_say_which_service() {
    let mut seen = BTreeSet::new();
    for file in pack_files(|name| name.ends_with("_test.yaml")) {
        for case in list(&file, "tests").flat_map(|test| list(test, "alert_rule_test")) {
            let name = case["alertname"].as_str().unwrap();
            let Some(about) = SLOW_OR_FAULTY.into_iter().chain(["service_down"]).find(|known| *known == name) else {
                continue;
            };
            for alert in list(case, "exp_alerts") {
                let labels: BTreeMap<String, String> = labels_of(&alert["exp_labels"]).collect();
                assert!(labels.get("service").is_some_and(|service| !service.is_empty()), "{name}: {labels:?}");
                seen.insert(about);
            }
        }
    }
    assert_eq!(seen.len(), SLOW_OR_FAULTY.len() + 1, "{seen:?}");
}

/// Who hears of an alert that fires for a day and that nobody acknowledges.
struct Story {
    /// After how many seconds the first message goes out, and to whom.
    first: (i64, BTreeSet<String>),
    /// Minutes after the first message, whom a level tells, whether the alert is overdue from then on.
    levels: Vec<(i64, String, bool)>,
}

fn story<const N: usize>(labels: [(&str, &str); N]) -> Story {
    let mut notifier = Notifier::new(hooked(), NotifierState::default(), at(0));
    let labels = with(&with(&Labels::from(labels), "tenant", "creator:c1"), "class", "some");
    let alert = Alert { ends_at: Some(at(86_400)), ..Alert::firing(labels, at(0)) };
    notifier.receive(vec![alert], at(0)).remove(0).unwrap();
    let (mut first, mut levels) = (None, Vec::new());
    for seconds in (0..10 * 3600).step_by(30) {
        let ticked = notifier.tick(at(seconds));
        let usual = ticked.notifications.iter().filter(|one| one.escalation_level.is_none());
        let told: BTreeSet<String> = usual.map(|one| one.integration.receiver.clone()).collect();
        if first.is_none() && !told.is_empty() {
            first = Some((seconds, told));
        }
        let since = first.as_ref().map_or(0, |(seconds, _)| *seconds);
        let pages = ticked.pages.into_iter();
        levels.extend(
            pages.map(|page| ((page.due_at - at(since)).num_minutes(), page.receivers.join(" "), page.overdue)),
        );
    }
    Story { first: first.unwrap(), levels }
}

/// E3's levels, when it begins after so many minutes.
fn e3(minutes: i64) -> [(i64, String, bool); 3] {
    let level = |after: i64, receiver: &str, overdue| (minutes + after, receiver.to_string(), overdue);
    [level(5, "second-contact", false), level(15, "SA", false), level(30, "all-admins", true)]
}

fn level(minutes: i64, receivers: &str) -> (i64, String, bool) {
    (minutes, receivers.to_string(), false)
}

fn all_of(receivers: &str) -> BTreeSet<String> {
    receivers.split(' ').map(str::to_string).collect()
}

#[test]
fn whoever_does_not_acknowledge_lets_it_rise() {
    let warning = story([("alertname", "low_stock"), ("severity", "warning"), ("policy", "E1"), ("receivers", "CR")]);
    assert_eq!(warning.first, (30, all_of("team")));
    let rises = [level(30, "CR"), level(240, "CR team"), level(255, "SA"), level(270, "CR page TA SA")];
    assert_eq!(warning.levels, rises.into_iter().chain(e3(270)).collect::<Vec<_>>());

    let error =
        story([("alertname", "shop_disconnected"), ("severity", "error"), ("policy", "E2"), ("receivers", "CR,SUP")]);
    assert_eq!(error.first, (30, all_of("team CR SUP")));
    let rises = [level(15, "SA"), level(30, "CR SUP page TA SA")];
    assert_eq!(error.levels, rises.into_iter().chain(e3(30)).collect::<Vec<_>>());

    let critical =
        story([("alertname", "oversell"), ("severity", "critical"), ("policy", "E3"), ("receivers", "CR,TA")]);
    assert_eq!(critical.first, (0, all_of("page TA SA CR")));
    assert_eq!(critical.levels, e3(0));

    // Rules of one's own, which have but a severity.
    let own = story([("alertname", "Own"), ("severity", "critical")]);
    assert_eq!((own.first, own.levels), ((0, all_of("page TA SA")), e3(0).to_vec()));
    let own = story([("alertname", "Own"), ("severity", "warning")]);
    assert_eq!((own.first, own.levels[0].clone()), ((30, all_of("team")), level(30, "TA")));
}

#[test]
fn what_nobody_need_act_upon_is_in_the_digest_of_its_owners() {
    for (receivers, digests) in
        [("TA", vec!["TA"]), ("SEC,TA", vec!["SEC", "TA"]), ("CR", vec![]), ("watchdog", vec![])]
    {
        let labels =
            Labels::from([("alertname", "A"), ("severity", "info"), ("policy", "E0"), ("receivers", receivers)]);
        let mut notifier = Notifier::new(hooked(), NotifierState::default(), at(0));
        let alert = Alert { ends_at: Some(at(86_400)), ..Alert::firing(labels, at(0)) };
        notifier.receive(vec![alert], at(0)).remove(0).unwrap();
        // Noon it is, and the digest goes out at eight.
        let ticked = [60, 20 * 3600 - 1, 20 * 3600].map(|seconds| notifier.tick(at(seconds)));
        assert!(ticked[..2].iter().all(|ticked| ticked.digests.is_empty()), "{receivers}");
        let mailed: BTreeSet<&str> = ticked[2].digests.iter().map(|mail| mail.receiver.as_str()).collect();
        assert_eq!(mailed, digests.into_iter().collect::<BTreeSet<_>>(), "{receivers}");
        let told = ticked.iter().flat_map(|ticked| &ticked.notifications);
        let told: BTreeSet<&str> = told.map(|one| one.integration.receiver.as_str()).collect();
        let expected: BTreeSet<&str> = [receivers].into_iter().filter(|name| *name == "watchdog").collect();
        assert_eq!(told, expected, "{receivers}");
    }
}

#[test]
fn every_receiver_can_be_filled_in_by_taking_signs_away() {
    let receivers = loaded(&filled()).receivers;
    for receiver in &receivers {
        assert_eq!(receiver.integrations().is_empty(), receiver.name == "nobody", "{}", receiver.name);
    }
    let as_shipped = loaded(&shipped()).receivers;
    assert_eq!(as_shipped.len(), receivers.len());
    assert!(as_shipped.iter().all(|receiver| receiver.integrations().is_empty()), "no secret need be there at first");
}

fn run(amtool: &Path, arguments: &[&str]) -> Output {
    Command::new(amtool).args(arguments).output().unwrap()
}

#[test]
fn amtool_checks_and_routes_it_alike() {
    let Some(amtool) = amtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertmanager.yml").display().to_string();
    let checked = |text: &str| {
        std::fs::write(&file, without_extensions(text)).unwrap();
        let output = run(&amtool, &["check-config", &file]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    let (succeeds, said) = checked(&filled());
    // Debian's version does not know addresses of webhooks in files.
    let unknown: Vec<&str> = said.lines().filter(|line| line.contains("not found in type")).collect();
    let is_old = !unknown.is_empty() && unknown.iter().all(|line| line.contains("field url_file "));
    assert!(succeeds || is_old, "{said}");
    let (succeeds, said) = checked(&shipped());
    assert!(succeeds, "{said}");

    let tree = RouteTree::new(&loaded(&shipped()));
    let mut sets: BTreeSet<Labels> =
        ["info", "warning", "error", "critical", "none"].map(|own| Labels::from([("severity", own)])).into();
    for mut labels in alerts() {
        let is_payment = labels.value("alertname") == "payment_failure";
        labels.0.retain(|name, _| match name.as_str() {
            "severity" | "policy" | "receivers" => true,
            "alertname" => is_payment,
            _ => false,
        });
        sets.insert(labels);
    }
    assert!(sets.len() > 40, "{} sets", sets.len());
    let flag = format!("--config.file={file}");
    for labels in sets {
        let pairs: Vec<String> = labels.0.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let arguments: Vec<&str> =
            ["config", "routes", "test", &flag].into_iter().chain(pairs.iter().map(String::as_str)).collect();
        let output = run(&amtool, &arguments);
        let theirs = String::from_utf8_lossy(&output.stdout).trim().to_string();
        assert_eq!(tree.receivers(&labels).join(","), theirs, "{labels}: {output:?}");
    }
}
