use super::*;
use crate::definitions::Definitions;
use crate::testing::declared;
use crate::views::Checking;

async fn define(sql: &str) -> Definitions {
    declared().with_views(&[("views.sql".to_owned(), sql.to_owned())], Checking::Plans).await.unwrap()
}

const VIEWS: &str = "
CREATE VIEW error_ratio AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, api, requests > 9 AS is_busy,
       sum(cost) / sum(requests) AS value, sum(requests) AS calls, max(slowest) AS slowest_ms
FROM calls GROUP BY 1, 2, 3;
CREATE VIEW call_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, api AS quantile, 'x' AS window,
       quantile(duration_ms, 0.5) / 1000 AS p50, quantile(duration_ms, 0.999) / 1000 AS p999, sum(requests) AS count
FROM calls GROUP BY 1, 2;
CREATE VIEW api_now AS
SELECT api, max(window_start) AS seen, max(requests) > 1 AS is_up, max(slowest) AS p95, 1 AS value FROM calls GROUP BY 1;
CREATE VIEW months AS SELECT date_trunc('month', window_start) AS window_start, requests AS value FROM calls;
CREATE VIEW calls_requests_total AS SELECT 1 AS value;
CREATE VIEW error AS SELECT 2 AS ratio;
CREATE VIEW names AS SELECT api FROM calls;
";

#[tokio::test]
async fn columns_become_gauges_and_labels() {
    let definitions = define(VIEWS).await;
    let (all, shadowed) =
        gauges(definitions.views().map(AsRef::as_ref), &crate::promql::metrics(definitions.rollups()));
    let told = |gauge: &Gauge| {
        let labels: Vec<&str> = gauge.metric.labels.iter().map(|(label, _)| label.as_str()).collect();
        let Gauge { metric, quantile } = gauge;
        let quantile = quantile.as_deref().unwrap_or("-");
        format!(
            "{} {} {} {quantile} {:?} [{}]",
            metric.name,
            metric.measure,
            metric.scale,
            metric.unit,
            labels.join(" ")
        )
    };
    let told: Vec<String> = all.iter().flat_map(|view| &view.gauges).map(told).collect();
    assert_eq!(
        told,
        [
            "api_now_seen_timestamp_seconds seen 1 - \"seconds\" [api]",
            "api_now_is_up is_up 1 - \"\" [api]",
            "api_now_p95 p95 1 - \"\" [api]",
            "api_now value 1 - \"\" [api]",
            "call_seconds p50 1 0.5 \"seconds\" [exported_quantile window quantile]",
            "call_seconds p999 1 0.999 \"seconds\" [exported_quantile window quantile]",
            "call_seconds_count count 1 - \"\" [exported_quantile window]",
            "error_ratio value 1 - \"\" [api is_busy]",
            "error_ratio_calls calls 1 - \"\" [api is_busy]",
            "error_ratio_slowest_seconds slowest_ms 1000 - \"seconds\" [api is_busy]",
        ]
    );
    let shadowed: Vec<String> = shadowed.iter().map(|s| format!("{} {} by {}", s.name, s.column, s.by)).collect();
    assert_eq!(
        shadowed,
        [
            "calls_requests_total calls_requests_total.value by the rollup calls",
            "error_ratio error.ratio by column error_ratio.value",
        ]
    );
}

#[test]
fn a_selector_that_names_no_metric_means_no_view() {
    use tidewatch_promql::{MatchOp, Matcher};
    let matcher = |op, value: &str| [Matcher::new("__name__", op, value).unwrap()];
    assert!(matches!(Named::of(&matcher(MatchOp::Equal, "x")), Named::One("x")));
    assert!(matches!(Named::of(&matcher(MatchOp::Regex, "x.+")), Named::Fitting));
    assert!(matches!(Named::of(&matcher(MatchOp::Regex, ".*")), Named::None));
    assert!(matches!(Named::of(&matcher(MatchOp::NotEqual, "x")), Named::None));
    assert!(matches!(Named::of(&[Matcher::equal("api", "a")]), Named::None));
    assert!(may_have("api_now", "api_now") && may_have("api", "api_now") && !may_have("api_no", "api_now"));
}
