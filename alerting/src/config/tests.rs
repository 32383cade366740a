use std::path::{Path as FilePath, PathBuf};

use super::*;
use crate::test_support::{alertmanager_data, amtools, config, run, scratch};

/// Files that Alertmanager refuses; every other one it takes.
const BAD: [&str; 27] = [
    "conf.bad.yml",
    "conf.mattermost-both-webhook-url-and-file.yml",
    "conf.mattermost-no-webhook-url.yml",
    "conf.mattermost-valid-receiver-both-webhook-url-and-file.yml",
    "conf.nil-match_re-route.yml",
    "conf.nil-source_match_re-inhibition.yml",
    "conf.nil-target_match_re-inhibition.yml",
    "conf.opsgenie-both-file-and-apikey.yml",
    "conf.opsgenie-default-apikey-old-team.yml",
    "conf.opsgenie-no-apikey.yml",
    "conf.rocketchat-both-token-and-tokenfile.yml",
    "conf.rocketchat-both-tokenid-and-tokenidfile.yml",
    "conf.rocketchat-no-token.yml",
    "conf.slack-both-file-and-token.yml",
    "conf.slack-both-file-and-url.yml",
    "conf.slack-both-url-and-token.yml",
    "conf.slack-no-api-url-or-token.yml",
    "conf.slack-update-message-and-webhook.yml",
    "conf.smtp-both-password-and-file.yml",
    "conf.sns-invalid.yml",
    "conf.telegram-both-bot-token-and-file.yml",
    "conf.telegram-no-bot-token.yml",
    "conf.telegram-valid-receiver-both-bot-token-and-file.yml",
    "conf.victorops-both-file-and-apikey.yml",
    "conf.victorops-no-apikey.yml",
    "conf.wechat-both-file-and-secret.yml",
    "conf.wechat-no-api-secret.yml",
];

fn files() -> Vec<PathBuf> {
    let Some(data) = alertmanager_data() else { return Vec::new() };
    let folders = ["config/testdata", "cli/testdata", "doc/examples"].map(|folder| data.join(folder));
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(files.len() > 50);
    files
}

fn name(file: &FilePath) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn good_files_load_and_bad_ones_are_refused_with_a_place() {
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let bad = BAD.contains(&name(&file));
        match Config::load(&text) {
            Ok(config) => {
                assert!(!bad, "{} was taken", name(&file));
                let shown = format!("{config:?}{}{}", config.redacted(), serde_json::to_string(&config).unwrap());
                for secret in ["mysecret", "asd132", "qwe456", "token123", "xoxb-", "secret_ket", "myprecious"] {
                    assert!(!shown.contains(secret), "{} shows {secret}", name(&file));
                }
            }
            Err(error) => {
                assert!(bad, "{} was refused: {error}", name(&file));
                assert!(error.position.is_some_and(|(line, _)| line >= 1), "{}: {error:?}", name(&file));
            }
        }
    }
}

