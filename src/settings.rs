//! Settings: one TOML file, every key with a default, an explanation (`settings/default.toml`) and a
//! strict reader. A text value `${NAME}` takes the environment variable of that name, for secrets.

mod limits;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewatch_engine::dedupe::DedupeSettings;
use tidewatch_engine::life_cycle::LifeLimits;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::source::PersonalAction;
use tidewatch_engine::watermark::WatermarkSettings;
use tidewatch_ingest::decode::DecodeLimits;
use tidewatch_ingest::log::LogSettings;
use tidewatch_ingest::maintenance::MaintenanceSettings;
use tidewatch_ingest::personal::HashKey;
use tidewatch_ingest::push::PushSettings;
use tidewatch_ingest::samples::SampleLimits;
use tidewatch_ingest::source::KafkaSource;
use tidewatch_ingest::worker::{BATCH_ROWS, WorkerSettings};
use tidewatch_query::SqlLimits;
use tidewatch_query::promql::PromLimits;
use tidewatch_wire::flight::FlightOptions;
use tidewatch_wire::postgres::{PostgresOptions, TlsFiles};

/// Every setting with its default, commented.
pub const DEFAULT_TOML: &str = include_str!("settings/default.toml");

/// Panes of arrival time are told apart by so many hours, with room to spare.
const HORIZON_MAX: Duration = Duration::from_secs(365 * 86_400);

/// So many of the largest requests must fit into the log: it is dropped in parts, and is of no use with few.
const LOG_BODIES_MIN: u64 = 4;

const MIB: usize = 1024 * 1024;
const DAY_S: u64 = 86_400;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub packs: Vec<String>,
    pub storage: Storage,
    pub kafka: Kafka,
    pub files: Files,
    pub push: Push,
    pub samples: Samples,
    pub ingest: Ingest,
    pub personal: Personal,
    pub dedupe: Dedupe,
    pub watermark: Watermark,
    pub maintenance: Maintenance,
    pub http: Http,
    pub postgres: Postgres,
    pub flight: Flight,
    pub alerting: Alerting,
    pub sql: Sql,
    pub promql: Promql,
    pub scrape: Scrape,
    pub log: Log,
}

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
pub struct Alerting {
    pub enabled: bool,
    pub pack_rules: bool,
    pub rules: Vec<String>,
    pub config: String,
    pub path: String,
    pub external_url: String,
    #[serde(with = "humantime_serde")]
    pub evaluation_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub query_offset: Duration,
    #[serde(with = "humantime_serde")]
    pub react_min: Duration,
    #[serde(with = "humantime_serde")]
    pub resend_delay: Duration,
    #[serde(with = "humantime_serde")]
    pub give_up_after: Duration,
    #[serde(with = "humantime_serde")]
    pub ledger_retention: Duration,
    pub ledger_rows_max: usize,
    pub concurrency_max: usize,
    pub external_labels: BTreeMap<String, String>,
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
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrape {
    pub series_max: usize,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            packs: vec!["builtin:creatorflow".to_owned(), "builtin:prometheus".to_owned()],
            storage: Storage::default(),
            kafka: Kafka::default(),
            files: Files::default(),
            push: Push::default(),
            samples: Samples::default(),
            ingest: Ingest::default(),
            personal: Personal::default(),
            dedupe: Dedupe::default(),
            watermark: Watermark::default(),
            maintenance: Maintenance::default(),
            http: Http::default(),
            postgres: Postgres::default(),
            flight: Flight::default(),
            alerting: Alerting::default(),
            sql: Sql::default(),
            promql: Promql::default(),
            scrape: Scrape::default(),
            log: Log::default(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { location: "tidewatch-data".to_owned(), options: HashMap::new() }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self { workers: 1, missing_records: MissingRecords::Fail, properties: BTreeMap::new() }
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
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9890)) }
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

