//! The catalogue of our own metrics: every name, kind and meaning in one reviewed place.
//!
//! Base units; counters end in `_total`. Nothing here counts per series: cardinality stays that of the
//! labels named.

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, in buckets.
    Histogram,
}

/// One metric of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricDef {
    /// Full name.
    pub name: &'static str,
    /// Kind.
    pub kind: MetricKind,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($(#[$all_doc:meta])* $all:ident; $($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: MetricDef = MetricDef { name: $name, kind: MetricKind::$kind, help: $help, labels: &[$($label),*] };
        )*
        $(#[$all_doc])*
        pub const $all: &[MetricDef] = &[$($id),*];
    };
}

metrics! {
    /// All metrics of the ingest path.
    INGEST;
    RECORDS = Counter "tidewatch_ingest_records_total" ["topic"] "Records read from a source.";
    RECORD_BYTES = Counter "tidewatch_ingest_record_bytes_total" ["topic"] "Bytes of record bodies read from a source.";
    EVENTS = Counter "tidewatch_ingest_events_total" ["source"] "Events counted into the rollups of a source.";
    EVENTS_IGNORED = Counter "tidewatch_ingest_events_ignored_total" ["topic", "declared"] "Events that no rollup reads; declared says whether their type is known at all.";
    DEAD_LETTERS = Counter "tidewatch_ingest_dead_letters_total" ["reason"] "Records that could not be used and were kept as dead letters.";
    ENUM_UNKNOWN = Counter "tidewatch_ingest_enum_unknown_total" ["source", "field"] "Events counted under the value other because an enumeration does not list theirs.";
    TIME_FALLBACK = Counter "tidewatch_ingest_time_fallback_total" ["source"] "Events without time, dated by another field or by their record.";
    LATE_EVENTS = Counter "tidewatch_ingest_late_events_total" ["source"] "Events older than the watermark of their partition; they count all the same.";
    DUPLICATES = Counter "tidewatch_ingest_duplicates_total" ["source"] "Copies of events that were counted before; they do not count.";
    REMEMBERED = Gauge "tidewatch_ingest_remembered_ids" [] "Ids of counted events in memory, by which copies are known.";
    REMEMBERED_BYTES = Gauge "tidewatch_ingest_remembered_bytes" [] "Memory of the ids of counted events.";
    REMEMBERED_EVICTED = Counter "tidewatch_ingest_remembered_ids_evicted_total" [] "Ids forgotten before their time because of dedupe.ids_max; copies of their events would count.";
    PERSONAL_VALUES = Counter "tidewatch_ingest_personal_values_total" ["source", "action"] "Values of personal keys in the events of a source, or in dead_letters, by what is kept of them: nothing (drop) or a salted hash (hash).";
    HISTOGRAM_REFUSED = Counter "tidewatch_ingest_histogram_refused_total" ["rollup"] "Negative values that a histogram has no bucket for.";
    WITHOUT_VALUE = Counter "tidewatch_ingest_expressions_without_value_total" ["source"] "Expressions of rollups that have no value for an event (overflow, division by zero, a failing cast) and count as null.";
    FOLDED = Counter "tidewatch_ingest_series_folded_events_total" ["rollup"] "Events counted under __other__ because their tenant has as many series of the rollup and day as its budget allows.";
    SERIES = Gauge "tidewatch_ingest_series_admitted" [] "Series of the newest days that have rows of their own, all rollups together.";
    COMMITS = Counter "tidewatch_commit_total" ["table", "outcome"] "Commits by outcome: committed, already_committed, must_replay, failed.";
    COMMIT_ROWS = Counter "tidewatch_commit_rows_total" ["table"] "Rows of partials committed.";
    COMMIT_SECONDS = Histogram "tidewatch_commit_duration_seconds" [] "Time from handing a flush to the committer until all tables have it.";
    REPLAYS = Counter "tidewatch_ingest_replays_total" [] "Times the worker threw its states away and went back to the committed positions.";
    OPEN_ROWS = Gauge "tidewatch_ingest_open_rows" [] "Rows of partials in memory that no commit covers yet.";
    OPEN_BYTES = Gauge "tidewatch_ingest_open_bytes" [] "Memory of the states that are still being counted into.";
    PAUSED = Gauge "tidewatch_ingest_paused" [] "1 while reading is paused because commits do not keep up.";
    PARTITIONS = Gauge "tidewatch_ingest_partitions" [] "Partitions that this process reads.";
    LAG = Gauge "tidewatch_ingest_lag_records" ["topic", "partition"] "Records in the partition after the last one read.";
    POSITION = Gauge "tidewatch_ingest_committed_offset" ["topic", "partition"] "Last offset that every table has committed.";
    WATERMARK = Gauge "tidewatch_ingest_watermark_timestamp_seconds" ["topic", "partition"] "Watermark of the partition.";
    LAST_COMMIT = Gauge "tidewatch_commit_last_timestamp_seconds" [] "When the last flush was committed to all tables.";
    STALENESS = Gauge "tidewatch_commit_staleness_intervals" [] "How long the oldest counted row has waited for its commit, in flush intervals of its worker; the most of all workers. 1 is usual, 0 is all committed.";
}

