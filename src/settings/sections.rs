//! The sections of the settings with their defaults, as `default.toml` explains them.

use super::DAY_S;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub location: String,
    pub options: HashMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    pub workers: usize,
    pub missing_records: MissingRecords,
    pub fetch: Fetch,
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    pub paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    pub enabled: bool,
    pub path: String,
    pub log_bytes_max: u64,
    #[serde(with = "humantime_serde")]
    pub log_retention: Duration,
    pub body_bytes_max: usize,
    pub events_max: usize,
    pub concurrency_max: usize,
    pub queue_max: usize,
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Samples {
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    pub body_bytes_max: usize,
    pub message_bytes_max: usize,
    pub samples_max: usize,
    pub labels_max: usize,
    pub label_bytes_max: usize,
    pub series_max_per_tenant: usize,
    pub requests_max: usize,
    #[serde(with = "humantime_serde")]
    pub future_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    #[serde(with = "humantime_serde")]
    pub flush_interval: Duration,
    pub flush_rows: usize,
    pub flush_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    pub record_bytes_max: usize,
    pub string_bytes_max: usize,
    pub explode_max: usize,
    pub dead_letter_bytes_max: usize,
    pub series_max_per_tenant: usize,
    #[serde(with = "humantime_serde")]
    pub future_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dedupe {
    #[serde(with = "humantime_serde")]
    pub horizon: Duration,
    pub ids_max: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Personal {
    pub salt: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watermark {
    #[serde(with = "humantime_serde")]
    pub disorder: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maintenance {
    pub enabled: bool,
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    pub fresh_files: usize,
    #[serde(with = "humantime_serde")]
    pub fresh_age: Duration,
    pub file_bytes: u64,
    pub task_bytes: u64,
    pub task_rows: u64,
    pub checkpoint_commits: u64,
    #[serde(with = "humantime_serde")]
    pub log_retention: Duration,
    #[serde(with = "humantime_serde")]
    pub file_grace: Duration,
    #[serde(with = "humantime_serde")]
    pub dead_letters_retention: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    pub connections_max: usize,
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probes {
    #[serde(with = "humantime_serde")]
    pub stuck_after: Duration,
    pub commit_failures_max: u64,
    pub disk_free_min: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    #[serde(deserialize_with = "listen_or_off")]
    pub listen: Option<SocketAddr>,
    pub password: String,
    pub tls_certificate: String,
    pub tls_key: String,
    pub connections_max: usize,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flight {
    #[serde(deserialize_with = "listen_or_off")]
    pub listen: Option<SocketAddr>,
    pub password: String,
    pub connections_max: usize,
    pub prepared_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sql {
    pub rows_max: usize,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub memory_bytes_max: usize,
    pub spill_bytes_max: u64,
    pub spill_folder: String,
    pub query_bytes_max: usize,
    pub cache_bytes_max: u64,
    pub concurrency_max: usize,
    pub concurrency_per_client_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Promql {
    pub samples_max: usize,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub points_max: usize,
    #[serde(with = "humantime_serde")]
    pub lookback: Duration,
    pub cache_bytes_max: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrape {
    pub series_max: usize,
    #[serde(with = "humantime_serde")]
    pub keep_interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// What happens when records were deleted from Kafka before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingRecords {
    Fail,
    Skip,
}

/// Who fetches records from Kafka's brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fetch {
    Auto,
    Librdkafka,
}

impl Default for Storage {
    fn default() -> Self {
        Self { location: "tidewatch-data".to_owned(), options: HashMap::new() }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self { workers: 1, missing_records: MissingRecords::Fail, fetch: Fetch::Auto, properties: BTreeMap::new() }
    }
}

impl Default for Push {
    fn default() -> Self {
        Self {
            enabled: true,
            path: String::new(),
            log_bytes_max: 4096 * MIB as u64,
            log_retention: Duration::from_secs(7 * DAY_S),
            body_bytes_max: 4 * MIB,
            events_max: 10_000,
            concurrency_max: 64,
            queue_max: 256,
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(60),
            body_bytes_max: 16 * MIB,
            message_bytes_max: 64 * MIB,
            samples_max: 200_000,
            labels_max: 128,
            label_bytes_max: 16 * 1024,
            series_max_per_tenant: 500_000,
            requests_max: 64,
            future_max: Duration::from_secs(600),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(10),
            flush_rows: 500_000,
            flush_bytes: 256 * MIB,
            drain_timeout: Duration::from_secs(30),
            record_bytes_max: MIB,
            string_bytes_max: 4096,
            explode_max: 1000,
            dead_letter_bytes_max: 64 * 1024,
            series_max_per_tenant: 20_000,
            future_max: Duration::from_secs(300),
        }
    }
}

impl Default for Dedupe {
    fn default() -> Self {
        Self { horizon: Duration::from_secs(24 * 3600), ids_max: 10_000_000 }
    }
}

impl Default for Watermark {
    fn default() -> Self {
        Self { disorder: Duration::from_secs(5), idle_after: Duration::from_secs(30) }
    }
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(30),
            fresh_files: 8,
            fresh_age: Duration::from_secs(15 * 60),
            file_bytes: 128 * MIB as u64,
            task_bytes: 256 * MIB as u64,
            task_rows: 4_000_000,
            checkpoint_commits: 100,
            log_retention: Duration::from_secs(3600),
            file_grace: Duration::from_secs(3600),
            dead_letters_retention: Duration::from_secs(90 * DAY_S),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9890)),
            connections_max: 1000,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self { stuck_after: Duration::from_secs(120), commit_failures_max: 3, disk_free_min: 256 * MIB as u64 }
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            listen: None,
            password: String::new(),
            tls_certificate: String::new(),
            tls_key: String::new(),
            connections_max: 100,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

impl Default for Flight {
    fn default() -> Self {
        Self { listen: None, password: String::new(), connections_max: 100, prepared_max: 1000 }
    }
}

impl Default for Sql {
    fn default() -> Self {
        Self {
            rows_max: 100_000,
            timeout: Duration::from_secs(30),
            memory_bytes_max: 512 * MIB,
            spill_bytes_max: 4096 * MIB as u64,
            spill_folder: String::new(),
            query_bytes_max: 256 * 1024,
            cache_bytes_max: 64 * MIB as u64,
            concurrency_max: 8,
            concurrency_per_client_max: 4,
        }
    }
}

impl Default for Promql {
    fn default() -> Self {
        let (timeout, lookback) = (Duration::from_secs(120), Duration::from_secs(300));
        Self { samples_max: 50_000_000, timeout, points_max: 11_000, lookback, cache_bytes_max: 64 * MIB as u64 }
    }
}

impl Default for Scrape {
    fn default() -> Self {
        Self { series_max: 10_000, keep_interval: Duration::ZERO }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "warn,tidewatch=info,deltalake_core::kernel::transaction=off".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// An address, or nothing: off.
fn listen_or_off<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        |_| serde::de::Error::custom(format!("expected an address such as \"127.0.0.1:5433\", found \"{text}\""));
    text.parse().map(Some).map_err(wrong)
}
