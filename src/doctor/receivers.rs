//! Receivers of alerts, as far as they can be looked at without telling them anything: mail servers are greeted and
//! logged in to, Slack is asked whose token it is, all others are connected to.

use super::{Finding, Patient, later, limited};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_alerting::config::{Integration, SlackConfig};
use tidewatch_notify::http::{HttpSender, HttpSettings, Proxy};
use tidewatch_notify::mail::{MailSender, SmtpSettings};
use tidewatch_notify::message::Judge;
use tidewatch_notify::reach::{Unreachable, reach};
use tidewatch_notify::{HttpMessage, HttpReply, IntegrationSettings, Outcome, Secret, SecretUrl};
use tidewatch_ruler::begin::Definition;
use tidewatch_ruler::integrations::{secret_text, settings};

/// A look at each of them.
pub fn looks(patient: &Arc<Patient>, definition: &Definition) -> Vec<BoxFuture<'static, Vec<Finding>>> {
    let config = &definition.config;
    let (all, remarks) = match settings(config) {
        Ok(found) => found,
        Err(error) => return vec![later(Finding::failed("receivers", error, "mend the file of alerting.config"))],
    };
    let mut looks: Vec<_> =
        remarks.into_iter().map(|remark| later(Finding::warning("receivers", remark, "see docs/limits.md"))).collect();
    for receiver in &config.receivers {
        for (key, integration) in config.integrations(&receiver.name) {
            let check = format!("receiver {key}");
            let own = all.get(&key.to_string()).cloned().unwrap_or_default();
            looks.push(match subject(integration, own) {
                Ok(subject) => limited(check.clone(), patient.timeout, look(check, subject, Arc::clone(patient))),
                Err(finding) => later(Finding { check, ..finding }),
            });
        }
    }
    match patient.settings.alerting.forwarding() {
        Ok(forwarding) => {
            for url in forwarding.alertmanagers {
                let check = format!("alertmanager {}", host(&url));
                let subject = Subject::Address(url, forwarding.http.clone());
                looks.push(limited(check.clone(), patient.timeout, look(check, subject, Arc::clone(patient))));
            }
        }
        Err(error) => looks.push(later(Finding::failed("alertmanagers", error, "mend [alerting]"))),
    }
    if looks.is_empty() {
        looks.push(later(Finding::skipped("receivers", "nobody is told of alerts")));
    }
    looks
}

/// What can be looked at.
enum Subject {
    Mail(SmtpSettings),
    /// A token of Slack and the address that it is used at.
    Token(SecretUrl, Secret, HttpSettings),
    Address(SecretUrl, HttpSettings),
}

fn subject(integration: Integration<'_>, own: IntegrationSettings) -> Result<Subject, Finding> {
    let mistake = |error: String| Finding::failed("", error, "mend the file of alerting.config");
    let varies = || Finding::skipped("", "its address depends on the alert");
    let address = |text: String| match text.contains("{{") {
        true => Err(varies()),
        false => SecretUrl::parse(&text).map_err(|error| mistake(error.to_string())),
    };
    match integration {
        Integration::Email(_) => own.mail.map(Subject::Mail).ok_or_else(|| mistake("it has no mail server".to_owned())),
        Integration::Webhook(_) => own.http.url.clone().map(|url| Subject::Address(url, own.http)).ok_or_else(varies),
        Integration::PagerDuty(pager) => {
            Ok(Subject::Address(address(pager.url.clone().unwrap_or_default())?, own.http))
        }
        Integration::Generic(generic) => {
            let url = generic.url.as_ref().map_or(String::new(), |url| url.reveal().to_owned());
            Ok(Subject::Address(address(url)?, own.http))
        }
        Integration::Slack(slack) => slack_subject(slack, own.http, address).map_err(|error| match error {
            Reading::File(error) => mistake(error),
            Reading::Address(finding) => finding,
        }),
    }
}

enum Reading {
    File(String),
    Address(Finding),
}