impl Default for Alerting {
    fn default() -> Self {
        Self {
            enabled: true,
            pack_rules: false,
            rules: Vec::new(),
            config: String::new(),
            path: String::new(),
            external_url: String::new(),
            evaluation_interval: Duration::from_secs(15),
            query_offset: Duration::ZERO,
            react_min: Duration::from_secs(1),
            resend_delay: Duration::from_secs(60),
            give_up_after: Duration::from_secs(3600),
            ledger_retention: Duration::from_secs(90 * DAY_S),
            ledger_rows_max: 1_000_000,
            concurrency_max: 4,
            external_labels: BTreeMap::new(),
        }
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
        Self { samples_max: 50_000_000, timeout, points_max: 11_000, lookback }
    }
}

impl Default for Scrape {
    fn default() -> Self {
        Self { series_max: 10_000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "warn,tidewatch=info".to_owned(), format: LogFormat::Text }
    }
}

impl Settings {
    /// Reads and checks a file. Paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("{}\n  hint: `tidewatch check --defaults` prints a file to start from", path.display())
        })?;
        let mut settings = Self::parse(&path.display().to_string(), &text, |name| std::env::var(name).ok())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        settings.files.paths.iter_mut().for_each(|p| *p = folder.join(&p));
        for file in [&mut settings.postgres.tls_certificate, &mut settings.postgres.tls_key] {
            if !file.is_empty() {
                *file = folder.join(&file).display().to_string();
            }
        }
        for pack in settings.packs.iter_mut().filter(|p| !p.starts_with(crate::packs::BUILTIN)) {
            *pack = folder.join(&pack).display().to_string();
        }
        if !settings.push.path.is_empty() {
            settings.push.path = folder.join(&settings.push.path).display().to_string();
        }
        let alerting = &mut settings.alerting;
        for path in alerting.rules.iter_mut().chain([&mut alerting.config, &mut alerting.path]) {
            if !path.is_empty() {
                *path = folder.join(&path).display().to_string();
            }
        }
        let spill = &mut settings.sql.spill_folder;
        if !spill.is_empty() {
            *spill = folder.join(&spill).display().to_string();
        }
        let location = &mut settings.storage.location;
        if !location.contains("://") {
            *location = folder.join(&location).display().to_string();
        }
        Ok(settings)
    }

    /// Reads and checks the text of a file; `file` is for messages, `env` looks up `${NAME}`.
    pub fn parse(file: &str, text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = error.span().map_or((1, 1), |s| position(text, s.start));
            anyhow::anyhow!("{file}:{line}:{column}: {}", error.message().trim())
        })?;
        let mut mistakes = Vec::new();
        let at = |key: &str| match line_of(text, key).or_else(|| line_of(text, key.rsplit('.').next().unwrap_or(key))) {
            Some(line) => format!("{file}:{line}"),
            None => file.to_owned(),
        };
        let own = [
            ("personal.salt".to_owned(), &mut settings.personal.salt),
            ("postgres.password".to_owned(), &mut settings.postgres.password),
            ("flight.password".to_owned(), &mut settings.flight.password),
        ];
        let secrets = settings.kafka.properties.iter_mut().chain(settings.storage.options.iter_mut());
        for (key, value) in secrets.map(|(key, value)| (key.clone(), value)).chain(own) {
            let Some(name) = value.strip_prefix("${").and_then(|v| v.strip_suffix('}')) else { continue };
            match env(name) {
                Some(secret) => *value = secret,
                None => mistakes.push(format!("{}: {key}: the environment variable {name} is not set", at(&key))),
            }
        }
        settings.check(&mut |key, message| mistakes.push(format!("{}: {key}: {message}", at(key))));
        if mistakes.is_empty() {
            return Ok(settings);
        }
        bail!("{}", mistakes.join("\n"));
    }

    fn check(&self, mistake: &mut dyn FnMut(&str, String)) {
        if self.packs.is_empty() {
            mistake("packs", "at least one pack is needed\n  hint: \"builtin:creatorflow\", or a folder with sources.yaml, rollups.sql and views.sql".to_owned());
        }
        for key in self.kafka.properties.keys().filter(|k| KafkaSource::is_fixed_property(k)) {
            mistake(
                key,
                "is set by Tidewatch: starting positions come from its own commits\n  hint: remove the line".to_owned(),
            );
        }
        if !self.kafka.properties.is_empty() && !self.files.paths.is_empty() {
            mistake(
                "files.paths",
                "events come either from Kafka or from files\n  hint: keep one of [kafka] and [files]".to_owned(),
            );
        }
        if !self.kafka.properties.is_empty()
            && let Err(error) = KafkaSource::check_properties(&self.kafka.properties)
        {
            let key = self.kafka.properties.keys().find(|k| error.contains(k.as_str()));
            mistake(key.map_or("kafka.properties", |k| k), error);
        }
        let mut names: Vec<_> = self.files.paths.iter().filter_map(|p| p.file_name()).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            mistake(
                "files.paths",
                format!("two files are named {}; positions are kept by file name", twice[0].display()),
            );
        }
        let positive = [
            ("kafka.workers", self.kafka.workers),
            ("push.body_bytes_max", self.push.body_bytes_max),
            ("push.events_max", self.push.events_max),
            ("push.concurrency_max", self.push.concurrency_max),
            ("push.queue_max", self.push.queue_max),
            ("samples.body_bytes_max", self.samples.body_bytes_max),
            ("samples.message_bytes_max", self.samples.message_bytes_max),
            ("samples.samples_max", self.samples.samples_max),
            ("samples.labels_max", self.samples.labels_max),
            ("samples.label_bytes_max", self.samples.label_bytes_max),
            ("samples.requests_max", self.samples.requests_max),
            ("ingest.flush_rows", self.ingest.flush_rows),
            ("ingest.flush_bytes", self.ingest.flush_bytes),
            ("ingest.record_bytes_max", self.ingest.record_bytes_max),
            ("ingest.string_bytes_max", self.ingest.string_bytes_max),
            ("ingest.explode_max", self.ingest.explode_max),
            ("dedupe.ids_max", self.dedupe.ids_max),
            ("sql.rows_max", self.sql.rows_max),
            ("sql.memory_bytes_max", self.sql.memory_bytes_max),
            ("sql.query_bytes_max", self.sql.query_bytes_max),
            ("sql.concurrency_max", self.sql.concurrency_max),
            ("sql.concurrency_per_client_max", self.sql.concurrency_per_client_max),
            ("postgres.connections_max", self.postgres.connections_max),
            ("flight.connections_max", self.flight.connections_max),
            ("flight.prepared_max", self.flight.prepared_max),
            ("promql.samples_max", self.promql.samples_max),
            ("promql.points_max", self.promql.points_max),
        ];
        if self.maintenance.fresh_files == 0 {
            mistake("maintenance.fresh_files", "expected at least 1, found 0".to_owned());
        }
        // Longer, the log may have forgotten that the file was removed at all.
        if self.maintenance.file_grace > Duration::from_secs(DAY_S) {
            mistake("maintenance.file_grace", "expected at most 1d".to_owned());
        }
        for (key, _) in positive.iter().filter(|(_, value)| *value == 0) {
            mistake(key, "expected at least 1, found 0".to_owned());
        }
        let log_bytes_min = (self.push.body_bytes_max as u64).saturating_mul(LOG_BODIES_MIN);
        if self.push.log_bytes_max < log_bytes_min {
            let expected = format!("expected at least {LOG_BODIES_MIN} times push.body_bytes_max, {log_bytes_min}");
            mistake("push.log_bytes_max", format!("{expected}, found {}", self.push.log_bytes_max));
        }
        if self.postgres.tls_certificate.is_empty() != self.postgres.tls_key.is_empty() {
            let message = "a certificate and its key belong together\n  hint: set postgres.tls_certificate and postgres.tls_key, or neither";
            mistake("postgres.tls_certificate", message.to_owned());
        }
        let text = self.ingest.explode_max.saturating_add(BATCH_ROWS).saturating_mul(self.ingest.string_bytes_max);
        if text > i32::MAX as usize {
            let message = "a column of text would not fit into memory\n  hint: keep (explode_max + 65536) × string_bytes_max below 2 GiB";
            mistake("ingest.explode_max", message.to_owned());
        }
        if self.dedupe.horizon > HORIZON_MAX {
            mistake("dedupe.horizon", format!("expected at most {} days", HORIZON_MAX.as_secs() / 86_400));
        }
        let durations = [
            ("ingest.flush_interval", self.ingest.flush_interval),
            ("push.body_timeout", self.push.body_timeout),
            ("samples.flush_interval", self.samples.flush_interval),
            ("watermark.idle_after", self.watermark.idle_after),
            ("maintenance.interval", self.maintenance.interval),
            ("sql.timeout", self.sql.timeout),
            ("postgres.idle_timeout", self.postgres.idle_timeout),
        ];
        for (key, _) in durations.iter().filter(|(_, value)| value.is_zero()) {
            mistake(key, "expected more than 0s".to_owned());
        }
    }

    /// Do these settings have what the packs need?
    pub fn check_packs(&self, catalog: &Catalog) -> Result<()> {
        if catalog.personal.any_hashed() && self.personal.salt.is_empty() {
            let keys: Vec<&str> =
                catalog.personal.iter().filter(|(_, a)| *a == PersonalAction::Hash).map(|(key, _)| key).collect();
            bail!(
                "personal.salt: the packs keep {} as salted hashes, and there is no salt\n  hint: salt = \"${{TIDEWATCH_SALT}}\" in [personal]; keep it secret, and keep it: another salt gives other hashes",
                keys.join(", ")
            );
        }
        Ok(())
    }

    /// What a worker needs of it.
    pub fn worker(&self) -> WorkerSettings {
        let us = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
        WorkerSettings {
            flush_interval: self.ingest.flush_interval,
            flush_rows: self.ingest.flush_rows,
            flush_bytes: self.ingest.flush_bytes,
            drain_timeout: self.ingest.drain_timeout,
            dead_letter_bytes_max: self.ingest.dead_letter_bytes_max,
            series_max: self.ingest.series_max_per_tenant,
            decode: DecodeLimits {
                record_bytes_max: self.ingest.record_bytes_max,
                string_bytes_max: self.ingest.string_bytes_max,
                explode_max: self.ingest.explode_max,
                future_max_us: us(self.ingest.future_max),
            },
            dedupe: DedupeSettings {
                horizon_us: us(self.dedupe.horizon),
                // Workers share the bound.
                ids_max: self.dedupe.ids_max / self.kafka.workers.max(1),
            },
            hash_key: HashKey::from_salt(&self.personal.salt),
            watermark: WatermarkSettings {
                disorder_us: us(self.watermark.disorder),
                idle_after_us: us(self.watermark.idle_after),
            },
        }
    }

    /// What the worker of pushed samples needs of it.
    pub fn samples_worker(&self) -> WorkerSettings {
        WorkerSettings { flush_interval: self.samples.flush_interval, ..self.worker() }
    }

    /// Bounds of remote write and OTLP.
    pub fn samples_bounds(&self) -> SampleLimits {
        let own = &self.samples;
        SampleLimits {
            body_bytes_max: own.body_bytes_max,
            message_bytes_max: own.message_bytes_max,
            samples_max: own.samples_max,
            labels_max: own.labels_max,
            label_bytes_max: own.label_bytes_max,
            series_max: own.series_max_per_tenant,
            requests_max: own.requests_max,
            future_max_ms: i64::try_from(own.future_max.as_millis()).unwrap_or(i64::MAX / 4),
        }
    }

    /// Bounds of the local log.
    pub fn log_bounds(&self) -> LogSettings {
        let Push { log_bytes_max, log_retention, queue_max, .. } = self.push;
        LogSettings { bytes_max: log_bytes_max, retention: log_retention, queue_max }
    }

    /// Bounds of `POST /api/v1/events`.
    pub fn push_bounds(&self) -> PushSettings {
        let Push { body_bytes_max, events_max, concurrency_max, body_timeout, .. } = self.push;
        PushSettings { body_bytes_max, events_max, concurrency_max, body_timeout }
    }

    /// When and how tables are maintained.
    pub fn maintenance(&self) -> MaintenanceSettings {
        let (own, defaults) = (&self.maintenance, MaintenanceSettings::default());
        let fresh_age_us = i64::try_from(own.fresh_age.as_micros()).unwrap_or(i64::MAX / 4);
        MaintenanceSettings {
            interval: own.interval,
            limits: LifeLimits {
                fresh_files: own.fresh_files,
                fresh_age_us,
                file_bytes: own.file_bytes,
                task_bytes: own.task_bytes,
                task_rows: own.task_rows,
                ..defaults.limits
            },
            checkpoint_commits: own.checkpoint_commits,
            log_retention: own.log_retention,
            file_grace: own.file_grace,
            // A day more than they are asked for.
            event_ids_retention: self.dedupe.horizon + Duration::from_secs(DAY_S),
            dead_letters_retention: Some(own.dead_letters_retention).filter(|d| !d.is_zero()),
        }
    }

    /// Limits of PromQL.
    pub fn prom_limits(&self) -> PromLimits {
        let own = &self.promql;
        let lookback_ms = i64::try_from(own.lookback.as_millis()).unwrap_or(i64::MAX).max(1);
        PromLimits {
            samples_max: own.samples_max,
            timeout: own.timeout,
            points_max: i64::try_from(own.points_max).unwrap_or(i64::MAX),
            options: tidewatch_query::promql::Options { lookback_ms, ..Default::default() },
        }
    }

    /// Who may connect by Postgres' protocol.
    pub fn postgres(&self) -> PostgresOptions {
        let own = &self.postgres;
        let tls = (!own.tls_certificate.is_empty())
            .then(|| TlsFiles { certificate: (&own.tls_certificate).into(), key: (&own.tls_key).into() });
        PostgresOptions {
            password: Some(own.password.clone()).filter(|p| !p.is_empty()),
            tls,
            connections_max: own.connections_max,
            idle_timeout: own.idle_timeout,
        }
    }

    /// Who may connect by Flight SQL.
    pub fn flight(&self) -> FlightOptions {
        let own = &self.flight;
        FlightOptions {
            password: Some(own.password.clone()).filter(|p| !p.is_empty()),
            connections_max: own.connections_max,
            prepared_max: own.prepared_max,
        }
    }

    /// What a query may cost.
    pub fn sql_limits(&self) -> SqlLimits {
        SqlLimits {
            rows_max: self.sql.rows_max,
            timeout: self.sql.timeout,
            memory_bytes_max: self.sql.memory_bytes_max,
            spill_bytes_max: self.sql.spill_bytes_max,
            query_bytes_max: self.sql.query_bytes_max,
            cache_bytes_max: self.sql.cache_bytes_max,
        }
    }

    /// Where queries put what does not fit into memory; `None`: where the system keeps temporary files.
    pub fn spill_folder(&self) -> Option<PathBuf> {
        Some(PathBuf::from(&self.sql.spill_folder)).filter(|p| !p.as_os_str().is_empty())
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

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The first line that sets `key`, from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let sets = |line: &str| {
        line.trim_start()
            .trim_start_matches('"')
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('='))
    };
    text.lines().position(sets).map(|index| index + 1)
}

#[cfg(test)]
mod tests;
