//! What PromQL says of the built-in pack's views is what SQL says of them.

use crate::prometheus_api::served;
use crate::support::{Tidewatch, get};
use std::collections::BTreeMap;

/// Labels as text, and the number.
type Numbers = BTreeMap<String, f64>;

/// A column of a view: view, column, its metric, columns that are labels, and the width of its windows in seconds; none for views of now.
type Asked = (&'static str, &'static str, &'static str, &'static [&'static str], Option<i64>);

const VIEWS: [Asked; 11] = [
    ("api_error_ratio", "value", "api_error_ratio", &["tenant", "provider", "api"], Some(60)),
    ("api_error_ratio", "calls", "api_error_ratio_calls", &["tenant", "provider", "api"], Some(60)),
    (
        "api_call_seconds",
        "p95",
        "api_call_seconds{quantile=\"0.95\"}",
        &["tenant", "provider", "api", "operation"],
        Some(60),
    ),
    (
        "orders_received_total",
        "value",
        "orders_received_total",
        &["tenant", "shop", "channel", "priority", "impact"],
        Some(60),
    ),
    (
        "orders_processed_total",
        "value",
        "orders_processed_total",
        &["tenant", "shop", "is_automated", "priority"],
        Some(3600),
    ),
    ("order_exception_ratio", "value", "order_exception_ratio", &["tenant", "shop", "source"], Some(3600)),
    (
        "shipping_label_failure_ratio",
        "value",
        "shipping_label_failure_ratio",
        &["tenant", "carrier", "code"],
        Some(3600),
    ),
    ("api_availability_ratio", "value", "api_availability_ratio", &["tenant", "provider", "api"], Some(86_400)),
    ("orders_by_status", "value", "orders_by_status", &["tenant", "status", "priority", "impact"], None),
    ("shipments_pending", "value", "shipments_pending", &["tenant", "carrier", "overdue"], None),
    ("webhook_status", "value", "webhook_status", &["tenant", "provider", "shop", "status"], None),
];

#[test]
fn views_have_the_numbers_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = served(folder.path());
    // Twenty minutes from 12:00: the minute that ends at 12:10, the hour and the day that they lie in.
    let noon = chrono::DateTime::parse_from_rfc3339(crate::prometheus_api::START).unwrap().timestamp();
    let mut compared = 0;
    for (view, column, metric, labels, width) in VIEWS {
        let (end, condition) = match width {
            Some(60) => (noon + 600, Some(noon + 540)),
            Some(width) => {
                let start = noon - noon.rem_euclid(width);
                (start + width, Some(start))
            }
            None => (chrono::Utc::now().timestamp(), None),
        };
        // A narrow window may stand beside samples of earlier ones, by lookback; a wide one holds until the next ends.
        let found = match width {
            Some(60) => by_promql(&mut server, &format!("last_over_time({metric}[30s])"), end),
            _ => by_promql(&mut server, metric, end),
        };
        if let Some(width) = width.filter(|width| *width > 300) {
            assert_eq!(by_promql(&mut server, metric, end + width - 1), found, "{metric} holds");
            assert_eq!(by_promql(&mut server, metric, end + width), Numbers::new(), "{metric} has no newer window");
        }
        let expected = by_sql(&mut server, view, column, labels, condition);
        assert_eq!(found, expected, "{metric}");
        compared += expected.len();
    }
    assert!(compared > 50, "{compared} numbers are few");
    let names = String::from_utf8(server.get("/api/v1/label/__name__/values").body).unwrap();
    let metadata = String::from_utf8(server.get("/api/v1/metadata?metric=carrier_status").body).unwrap();
    assert!(names.contains("\"carrier_status\"") && metadata.contains("\"gauge\""), "{metadata}");
    server.stop();
}

fn by_promql(server: &mut Tidewatch, metric: &str, at: i64) -> Numbers {
    let encoded: String = metric.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = get(&server.address(), &format!("/api/v1/query?query={encoded}&time={at}"), &[]).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["status"], "success", "{metric}: {answer}");
    let one = |series: &serde_json::Value| {
        let labels = series["metric"].as_object().unwrap().iter();
        let labels = labels.filter(|(name, _)| !["__name__", "quantile"].contains(&name.as_str()));
        let labels: BTreeMap<&str, &str> =
            labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        (format!("{labels:?}"), series["value"][1].as_str().unwrap().parse().unwrap())
    };
    answer["data"]["result"].as_array().unwrap().iter().map(one).collect()
}

fn by_sql(server: &mut Tidewatch, view: &str, column: &str, labels: &[&str], start: Option<i64>) -> Numbers {
    let at = start.map(|start| format!(" AND window_start = to_timestamp({start})")).unwrap_or_default();
    let columns = labels.join(", ");
    let csv = server.sql(&format!(
        "SELECT {columns}, CAST({column} AS DOUBLE) AS number FROM {view} WHERE {column} IS NOT NULL{at}"
    ));
    let one = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        let number = cells.pop().unwrap().parse().unwrap();
        // NULL is no label.
        let labels: BTreeMap<&str, &str> =
            labels.iter().copied().zip(cells).filter(|(_, value)| !value.is_empty()).collect();
        (format!("{labels:?}"), number)
    };
    csv.lines().skip(1).map(one).collect()
}
