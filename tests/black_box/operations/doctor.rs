//! `tidewatch doctor`: all is well, and each thing broken.

use crate::support::{PROGRAM, Sink, Tidewatch, pack, python, repository, skipped, write_settings};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tidewatch_simulate::DemoBroker;

/// Mail servers and an HTTPS server of others (`notify/tests/servers/receivers.py`). They end with their input.
struct Receivers {
    child: Child,
    ports: Value,
    authority: String,
    _folder: tempfile::TempDir,
}

impl Receivers {
    fn start() -> Option<Self> {
        let python = python()?;
        let there = Command::new(&python).args(["-c", "import aiosmtpd, cryptography"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "aiosmtpd is missing and CI=true");
            skipped("aiosmtpd", "run tests/truth/venv.sh, or set TIDEWATCH_PYTHON");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(python);
        command.arg(repository().join("notify/tests/servers/receivers.py")).arg(folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let first: Value = serde_json::from_str(&line).unwrap();
        let authority = first["authority"].as_str().unwrap().to_owned();
        Some(Self { child, ports: first["ports"].clone(), authority, _folder: folder })
    }

    fn at(&self, server: &str) -> String {
        format!("localhost:{}", self.ports[server])
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// An address at which nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Exit status, and the checks by name: status, what was found, and the hint.
type Answer = (bool, BTreeMap<String, (String, String, String)>);

fn doctor(config: &Path) -> Answer {
    let arguments = ["doctor", "--format", "json", "-c", config.to_str().unwrap()];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = answer["checks"].as_array().unwrap().iter();
    let checks = checks.map(|c| (text(c, "check"), (text(c, "status"), text(c, "found"), text(c, "hint")))).collect();
    (output.status.success(), checks)
}

/// The check has failed, and so has the command; what was found has these words, and there is a hint.
fn fails(config: &Path, check: &str, words: &[&str]) {
    let (is_well, checks) = doctor(config);
    let (status, found, hint) = checks.get(check).unwrap_or_else(|| panic!("no {check} in {checks:#?}"));
    assert!(!is_well && status == "failed" && !hint.is_empty(), "{check}: {status}: {found}\n{hint}\n{checks:#?}");
    for word in words {
        assert!(found.contains(word), "{check}: {word} is not in {found}");
    }
}

/// The settings of a process that has everything, and its routes.
struct World {
    settings: String,
    routes: String,
}

impl World {
    fn new(kafka: &str, mail: &Receivers, hook: &str) -> Self {
        let settings = format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [alerting]\nconfig = \"routes.yml\"\nrules = [\"rules.yml\"]\n\
             [kafka.properties]\n\"bootstrap.servers\" = \"{kafka}\"\n",
            pack("shop")
        );
        let ca = &mail.authority;
        let routes = format!(
            "route: {{receiver: all}}\n\
             receivers:\n\
             - name: all\n  \
               email_configs:\n  \
               - {{to: a@example.com, from: b@example.com, smarthost: '{smtp}', auth_username: alerts, auth_password: 'open sesame', tls_config: {{ca_file: {ca}}}}}\n  \
               webhook_configs:\n  \
               - {{url: 'http://{hook}/hook'}}\n  \
               - {{url: 'https://{https}/hook', http_config: {{tls_config: {{ca_file: {ca}}}}}}}\n  \
               slack_configs:\n  \
               - {{channel: '#alerts', app_token: xoxb-1, app_url: 'http://{hook}/api/chat.postMessage'}}\n",
            smtp = mail.at("starttls"),
            https = mail.at("https"),
        );
        Self { settings, routes }
    }

    fn write(&self, folder: &Path) -> PathBuf {
        std::fs::write(folder.join("rules.yml"), "groups: [{name: g, rules: [{alert: a, expr: 'vector(1)'}]}]\n")
            .unwrap();
        std::fs::write(folder.join("routes.yml"), &self.routes).unwrap();
        write_settings(folder, &self.settings)
    }

    fn with(&self, from: &str, to: &str) -> Self {
        assert!(self.settings.contains(from) || self.routes.contains(from), "{from}");
        Self { settings: self.settings.replace(from, to), routes: self.routes.replace(from, to) }
    }
}

#[test]
fn what_works_is_well_and_each_thing_broken_is_named() {
    let Some(mail) = Receivers::start() else { return };
    let broker = DemoBroker::start(&[("shop", 2)]).unwrap();
    let hook = Sink::start();
    hook.say(r#"{"ok":true,"team":"Shop","user":"tidewatch"}"#);
    let world = World::new(broker.bootstrap_servers(), &mail, &hook.address);
    let folder = tempfile::tempdir().unwrap();
    let config = world.write(folder.path());

    let (is_well, checks) = doctor(&config);
    assert!(is_well, "{checks:#?}");
    for (check, word) in [
        ("settings", "tidewatch.toml"),
        ("packs", "tables"),
        ("rules", "1 groups of rules, 1 receivers"),
        ("store", "refuses to overwrite"),
        ("clock", "agree"),
        ("kafka brokers", "1 broker: 127.0.0.1:"),
        ("kafka topic shop", "2 partitions, 0 records to read"),
        ("receiver all/email[0]", "STARTTLS, logged in as alerts"),
        ("receiver all/webhook[0]", "connected to 127.0.0.1:"),
        ("receiver all/webhook[1]", "its certificate is trusted"),
        ("receiver all/slack[0]", "the token is tidewatch's, of Shop"),
        ("disk of tables", "MiB are free"),
        ("folder of pushed events", "is made with the first start"),
    ] {
        let (status, found, _) = checks.get(check).unwrap_or_else(|| panic!("no {check} in {checks:#?}"));
        assert!(status == "ok" && found.contains(word), "{check}: {status}: {found}");
    }
    let sent: Vec<String> = hook.received().iter().map(|one| one.path.clone()).collect();
    assert_eq!(sent, ["/api/auth.test"], "nothing is told to anybody");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("data")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    // Beside a running process.
    let mut process = Tidewatch::run(&config);
    process.address();
    let (_, checks) = doctor(&config);
    assert!(checks["folder of pushed events"].1.contains("is in use"), "{checks:#?}");
    process.stop();

    let broken = |from: &str, to: &str, check: &str, words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        fails(&world.with(from, to).write(folder.path()), check, words);
    };
    broken("[storage]", "[storrage]", "settings", &["storrage"]);
    broken("/shop\"]", "/nowhere\"]", "packs", &["nowhere"]);
    broken("location = \"data\"", "location = \"routes.yml\"", "store", &["routes.yml"]);
    broken(broker.bootstrap_servers(), &nobody(), "kafka brokers", &["refused"]);
    broken(&mail.at("starttls"), &nobody(), "receiver all/email[0]", &["connecting"]);
    broken(&mail.at("starttls"), &mail.at("plain"), "receiver all/email[0]", &["STARTTLS"]);
    broken("open sesame", "open barley", "receiver all/email[0]", &["AUTH"]);
    broken(
        &format!("http://{}/hook", hook.address),
        &format!("http://{}/hook", nobody()),
        "receiver all/webhook[0]",
        &["no connection"],
    );
    broken(
        &format!("http://{}/hook", hook.address),
        "http://nowhere.invalid/hook",
        "receiver all/webhook[0]",
        &["is not found"],
    );
    broken(&mail.at("https"), &mail.at("starttls"), "receiver all/webhook[1]", &["no TLS"]);
    broken(", http_config: {tls_config: {ca_file: ", ", max_alerts: 0} #", "receiver all/webhook[1]", &["no TLS"]);
    broken("rules.yml", "missing.yml", "rules", &["missing.yml"]);
    broken(
        "[alerting]",
        &format!("[probes]\ndisk_free_min = {}\n[alerting]", i64::MAX),
        "disk of tables",
        &["MiB are free"],
    );
    hook.say(r#"{"ok":false,"error":"invalid_auth"}"#);
    fails(&config, "receiver all/slack[0]", &["invalid_auth"]);
}

#[test]
fn a_topic_that_is_missing_and_one_per_line() {
    let folder = tempfile::tempdir().unwrap();
    let broker = DemoBroker::start(&[("elsewhere", 1)]).unwrap();
    let settings = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n",
        pack("shop"),
        broker.bootstrap_servers()
    );
    let config = write_settings(folder.path(), &settings);
    fails(&config, "kafka topic shop", &[]);
    let output = Command::new(PROGRAM).args(["doctor", "-c", config.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    assert!(text.contains("ok       store: ") && text.contains("failed   kafka topic shop: "), "{text}");
    assert!(text.contains("\n         hint: ") && text.trim_end().ends_with("skipped"), "{text}");
}

#[test]
fn a_look_that_takes_too_long_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections and says nothing, as a store behind a wrong address may.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"s3://bucket/t\"\n[storage.options]\naws_endpoint = \"http://{}\"\n\
         aws_allow_http = \"true\"\naws_access_key_id = \"a\"\naws_secret_access_key = \"b\"\naws_region = \"c\"\n",
        pack("shop"),
        silent.local_addr().unwrap()
    );
    let config = write_settings(folder.path(), &settings);
    let started = std::time::Instant::now();
    fails(&config, "store", &["no answer within 5 s"]);
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
