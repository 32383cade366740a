//! Against aiosmtpd and Python's own HTTPS server, with certificates made for the run.

use crate::support::{message, ms, quick, start};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tidewatch_notify::mail::{SmtpAuth, SmtpSettings, SmtpTls, message_id};
use tidewatch_notify::message::{Envelope, MailContent};
use tidewatch_notify::*;

const LONG: Duration = Duration::from_secs(120);

/// Python with the packages of `tests/truth/requirements.txt`; missing, the test is skipped, or fails under `CI=true`.
fn python() -> Option<PathBuf> {
    let cache = std::env::var("XDG_CACHE_HOME")
        .map_or_else(|_| PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let usual = cache.join("tidewatch/venv/bin/python");
    let python = std::env::var("TIDEWATCH_PYTHON").map_or(usual, PathBuf::from);
    let imports = Command::new(&python).args(["-c", "import aiosmtpd, cryptography"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let missing = "Python with aiosmtpd is missing: run tests/truth/venv.sh, or set TIDEWATCH_PYTHON";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}, and CI=true");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {missing}");
    None
}

/// The servers of `receivers.py`. They end when this is dropped, as their input does.
struct Receivers {
    child: Child,
    /// Read all the time: a server that cannot write stands still.
    lines: mpsc::Receiver<String>,
    ports: Value,
    authority: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Receivers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Receivers {
    fn start(fail_percent: u32) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/receivers.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path()).arg(fail_percent.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let (line, lines) = mpsc::sync_channel(10_000);
        std::thread::spawn(move || out.map_while(Result::ok).try_for_each(|text| line.send(text)));
        let first: Value = serde_json::from_str(&lines.recv().expect("receivers.py ended")).unwrap();
        let authority = PathBuf::from(first["authority"].as_str().unwrap());
        Some(Self { child, lines, ports: first["ports"].clone(), authority, _folder: folder })
    }

    fn port(&self, server: &str) -> u16 {
        u16::try_from(self.ports[server].as_u64().unwrap()).unwrap()
    }

    fn smtp(&self, server: &str, encryption: SmtpTls) -> SmtpSettings {
        let auth = SmtpAuth { user: "alerts".to_owned(), password: Secret::new("open sesame") };
        SmtpSettings {
            host: "localhost".to_owned(),
            port: self.port(server),
            encryption,
            tls: TlsSettings { ca_file: Some(self.authority.clone()), skip_verify: false },
            auth: Some(auth).filter(|_| encryption != SmtpTls::None),
            timeout: ms(10_000),
            ..SmtpSettings::default()
        }
    }

    /// The next mail that a server has accepted.
    fn mail(&self) -> Value {
        serde_json::from_str(&self.lines.recv().expect("receivers.py ended")).unwrap()
    }

    /// Ends the servers and gives all mails that were not read yet.
    fn rest(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect()
    }
}

fn integration(smtp: SmtpSettings) -> IntegrationSettings {
    IntegrationSettings { mail: Some(smtp), ..quick("http://127.0.0.1:9/") }
}

fn parts() -> MailParts {
    MailParts {
        from: "Tidewatch <alerts@shop.example>".to_owned(),
        to: vec!["Zoë Ops <ops@shop.example>".to_owned()],
        subject: "Lieferungen verspätet: 12 Bestellungen".to_owned(),
        text: Some("Zwölf Bestellungen.\n.\n..Ende".to_owned()),
        html: Some("<p>Zwölf Bestellungen</p>".to_owned()),
        in_reply_to: Some("<first@shop.example>".to_owned()),
        references: vec!["<zero@shop.example>".to_owned(), "<first@shop.example>".to_owned()],
        ..MailParts::default()
    }
}

fn mail(key: &str, order_key: &str, to: &[&str]) -> Outgoing {
    let envelope =
        Envelope { from: "bounces@shop.example".to_owned(), to: to.iter().map(|to| (*to).to_owned()).collect() };
    let payload = Payload::Mail(MailMessage { envelope, content: MailContent::Parts(parts()) });
    Outgoing { payload, ..message(key, order_key, "mail", "") }
}

/// Sends the messages; gives what was written down of them.
async fn send(settings: IntegrationSettings, messages: &[Outgoing]) -> Vec<Attempt> {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("mail", settings)]);
    running.outbox.enqueue(messages).unwrap();
    running.until_empty(LONG).await;
    running.finish().await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_arrive_as_they_were_meant_over_every_kind_of_connection() {
    let Some(receivers) = Receivers::start(0) else { return };
    let kinds = [
        ("plain", SmtpTls::None),
        ("starttls", SmtpTls::StartTls),
        ("login", SmtpTls::StartTls),
        ("implicit", SmtpTls::Implicit),
    ];
    for (server, encryption) in kinds {
        let settings = integration(receivers.smtp(server, encryption));
        let attempts = send(settings, &[mail("k-1", "group", &["ops@shop.example", "blind@shop.example"])]).await;
        assert_eq!(attempts.len(), 1, "{server}: {attempts:?}");
        assert_eq!((attempts[0].outcome, attempts[0].code), (Outcome::Delivered, Some(250)), "{server}");
        assert!(attempts[0].detail.contains("queued"), "{attempts:?}");
        let mail = receivers.mail();
        assert_eq!(mail["server"], server);
        assert_eq!(mail["tls"], encryption != SmtpTls::None);
        if encryption != SmtpTls::None {
            assert_eq!(mail["user"], "alerts", "{mail}");
        }
        assert_eq!(mail["from"], "bounces@shop.example");
        assert_eq!(mail["to"], serde_json::json!(["ops@shop.example", "blind@shop.example"]));
        let headers = &mail["headers"];
        assert_eq!(headers["Subject"], parts().subject);
        assert_eq!(headers["From"], parts().from);
        assert_eq!(headers["To"], parts().to[0]);
        assert_eq!(headers["Message-ID"], message_id("k-1", &parts().from));
        assert_eq!(headers["In-Reply-To"], "<first@shop.example>");
        assert_eq!(headers["References"], "<zero@shop.example> <first@shop.example>");
        assert!(!headers.to_string().contains("blind@"), "{headers}");
        assert_eq!(mail["content_type"], "multipart/alternative");
        let text = |i: usize| mail["parts"][i]["text"].as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned();
        assert_eq!((text(0), text(1)), (parts().text.unwrap(), parts().html.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recipient_is_settled_on_its_own() {
    let Some(receivers) = Receivers::start(0) else { return };
    let settings = integration(receivers.smtp("plain", SmtpTls::None));
    let (a, refused, later) = ("a@shop.example", "refused@shop.example", "later@shop.example");
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("mail", settings)]);
    running.outbox.enqueue(&[mail("k-1", "g", &[a, refused, later]), mail("k-2", "h", &[refused])]).unwrap();
    running.until_empty(LONG).await;
    let explained = running.outbox.explain("k-1").unwrap().unwrap();
    assert!(matches!(explained.phase, Phase::Delivered { .. }), "{explained:?}");
    let recipients = explained.recipients;
    assert_eq!((recipients.accepted, recipients.refused), (vec![a.into(), later.into()], vec![refused.into()]));
    let tries: Vec<_> = explained.tries.iter().map(|t| t.outcome).collect();
    assert_eq!(tries, [Outcome::Deferred, Outcome::Delivered]);
    assert!(explained.tries[0].detail.contains("550"), "{:?}", explained.tries);
    let refused_all = running.outbox.explain("k-2").unwrap().unwrap();
    assert!(matches!(refused_all.phase, Phase::GivenUp { reason: GiveUpReason::Refused, .. }));
    running.stop().await;
    let got: Vec<Value> = receivers.rest();
    let to: Vec<_> = got.iter().map(|mail| mail["to"].clone()).collect();
    assert_eq!(to, [serde_json::json!([a]), serde_json::json!([later])], "nobody gets it twice");
    assert_eq!(got[0]["headers"]["Message-ID"], got[1]["headers"]["Message-ID"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_gets_every_mail_in_order_over_few_connections() {
    const MAILS: usize = 300;
    let Some(receivers) = Receivers::start(30) else { return };
    let mut settings = integration(receivers.smtp("starttls", SmtpTls::StartTls));
    settings.delivery.concurrency_max = 4;
    let mails: Vec<_> = (0..MAILS)
        .map(|n| mail(&format!("m-{n}"), &format!("group {}", n % 20), &[&format!("n{n}@shop.example")]))
        .collect();
    let attempts = send(settings, &mails).await;
    let delivered = attempts.iter().filter(|a| a.outcome == Outcome::Delivered).count();
    assert_eq!(delivered, MAILS);
    assert!(attempts.len() > MAILS + MAILS / 8, "{} attempts are too few to prove anything", attempts.len());
    let got = receivers.rest();
    let mut last_of_group = BTreeMap::new();
    let (mut numbers, mut ids, mut peers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for mail in &got {
        let to = mail["to"][0].as_str().unwrap();
        let number: usize = to[1..].split('@').next().unwrap().parse().unwrap();
        let id = message_id(&format!("m-{number}"), &parts().from);
        assert_eq!(mail["headers"]["Message-ID"], id);
        numbers.insert(number);
        ids.insert(id);
        peers.insert(mail["peer"].to_string());
        let before = last_of_group.insert(number % 20, number);
        assert!(before.is_none_or(|before| before <= number), "{number} after {before:?}");
    }
    assert_eq!((numbers.len(), ids.len()), (MAILS, MAILS));
    assert!(peers.len() < MAILS / 2, "{} connections for {MAILS} mails", peers.len());
    let twice = got.len() - MAILS;
    println!(
        "{MAILS} mails: {} attempts, {} connections that delivered, {twice} taken twice",
        attempts.len(),
        peers.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_said_and_given_up_after_a_few_tries() {
    let Some(receivers) = Receivers::start(0) else { return };
    let good = receivers.smtp("starttls", SmtpTls::StartTls);
    let wrong_password = SmtpAuth { user: "alerts".to_owned(), password: Secret::new("close sesame") };
    let cases = [
        ("AUTH", SmtpSettings { auth: Some(wrong_password), ..good.clone() }),
        ("STARTTLS", SmtpSettings { tls: TlsSettings::default(), ..good.clone() }),
        ("STARTTLS", SmtpSettings { port: receivers.port("plain"), ..good.clone() }),
        ("connecting", SmtpSettings { port: receivers.port("plain"), encryption: SmtpTls::Implicit, ..good.clone() }),
    ];
    for (stage, smtp) in cases {
        let mut settings = integration(smtp);
        settings.delivery.misconfigured_tries_max = 2;
        let attempts = send(settings, &[mail("k-1", "g", &["ops@shop.example"])]).await;
        assert_eq!(attempts.len(), 2, "{attempts:?}");
        assert!(attempts[0].detail.starts_with(stage), "{stage}: {attempts:?}");
        assert!(!format!("{attempts:?}").contains("sesame"), "{attempts:?}");
        assert_eq!(attempts[1].decision, Decision::GaveUp(GiveUpReason::Misconfigured), "{attempts:?}");
    }
    let skip = TlsSettings { ca_file: None, skip_verify: true };
    let attempts =
        send(integration(SmtpSettings { tls: skip, ..good.clone() }), &[mail("k", "g", &["a@b.example"])]).await;
    assert_eq!(attempts[0].outcome, Outcome::Delivered, "{attempts:?}");
    let open = SmtpSettings { host: "mail.example.com".to_owned(), encryption: SmtpTls::None, ..good };
    let refused = Integrations::new(&BTreeMap::from([("mail".to_owned(), integration(open))])).unwrap_err();
    assert!(refused.to_string().contains("would show the password"), "{refused}");
}

/// Accepts connections and says nothing: the end of a cable that was cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_costs_a_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
        encryption: SmtpTls::None,
        timeout: ms(300),
        ..SmtpSettings::default()
    };
    let message = Outgoing { give_up_ms: SystemClock::new().now_ms() + 5_000, ..mail("k-1", "g", &["a@b.example"]) };
    let attempts = send(integration(smtp), &[message]).await;
    assert_eq!(attempts[0].outcome, Outcome::Unavailable, "{attempts:?}");
    assert!((250..5_000).contains(&attempts[0].duration_ms), "{attempts:?}");
    assert_eq!(attempts.last().unwrap().decision, Decision::GaveUp(GiveUpReason::TooOld));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_web_receivers_are_checked() {
    let Some(receivers) = Receivers::start(0) else { return };
    let url = format!("https://localhost:{}/hook", receivers.port("https"));
    let over = |tls: TlsSettings| {
        let mut settings = quick(&url);
        settings.http.tls = tls;
        settings.http.timeout = ms(5_000);
        settings.delivery.misconfigured_tries_max = 2;
        settings
    };
    let hook = message("k-1", "g", "mail", "{}");
    let trusted = TlsSettings { ca_file: Some(receivers.authority.clone()), skip_verify: false };
    let skipped = TlsSettings { ca_file: None, skip_verify: true };
    for tls in [trusted, skipped] {
        let attempts = send(over(tls), std::slice::from_ref(&hook)).await;
        assert_eq!(attempts[0].outcome, Outcome::Delivered, "{attempts:?}");
    }
    let attempts = send(over(TlsSettings::default()), std::slice::from_ref(&hook)).await;
    let outcomes: Vec<_> = attempts.iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Outcome::Misconfigured; 2], "{attempts:?}");
    assert!(attempts[0].detail.starts_with("TLS failed"), "{attempts:?}");
}