/// `Some(true)` when amtool takes it, `None` when it is too old to know the keys.
fn verdict(amtool: &FilePath, file: &FilePath) -> Option<bool> {
    let output = run(amtool, &["check-config", file.to_str().unwrap()]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let unknown = said.contains("not found in type") && !said.contains("field teams not found");
    (!unknown).then_some(output.status.success())
}

#[test]
fn amtool_has_the_same_verdicts() {
    let written = scratch("verdicts");
    let mut all = files();
    // Templates that a file names must exist for amtool.
    for (at, text) in OWN.iter().enumerate() {
        let file = written.join(format!("own-{at}.yml"));
        std::fs::write(&file, text).unwrap();
        all.push(file);
    }
    for amtool in amtools() {
        let mut compared = 0;
        for file in &all {
            let text = std::fs::read_to_string(file).unwrap();
            let ours = Config::load(&text);
            let old = !amtool.to_string_lossy().contains("0.34");
            // Rules that were added after Debian's version.
            let newer = ["telegram-", "wechat-both", "wechat-default", "slack-update", "slack-both-url-and-token"];
            if old && newer.iter().any(|part| name(file).contains(part)) {
                continue;
            }
            if let Some(theirs) = verdict(&amtool, file) {
                assert_eq!(ours.is_ok(), theirs, "{} {}: {:?}", amtool.display(), name(file), ours.err());
                compared += 1;
            }
        }
        assert!(compared > 40, "{compared} files compared");
    }
    std::fs::remove_dir_all(written).unwrap();
}

/// Configurations of our own, each with one thing that is right or wrong.
const OWN: [&str; 24] = [
    "route: {receiver: a}\nreceivers: [{name: a}]\n",
    "receivers: [{name: a}]\n",
    "route: {receiver: b}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, continue: true}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, matchers: [a=b]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_by: [x, x]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_by: [x, '...']}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_wait: 1x}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{matchers: ['a=~\"[\"']}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{matchers: ['{a=\"b\",c!~\"d|e\"}', 'x!=y']}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{mute_time_intervals: [n]}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{mute_time_intervals: [n]}]}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, \
     time_intervals: [{times: [{start_time: '09:00', end_time: '24:00'}], weekdays: ['monday:friday', Sunday], \
     days_of_month: ['1:5', '-3:-1'], months: ['january:3', december], years: ['2020:2030'], \
     location: Europe/Berlin}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, time_intervals: [{weekdays: ['friday:monday']}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, time_intervals: [{days_of_month: ['-1:1']}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, time_intervals: [{times: [{start_time: '9:00', end_time: '10:00'}]}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, time_intervals: [{location: Nowhere/City}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}, {name: a}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'ftp://x/'}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{send_resolved: no, max_alerts: 3, url: 'http://x/', http_config: {basic_auth: {username: u, password: p}}}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x/', http_config: {basic_auth: {username: u}, bearer_token: t}}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{description: x}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, email_configs: [{to: x@y}]}]\nglobal: {smtp_smarthost: 'nowhere', smtp_from: z@y}\n",
    "route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{source_matchers: [a=b], target_matchers: ['c=~d'], equal: [x, y]}]\n",
];

#[test]
fn mistakes_have_their_place() {
    let text = "route:\n  receiver: a\n  routes:\n    - receiver: nobody\nreceivers:\n  - name: a\n";
    let error = Config::load(text).unwrap_err();
    assert_eq!((error.path.as_str(), error.position), ("route.routes[0].receiver", Some((4, 17))), "{error}");
    assert!(error.to_string().contains("nobody") && error.to_string().contains("receivers"), "{error}");
    let text = "route:\n  receiver: a\nreceivers:\n  - name: a\n    opsgenie_configs:\n      - api_key: s3cr3t\n        team: x\n";
    let error = Config::load(text).unwrap_err();
    assert_eq!((error.path.as_str(), error.position.unwrap().0), ("receivers[0].opsgenie_configs[0].team", 7));
    let text = "route:\n  receiver: a\n  group_wait: soon\nreceivers:\n  - name: a\n";
    let error = Config::load(text).unwrap_err();
    assert_eq!((error.path.as_str(), error.position.unwrap().0), ("route.group_wait", 3), "{error}");
}

const EXTENDED: &str = r#"
route: {receiver: a}
receivers: [{name: a, webhook_configs: [{url: 'http://x/'}]}, {name: b}]
tidewatch:
  owners: {label: team, otherwise: [b]}
  escalation:
    - name: E1
      matchers: [severity="warning"]
      levels: [{after: 30m, receivers: [b]}, {after: 4h, raise_to: E2}]
    - name: E2
      matchers: [severity="error"]
      levels: [{after: 15m, receivers: [b]}, {after: 20m, owners: true}]
  digests:
    - {name: daily, receiver: b, at: "08:00", location: Europe/Berlin}
  preferences:
    - user: anna
      channels: {warning: [slack]}
      quiet_hours: {times: [{start_time: "22:00", end_time: "24:00"}]}
  flapping: {changes: 4, within: 10m, stable_for: 5m}
  webhook_signatures: [{receiver: a, key: hush}]
  generic: [{receiver: b, url: "https://sms.example.org/", headers: {X-Key: hush}, form: {to: "1"}}]
# The end.
templates: [x]
"#;

#[test]
fn extensions_are_read_and_cut_out() {
    let loaded = config(EXTENDED);
    assert_eq!(loaded.tidewatch.escalation.len(), 2);
    assert_eq!(loaded.integrations("b")[0].0.to_string(), "b/generic[0]");
    assert!(!format!("{loaded:?}{}", loaded.redacted()).contains("hush"));
    let theirs = without_extensions(EXTENDED);
    assert!(!theirs.contains("escalation") && theirs.contains("templates: [x]"), "{theirs}");
    Config::load(&theirs).unwrap();
    for (right, wrong) in [
        ("raise_to: E2", "raise_to: E9"),
        ("label: team, ", ""),
        ("otherwise: [b]", "otherwise: []"),
        ("otherwise: [b]", "otherwise: [c]"),
        ("owners: {label: team, otherwise: [b]}", "owners: null"),
        ("receivers: [b]}, ", "receivers: [c]}, "),
        ("changes: 4", "changes: 1"),
        ("at: \"08:00\"", "at: \"8\""),
        ("key: hush}]", "key: hush, key_file: x}]"),
        ("Europe/Berlin", "Europe/Nowhere"),
        ("user: anna", "user: ''"),
    ] {
        let error = Config::load(&EXTENDED.replace(right, wrong)).unwrap_err();
        assert!(error.path.starts_with("tidewatch"), "{error}");
    }
}

#[test]
fn what_is_not_served_here_is_said() {
    let text = "route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{webhook_url: 'http://hush/'}]}]\n";
    let loaded = config(text);
    assert!(loaded.unsupported()[0].contains("not supported here: forward to an Alertmanager"));
    assert!(!format!("{loaded:?}").contains("hush"));
}

#[test]
fn go_durations_are_read() {
    for (text, nanoseconds) in
        [("1m30s", 90_000_000_000), ("1.5h", 5_400_000_000_000), ("250ms", 250_000_000), ("0", 0)]
    {
        assert_eq!(GoDuration::parse(text).map(|it| it.nanoseconds), Ok(nanoseconds));
    }
    for bad in ["", "1", "1d", "s", "1..5s"] {
        assert!(GoDuration::parse(bad).is_err(), "{bad}");
    }
}