fn slack_subject(
    slack: &SlackConfig,
    http: HttpSettings,
    address: impl Fn(String) -> Result<SecretUrl, Finding>,
) -> Result<Subject, Reading> {
    let token = secret_text(slack.app_token.as_ref(), slack.app_token_file.as_ref()).map_err(Reading::File)?;
    if token.is_empty() {
        let url = secret_text(slack.api_url.as_ref(), slack.api_url_file.as_ref()).map_err(Reading::File)?;
        return Ok(Subject::Address(address(url).map_err(Reading::Address)?, http));
    }
    // The methods of one API are neighbours.
    let post = slack.app_url.clone().unwrap_or_default();
    let test = post.rsplit_once('/').map_or_else(|| post.clone(), |(api, _)| format!("{api}/auth.test"));
    Ok(Subject::Token(address(test).map_err(Reading::Address)?, Secret::new(token), http))
}

async fn look(check: String, subject: Subject, patient: Arc<Patient>) -> Vec<Finding> {
    let finding = match subject {
        Subject::Mail(settings) => mail(check, settings, patient.timeout).await,
        Subject::Token(url, token, http) => slack(check, url, &token, http, patient.clock.now_us() / 1000).await,
        Subject::Address(url, http) => connect(check, &url, &http, patient.timeout).await,
    };
    vec![finding]
}

async fn mail(check: String, settings: SmtpSettings, timeout: Duration) -> Finding {
    let hint = "look at smarthost, auth_username, auth_password and require_tls in the routes";
    let settings = SmtpSettings { connect_timeout: timeout, timeout, ..settings };
    let sender = match MailSender::new(settings) {
        Ok(sender) => sender,
        Err(error) => return Finding::failed(check, error, hint),
    };
    match sender.check(timeout).await {
        Ok(found) => Finding::ok(check, found),
        Err(error) => Finding::failed(check, error, hint),
    }
}

async fn slack(check: String, url: SecretUrl, token: &Secret, http: HttpSettings, now_ms: i64) -> Finding {
    let sender = match HttpSender::new(http) {
        Ok(sender) => sender,
        Err(error) => return Finding::failed(check, error, "look at http_config in the routes"),
    };
    let headers = vec![("Authorization".to_owned(), Secret::new(format!("Bearer {}", token.reveal())))];
    let reply = HttpReply { judge: Judge::SlackApi, keep: vec!["team".to_owned(), "user".to_owned()] };
    let method = "POST".to_owned();
    let message = HttpMessage { method, url: Some(url.clone()), headers, body: String::new(), reply, refers: None };
    let report = sender.send(&message, "doctor", None, now_ms).await;
    match report.outcome {
        Outcome::Delivered => {
            let of =
                |name: &str| report.reply.as_ref().and_then(|reply| reply.0.get(name)).cloned().unwrap_or_default();
            Finding::ok(check, format!("the token is {}'s, of {}; nothing was posted", of("user"), of("team")))
        }
        _ => {
            let hint = "look at slack_app_token or app_token in the routes: the token needs the right chat:write";
            Finding::failed(check, format!("{} does not take the token: {}", host(&url), report.detail), hint)
        }
    }
}

async fn connect(check: String, url: &SecretUrl, http: &HttpSettings, timeout: Duration) -> Finding {
    if http.proxy != Proxy::None {
        return Finding::skipped(check, "it is reached through a proxy, which would answer for it");
    }
    match reach(url, &http.tls, timeout).await {
        Ok(found) => Finding::ok(check, format!("{}: {found}; nothing was sent", host(url))),
        Err(error) => {
            let hint = match error {
                Unreachable::Name { .. } => "look at the host in the URL, and at the name server of this machine",
                Unreachable::Connection { .. } => "does it run, and is there a way to it from here?",
                Unreachable::Tls { .. } => "set tls_config.ca_file if its certificate is of your own authority",
            };
            Finding::failed(check, format!("{}: {error}", host(url)), hint)
        }
    }
}

/// Scheme, host and port of an address: paths of webhooks are secret.
fn host(url: &SecretUrl) -> String {
    let url = url.reveal();
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}
