//! The limits of the settings by name, for `system.limits`.

use super::Settings;
use std::time::Duration;
use tidewatch_engine::metrics as catalogue;
use tidewatch_query::gapfill;
use tidewatch_query::system::NamedLimit;

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Settings {
    /// Every limit with its value and the counter of what happens at it.
    pub fn named_limits(&self) -> Vec<NamedLimit> {
        let of = |name, setting, value, unit| NamedLimit { name, setting: Some(setting), value, unit, counter: None };
        let queries = |limit: NamedLimit, outcome| NamedLimit {
            counter: Some((catalogue::SQL_QUERIES.name, Some(("outcome", outcome)))),
            ..limit
        };
        let counted = |limit: NamedLimit, metric: &'static str| NamedLimit { counter: Some((metric, None)), ..limit };
        let letters = |limit: NamedLimit, reason| NamedLimit {
            counter: Some((catalogue::DEAD_LETTERS.name, Some(("reason", reason)))),
            ..limit
        };
        let (ingest, sql) = (&self.ingest, &self.sql);
        vec![
            of("rows of a flush", "ingest.flush_rows", count(ingest.flush_rows), "rows"),
            of("bytes of a flush", "ingest.flush_bytes", count(ingest.flush_bytes), "bytes"),
            letters(
                of("bytes of a record", "ingest.record_bytes_max", count(ingest.record_bytes_max), "bytes"),
                "record_too_large",
            ),
            letters(
                of("bytes of a text", "ingest.string_bytes_max", count(ingest.string_bytes_max), "bytes"),
                "string_too_long",
            ),
            letters(
                of("elements of an exploded array", "ingest.explode_max", count(ingest.explode_max), "rows"),
                "too_many_elements",
            ),
            of(
                "bytes kept of a dead letter",
                "ingest.dead_letter_bytes_max",
                count(ingest.dead_letter_bytes_max),
                "bytes",
            ),
            counted(
                of(
                    "series of a tenant, rollup and day",
                    "ingest.series_max_per_tenant",
                    count(ingest.series_max_per_tenant),
                    "series",
                ),
                catalogue::FOLDED.name,
            ),
            letters(
                of("time that an event may lie ahead", "ingest.future_max", ms(ingest.future_max), "ms"),
                "future_timestamp",
            ),
            counted(
                of("ids by which copies are known", "dedupe.ids_max", count(self.dedupe.ids_max), "ids"),
                catalogue::REMEMBERED_EVICTED.name,
            ),
            of("bytes of a maintenance task", "maintenance.task_bytes", long(self.maintenance.task_bytes), "bytes"),
            of("rows of a maintenance task", "maintenance.task_rows", long(self.maintenance.task_rows), "rows"),
            queries(of("rows of an answer", "sql.rows_max", count(sql.rows_max), "rows"), "row_limit"),
            queries(of("time of a query", "sql.timeout", ms(sql.timeout), "ms"), "timeout"),
            queries(
                of("memory of a query", "sql.memory_bytes_max", count(sql.memory_bytes_max), "bytes"),
                "memory_limit",
            ),
            of("disk of a query", "sql.spill_bytes_max", long(sql.spill_bytes_max), "bytes"),
            of("bytes of the text of a query", "sql.query_bytes_max", count(sql.query_bytes_max), "bytes"),
            counted(
                of("bytes of kept answers", "sql.cache_bytes_max", long(sql.cache_bytes_max), "bytes"),
                catalogue::SQL_CACHE_EVICTED.name,
            ),
            queries(
                of("queries at the same time", "sql.concurrency_max", count(sql.concurrency_max), "queries"),
                "busy",
            ),
            queries(
                of(
                    "queries of a client at the same time",
                    "sql.concurrency_per_client_max",
                    count(sql.concurrency_per_client_max),
                    "queries",
                ),
                "client_busy",
            ),
            NamedLimit {
                name: "rows that filling gaps may make",
                setting: None,
                value: count(gapfill::ROWS_MAX),
                unit: "rows",
                counter: None,
            },
            of("samples of a PromQL query", "promql.samples_max", count(self.promql.samples_max), "samples"),
            of("time of a PromQL query", "promql.timeout", ms(self.promql.timeout), "ms"),
            of("steps of a PromQL query", "promql.points_max", count(self.promql.points_max), "points"),
            counted(
                of(
                    "bytes of kept answers to PromQL",
                    "promql.cache_bytes_max",
                    long(self.promql.cache_bytes_max),
                    "bytes",
                ),
                catalogue::PROMQL_CACHE_EVICTED.name,
            ),
            counted(
                of("series on /metrics", "scrape.series_max", count(self.scrape.series_max), "series"),
                catalogue::SCRAPES_TRUNCATED.name,
            ),
        ]
    }
}
