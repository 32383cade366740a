//! Settings: one TOML file, every key with a default, an explanation (`settings/default.toml`) and a
//! strict reader. A text value `${NAME}` takes the environment variable of that name, for secrets.

mod alerting;
mod limits;
mod sections;
mod telemetry;

pub use alerting::*;
pub use sections::*;
pub use telemetry::*;

use crate::server::HttpLimits;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
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
    pub probes: Probes,
    pub postgres: Postgres,
    pub flight: Flight,
    pub alerting: Alerting,
    pub sql: Sql,
    pub promql: Promql,
    pub scrape: Scrape,
    pub log: Log,
    pub telemetry: Telemetry,
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
            probes: Probes::default(),
            postgres: Postgres::default(),
            flight: Flight::default(),
            alerting: Alerting::default(),
            sql: Sql::default(),
            promql: Promql::default(),
            scrape: Scrape::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
        }
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
        let others = [&mut alerting.config, &mut alerting.path, &mut alerting.forward.ca_file];
        for path in alerting.rules.iter_mut().chain(others) {
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
            ("alerting.forward.password".to_owned(), &mut settings.alerting.forward.password),
            ("alerting.forward.bearer_token".to_owned(), &mut settings.alerting.forward.bearer_token),
        ];
        let headers = settings.telemetry.headers.iter_mut();
        let secrets = settings.kafka.properties.iter_mut().chain(settings.storage.options.iter_mut()).chain(headers);
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
            ("http.connections_max", self.http.connections_max),
            ("postgres.connections_max", self.postgres.connections_max),
            ("flight.connections_max", self.flight.connections_max),
            ("flight.prepared_max", self.flight.prepared_max),
            ("promql.samples_max", self.promql.samples_max),
            ("promql.points_max", self.promql.points_max),
            ("alerting.forward.queue_max", self.alerting.forward.queue_max),
            ("alerting.forward.batch_max", self.alerting.forward.batch_max),
        ];
        self.telemetry.check(mistake);
        if self.probes.commit_failures_max == 0 {
            mistake("probes.commit_failures_max", "expected at least 1, found 0".to_owned());
        }
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
        if let Err(message) = self.alerting.forwarding() {
            mistake("alerting.alertmanagers", message);
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
            ("probes.stuck_after", self.probes.stuck_after),
            ("postgres.idle_timeout", self.postgres.idle_timeout),
            ("alerting.forward.timeout", self.alerting.forward.timeout),
            ("alerting.amend.wait_max", self.alerting.amend.wait_max),
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
            cache_bytes_max: own.cache_bytes_max,
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

    /// What clients over HTTP may take.
    pub fn http_limits(&self) -> HttpLimits {
        let Http { connections_max, head_timeout, body_timeout, .. } = self.http;
        HttpLimits { connections_max, head_timeout, body_timeout }
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
