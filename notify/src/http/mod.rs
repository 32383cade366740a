//! Sending over HTTP: requests as they were enqueued, answers judged.
//!
//! Redirects are followed only within one origin and only by 307 and 308, which keep method and body: another
//! host must not get a request with credentials in it. Proxies of the environment are used only if the settings say so.

mod judge;
mod settings;

pub use judge::{Answer, judge, refer};
pub use settings::{Authorization, HttpSettings, Proxy};

use crate::attempt::{Outcome, Reply, Report};
use crate::message::HttpMessage;
use crate::secret::{SecretUrl, clean};
use crate::tls::is_tls;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use std::error::Error;

/// Sends HTTP messages of one integration.
#[derive(Debug, Clone)]
pub struct HttpSender {
    client: Client,
    settings: HttpSettings,
}

impl HttpSender {
    /// Makes the client with its connection pool; reads certificates.
    ///
    /// Errors: a file cannot be read, TLS or proxy settings are wrong.
    pub fn new(settings: HttpSettings) -> Result<Self, String> {
        Ok(Self { client: settings.client()?, settings })
    }

    /// Another sender over the same connections, if the settings allow it.
    pub(crate) fn sharing(&self, settings: &HttpSettings) -> Option<Self> {
        let same = settings.same_client(&self.settings);
        same.then(|| Self { client: self.client.clone(), settings: settings.clone() })
    }

    /// Sends a message, and its stand-in if an earlier message that it refers to is gone.
    pub async fn send(&self, message: &HttpMessage, key: &str, referred: Option<&Reply>, now_ms: i64) -> Report {
        let Some(reference) = &message.refers else { return self.send_one(message, None, key, now_ms).await };
        let body = referred.and_then(|reply| refer(&message.body, &reference.fields, reply));
        let gone = match (body, &reference.otherwise) {
            (Some(body), otherwise) => {
                let report = self.send_one(message, Some(body), key, now_ms).await;
                if otherwise.is_none() || !judge::is_gone(&report) {
                    return report;
                }
                report.detail
            }
            (None, None) => return self.send_one(message, None, key, now_ms).await,
            (None, Some(_)) => format!("no reply to {} is known", reference.key),
        };
        let Some(otherwise) = &reference.otherwise else {
            return Report::new(Outcome::Refused, gone);
        };
        let mut report = self.send_one(otherwise, None, key, now_ms).await;
        report.detail = format!("sent anew ({gone}): {}", report.detail);
        report.stood_in = report.outcome == Outcome::Delivered;
        report
    }

    async fn send_one(&self, message: &HttpMessage, body: Option<String>, key: &str, now_ms: i64) -> Report {
        let Some(url) = message.url.as_ref().or(self.settings.url.as_ref()) else {
            let detail = "neither the message nor the integration's settings have a URL: set http.url";
            return Report::new(Outcome::Misconfigured, detail);
        };
        let mut report = match self.answer(message, url, body, key).await {
            Ok(answer) => judge(&message.reply, &answer, now_ms),
            Err(failure) => failure,
        };
        report.target = url.to_string();
        let headers = message.headers.iter().chain(&self.settings.headers);
        let secrets = headers.filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        let secrets = secrets.map(|(_, value)| value.reveal()).chain(url.secret_parts());
        report.detail = clean(&report.detail, secrets.chain(self.settings.authorization_secret()));
        report
    }

    async fn answer(
        &self,
        message: &HttpMessage,
        url: &SecretUrl,
        body: Option<String>,
        key: &str,
    ) -> Result<Answer, Report> {
        let wrong = |detail: String| Report::new(Outcome::Refused, detail);
        let method = Method::from_bytes(message.method.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let headers = self.headers(message, key).map_err(wrong)?;
        let request = self.settings.authorize(self.client.request(method, url.reveal().clone())).headers(headers);
        let request = request.body(body.unwrap_or_else(|| message.body.clone()));
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        let status = response.status().as_u16();
        let body = read_bounded(&mut response, self.settings.reply_bytes_max).await.map_err(|error| {
            // It has answered: what it said of success counts less than that it did not say it all.
            Report { code: Some(status), ..failure(&error) }
        })?;
        Ok(Answer { status, retry_after, date, body })
    }

    fn headers(&self, message: &HttpMessage, key: &str) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.settings.headers.iter().chain(&message.headers) {
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("header name {name:?}"))?;
            headers.insert(parsed, secret_value(value.reveal()).map_err(|e| format!("header {name}: {e}"))?);
        }
        headers.insert("idempotency-key", HeaderValue::from_str(key).map_err(|e| format!("idempotency key: {e}"))?);
        Ok(headers)
    }
}

fn secret_value(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value).map_err(|e| e.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The beginning of a body, at most `bytes_max` bytes: no answer we need is longer.
async fn read_bounded(response: &mut Response, bytes_max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < bytes_max
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(bytes_max - body.len())]);
    }
    Ok(body)
}

/// A request without an answer.
fn failure(error: &reqwest::Error) -> Report {
    let mut causes = Vec::new();
    let tls = is_tls(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if causes.last().is_none_or(|last: &String| !last.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    let what = match () {
        () if tls => "TLS failed",
        () if error.is_connect() && error.is_timeout() => "no connection in time",
        () if error.is_timeout() => "no answer in time",
        () if error.is_connect() => "no connection",
        () if error.is_builder() => "no request could be made",
        () => "the connection broke",
    };
    // A builder error is about URL or headers. TLS alerts and certificates do not heal by themselves either.
    let outcome = if tls || error.is_builder() { Outcome::Misconfigured } else { Outcome::Unavailable };
    Report::new(outcome, format!("{what}: {}", causes.join(": ")))
}
