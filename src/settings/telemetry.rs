//! The section of traces.

use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    #[serde(deserialize_with = "protocol_or_off")]
    pub traces: Option<TraceProtocol>,
    pub endpoint: String,
    pub headers: BTreeMap<String, String>,
    pub sample_ratio: f64,
    pub service_name: String,
}

/// How traces are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceProtocol {
    /// OTLP over HTTP, as JSON.
    Otlp,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            traces: None,
            endpoint: "http://localhost:4318".to_owned(),
            headers: BTreeMap::new(),
            sample_ratio: 1.0,
            service_name: "tidewatch".to_owned(),
        }
    }
}

impl Telemetry {
    pub(super) fn check(&self, mistake: &mut dyn FnMut(&str, String)) {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            mistake("telemetry.sample_ratio", format!("expected 0 to 1, found {}", self.sample_ratio));
        }
        let is_http = Url::parse(&self.endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_http {
            let expected = "expected a URL such as http://localhost:4318";
            mistake("telemetry.endpoint", format!("{expected}, found {:?}", self.endpoint));
        }
        if self.service_name.is_empty() {
            mistake("telemetry.service_name", "expected a name, found none".to_owned());
        }
    }
}

fn protocol_or_off<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<TraceProtocol>, D::Error> {
    match String::deserialize(from)?.as_str() {
        "" => Ok(None),
        "otlp" => Ok(Some(TraceProtocol::Otlp)),
        other => Err(serde::de::Error::custom(format!("expected \"otlp\", or \"\" for none, found \"{other}\""))),
    }
}