metrics! {
    /// All metrics of the maintenance of tables.
    MAINTENANCE;
    TABLE_FILES = Gauge "tidewatch_table_files" ["table", "tier"] "Live files of a table; tier is empty for tables without tiers.";
    TABLE_BYTES = Gauge "tidewatch_table_bytes" ["table", "tier"] "Size of the live files of a table.";
    MAINTENANCE_TASKS = Counter "tidewatch_maintenance_tasks_total" ["kind", "outcome"] "Maintenance tasks by kind (roll, merge, expire, checkpoint, vacuum) and outcome (done, conflict, failed).";
    MAINTENANCE_SECONDS = Histogram "tidewatch_maintenance_task_duration_seconds" ["kind"] "Time that a maintenance task took.";
    VACUUMED_FILES = Counter "tidewatch_maintenance_vacuumed_files_total" ["table"] "Data files deleted because no live version needs them.";
}

metrics! {
    /// All metrics of the query path.
    QUERY;
    SQL_QUERIES = Counter "tidewatch_sql_queries_total" ["outcome"] "Queries over HTTP by outcome: ok, canceled (their client went away), or the code of the error.";
    SQL_CACHE = Counter "tidewatch_sql_cache_total" ["outcome"] "Queries at the cache of answers: hit; miss; not_kept for those that depend on open windows or the time.";
    SQL_CACHE_EVICTED = Counter "tidewatch_sql_cache_evicted_total" [] "Answers thrown out of the cache because of sql.cache_bytes_max.";
    PROMQL_CACHE = Counter "tidewatch_promql_cache_total" ["outcome"] "Queries of PromQL at the cache of answers: hit; miss; not_kept for those that depend on open windows or on views.";
    PROMQL_CACHE_EVICTED = Counter "tidewatch_promql_cache_evicted_total" [] "Answers to PromQL thrown out of the cache because of promql.cache_bytes_max.";
    SQL_SECONDS = Histogram "tidewatch_sql_query_duration_seconds" [] "Time from the text of a query to its last row.";
    SCRAPES_TRUNCATED = Counter "tidewatch_scrapes_truncated_total" ["rollup"] "Scrapes that left series of a rollup out because of scrape.series_max.";
}

