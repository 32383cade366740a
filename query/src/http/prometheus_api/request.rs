//! Parameters, from the address or from a form in the body.

use super::response::Failure;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use chrono::DateTime;
use std::time::Duration;
use tidewatch_promql::{Grammar, Matcher, Query, duration, parse};

/// Times that Prometheus can say.
const TIME_MS_MAX: f64 = 9_223_372_036_854_775.0;

/// Parameters of a request; of a repeated one the first counts, but for `match[]`.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let of_address = request.uri().query().unwrap_or_default().to_owned();
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or("");
        let has_form =
            request.method() == Method::POST && content_type.starts_with("application/x-www-form-urlencoded");
        let mut pairs = Vec::new();
        if has_form {
            let body = Bytes::from_request(request, state).await.map_err(|e| Failure::bad_data(e.to_string()))?;
            pairs.extend(pairs_of(&body));
        }
        pairs.extend(pairs_of(of_address.as_bytes()));
        Ok(Self(pairs))
    }
}

fn pairs_of(text: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

impl Form {
    /// A parameter that has a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// The query.
    pub fn query(&self) -> Result<Query, Failure> {
        let text = self.get("query").unwrap_or_default();
        Query::parse(text, Grammar::default())
            .map_err(|error| Failure::bad_data(format!("invalid parameter \"query\": {error}")))
    }

    /// A moment, milliseconds since the epoch: seconds with a fraction, or RFC 3339.
    pub fn time_ms(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.get(name)
            .map(|text| {
                time_ms(text).ok_or_else(|| {
                    Failure::bad_data(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid timestamp"))
                })
            })
            .transpose()
    }

    /// A moment that must be given.
    pub fn required_time_ms(&self, name: &str) -> Result<i64, Failure> {
        let missing =
            || Failure::bad_data(format!("invalid parameter {name:?}: cannot parse \"\" to a valid timestamp"));
        self.time_ms(name)?.ok_or_else(missing)
    }

    /// A length of time in milliseconds: seconds with a fraction, or `1h30m`.
    pub fn duration_ms(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.get(name)
            .map(|text| {
                duration_ms(text).ok_or_else(|| {
                    Failure::bad_data(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid duration"))
                })
            })
            .transpose()
    }

    /// How long the answer may take.
    pub fn timeout(&self) -> Result<Option<Duration>, Failure> {
        Ok(self.duration_ms("timeout")?.map(|ms| Duration::from_millis(ms.max(0) as u64)))
    }

    /// How many items are wanted; 0 and nothing: all.
    pub fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match text.parse::<usize>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(Failure::bad_data("invalid parameter \"limit\": limit must be non-negative")),
        }
    }

    /// All values of a parameter that may stand more than once.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The lists of matchers of `match[]`.
    pub fn matchers(&self) -> Result<Vec<Vec<Matcher>>, Failure> {
        let matchers = self.all("match[]").map(parse::parse_selector);
        matchers
            .map(|matchers| matchers.map_err(|why| Failure::bad_data(format!("invalid parameter \"match[]\": {why}"))))
            .collect()
    }
}

fn time_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return (ms.abs() <= TIME_MS_MAX).then_some(ms as i64);
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

fn duration_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return (ms.abs() <= TIME_MS_MAX).then_some(ms as i64);
    }
    duration::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_seconds_or_written_out() {
        assert_eq!(time_ms("1435781430.781"), Some(1_435_781_430_781));
        assert_eq!(time_ms("2015-07-01T20:10:30.781Z"), Some(1_435_781_430_781));
        assert_eq!(time_ms("NaN"), None);
        assert_eq!(time_ms("1e300"), None);
        assert_eq!(time_ms("yesterday"), None);
        assert_eq!(duration_ms("0.5"), Some(500));
        assert_eq!(duration_ms("1h30m"), Some(5_400_000));
        assert_eq!(duration_ms("soon"), None);
    }
}
