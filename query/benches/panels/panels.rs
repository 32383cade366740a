//! What dashboards ask, as both engines take it.

/// One query.
pub struct Panel {
    pub name: &'static str,
    /// The tier whose files DuckDB reads: the one that Tidewatch chooses.
    pub tier: &'static str,
    sql: &'static str,
    /// Whether it is about sketches, which DuckDB cannot read.
    has_sketches: bool,
}

const fn plain(name: &'static str, tier: &'static str, sql: &'static str) -> Panel {
    Panel { name, tier, sql, has_sketches: false }
}

const fn sketches(name: &'static str, tier: &'static str, sql: &'static str) -> Panel {
    Panel { name, tier, sql, has_sketches: true }
}

pub static PANELS: &[Panel] = &[
    sketches(
        "p95 by endpoint, 30 days",
        "1d",
        "SELECT endpoint, quantile(duration_ms, 0.95) FROM calls WHERE window_start >= ago(30 days) GROUP BY endpoint",
    ),
    sketches(
        "p95 by endpoint and hour, 2 days",
        "1h",
        "SELECT date_trunc('hour', window_start) AS t, endpoint, quantile(duration_ms, 0.95) FROM calls \
         WHERE window_start >= ago(2 days) GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    plain(
        "requests by hour, 30 days",
        "1h",
        "SELECT date_trunc('hour', window_start) AS t, sum(requests) FROM calls \
         WHERE window_start >= ago(30 days) GROUP BY 1 ORDER BY 1",
    ),
    plain(
        "requests by 5 minutes and endpoint, 30 days",
        "1m",
        "SELECT time_bucket(INTERVAL '5 minutes', window_start) AS t, endpoint, sum(requests) FROM calls \
         WHERE window_start >= ago(30 days) AND shop = 'shop-3' GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    plain(
        "error ratio by endpoint, 24 hours",
        "1h",
        "SELECT endpoint, sum(errors)::DOUBLE / sum(requests) AS ratio FROM calls \
         WHERE window_start >= ago(1 day) GROUP BY endpoint ORDER BY ratio DESC",
    ),
    plain(
        "requests by minute and endpoint, 6 hours",
        "1m",
        "SELECT date_trunc('minute', window_start) AS t, endpoint, sum(requests) FROM calls \
         WHERE window_start >= ago(6 hours) GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    plain(
        "ten endpoints with most errors, 7 days",
        "1d",
        "SELECT endpoint, sum(errors) AS n FROM calls WHERE window_start >= ago(7 days) GROUP BY 1 ORDER BY n DESC LIMIT 10",
    ),
    plain(
        "slowest by shop and 5 minutes, 24 hours",
        "1m",
        "SELECT time_bucket(INTERVAL '5 minutes', window_start) AS t, shop, max(slowest_ms) FROM calls \
         WHERE window_start >= ago(1 day) GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    plain(
        "cost by day and shop, 30 days",
        "1d",
        "SELECT date_trunc('day', window_start) AS t, shop, sum(cost_micro) FROM calls \
         WHERE window_start >= ago(30 days) GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    plain(
        "one endpoint by pane, 1 hour",
        "10s",
        "SELECT window_start, sum(requests), sum(errors) FROM calls \
         WHERE window_start >= ago(1 hour) AND endpoint = 'endpoint-7' GROUP BY 1 ORDER BY 1",
    ),
    plain(
        "all panes of all series, 1 day, one total",
        "1d",
        "SELECT sum(requests), sum(errors), sum(cost_micro), max(slowest_ms) FROM calls WHERE window_start >= ago(1 day)",
    ),
    plain("last 5 minutes, one number", "1m", "SELECT sum(requests) FROM calls WHERE window_start >= ago(5 minutes)"),
    plain(
        "busiest hour of the day, 30 days",
        "1h",
        "SELECT extract(hour FROM date_trunc('hour', window_start)) AS h, sum(requests) FROM calls \
         WHERE window_start >= ago(30 days) GROUP BY 1 ORDER BY 1",
    ),
];

impl Panel {
    /// As Tidewatch is asked.
    pub fn sql(&self) -> String {
        with_times(self.sql)
    }

    /// As DuckDB is asked.
    pub fn plain_sql(&self) -> Option<String> {
        (!self.has_sketches).then(|| with_times(self.sql))
    }
}

/// `ago(2 days)` is a moment before the end of the store, written out: the same for both.
fn with_times(sql: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("ago(") {
        let (span, after) = after.split_once(')').expect("a parenthesis");
        let (count, unit) = span.split_once(' ').expect("a number and a unit");
        let seconds = match unit.trim_end_matches('s') {
            "minute" => 60,
            "hour" => 3600,
            _ => 86_400,
        } * count.parse::<i64>().expect("a number");
        let moment = chrono::DateTime::from_timestamp_micros(crate::store::END_US - seconds * 1_000_000);
        text.push_str(before);
        text.push_str(&format!("TIMESTAMPTZ '{}'", moment.expect("a moment").format("%Y-%m-%dT%H:%M:%SZ")));
        rest = after;
    }
    text + rest
}