metrics! {
    /// All metrics of the local log and of what is pushed to it.
    PUSH;
    LOG_RECORDS = Counter "tidewatch_log_records_total" ["topic"] "Records appended to the local log and synced to disk.";
    LOG_BYTES = Gauge "tidewatch_log_bytes" [] "Bytes of records that the local log keeps; its bound is push.log_bytes_max.";
    LOG_SYNC_SECONDS = Histogram "tidewatch_log_sync_duration_seconds" [] "Time to write and sync what several requests append together.";
    LOG_REFUSED = Counter "tidewatch_log_appends_refused_total" ["reason"] "Appends that were refused: full (push.log_bytes_max of records that tables do not have yet), busy (too many wait for the disk).";
    LOG_DROPPED = Counter "tidewatch_log_records_dropped_total" ["topic", "reason"] "Records dropped from the local log once every table had them: retention (push.log_retention has passed) or bound (push.log_bytes_max was reached before).";
    LOG_FAILED = Gauge "tidewatch_log_failed" [] "1 when the local log cannot be written until the process is started again.";
    PUSH_REQUESTS = Counter "tidewatch_push_requests_total" ["outcome"] "Requests to POST /api/v1/events by outcome: accepted, or the code of the error.";
    PUSH_EVENTS = Counter "tidewatch_push_events_total" ["outcome"] "Events of accepted requests: accepted, dead_letter, ignored (of a type that no pack declares).";
    PUSH_SECONDS = Histogram "tidewatch_push_request_duration_seconds" [] "Time from the head of a request until its events are durable or refused.";
}

metrics! {
    /// All metrics of samples that others push.
    SAMPLES;
    SAMPLES_ACCEPTED = Counter "tidewatch_samples_accepted_total" ["protocol"] "Samples that were pushed and are durable, those that were sent before included; protocol is remote_write_1, remote_write_2, otlp, or own for what rules record and the process keeps of its own metrics.";
    SAMPLES_REFUSED = Counter "tidewatch_samples_refused_total" ["reason"] "Pushed samples that are not kept: no_name, labels (nameless or double), labels_max, series_max (of the tenant and day), time (in the future or before 1970), histogram (contradicts itself), delta (OTLP temporality).";
    SAMPLES_EXEMPLARS_DROPPED = Counter "tidewatch_samples_exemplars_dropped_total" [] "Exemplars of pushed samples, which are accepted and not kept.";
    SAMPLES_METADATA_DROPPED = Counter "tidewatch_samples_metadata_dropped_total" [] "Metadata of pushed metrics that was not remembered because there is too much of it.";
    SAMPLES_SERIES = Gauge "tidewatch_samples_series" [] "Series that were pushed today (UTC) since the process started; their bound per tenant is samples.series_max_per_tenant. 0 without a bound.";
}

metrics! {
    /// All metrics of the protocols of SQL clients.
    WIRE;
    WIRE_CONNECTIONS = Gauge "tidewatch_wire_connections" ["protocol"] "Open connections; protocol is http, postgres or flight.";
    WIRE_REFUSED = Counter "tidewatch_wire_refused_total" ["protocol", "reason"] "Clients turned away by reason: connections (there are too many), password, idle (silent for idle_timeout or, over HTTP, head_timeout), message (longer than any query may be), prepared (too many prepared statements).";
    WIRE_QUERIES = Counter "tidewatch_wire_queries_total" ["protocol", "outcome"] "Queries of SQL clients by outcome: ok, cancelled, or the code of the error.";
    WIRE_SECONDS = Histogram "tidewatch_wire_query_duration_seconds" ["protocol"] "Time from the text of a query to its last row, waiting for its turn included.";
}

metrics! {
    /// All metrics of the process as a whole.
    PROCESS;
    RELOADS = Counter "tidewatch_pack_reloads_total" ["outcome"] "Reloads of packs (SIGHUP) by outcome: applied; refused, for mistakes that the log names.";
    START_SECONDS = Gauge "tidewatch_start_duration_seconds" [] "Time from the start of the process until it served.";
    LAST_RELOAD_SUCCEEDED = Gauge "tidewatch_pack_last_reload_succeeded" [] "1 when the packs in use are those that were last asked for, 0 when their reload was refused.";
}
