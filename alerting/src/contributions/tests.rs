use std::sync::Arc;

use tidewatch_promql::Histogram;

use super::*;
use crate::memory::Memory;
use crate::rules::{LoadOptions, Rule, load};

const NOW_MS: i64 = 1_800_000_000_000;
const MINUTE_MS: i64 = 60_000;

fn rule(expr: &str) -> Arc<AlertingRule> {
    let mut text = String::from("groups: [{name: g, rules: [{alert: A, labels: {severity: page}, expr: ");
    text.push_str(&serde_json::to_string(expr).unwrap());
    text.push_str("}]}]");
    let mut groups = load("r.yml", &text, LoadOptions::default()).unwrap().groups;
    let Rule::Alerting(rule) = groups.remove(0).rules.remove(0) else { panic!("no alert") };
    rule
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied())
}

fn alert(pairs: &[(&str, &str)]) -> Labels {
    labels(pairs).with("alertname", "A").with("severity", "page")
}

/// A counter that grows evenly in the ten minutes up to an instant; `increase` of five of them is five times `each`.
fn count(memory: &mut Memory, series: &[(&str, &str)], until_ms: i64, each: f64) {
    for minute in 0..=10 {
        let time_ms = until_ms - (10 - minute) * MINUTE_MS;
        memory.push(&labels(series), time_ms, &Sample::Float(minute as f64 * each));
    }
}

fn observe(memory: &mut Memory, series: &[(&str, &str)], until_ms: i64, each: &[f64]) {
    let bounds = [0.1, 0.2];
    for minute in 0..=10 {
        let counts: Vec<f64> = each.iter().map(|n| n * minute as f64).collect();
        let histogram = Histogram::custom(bounds, &counts, 1.0);
        memory.push(&labels(series), until_ms - (10 - minute) * MINUTE_MS, &Sample::Histogram(Arc::new(histogram)));
    }
}

fn asked(memory: &Memory, expr: &str, alert: &Labels, value: f64) -> Found {
    let rule = rule(expr);
    let asked = Asked { rule: &rule, labels: alert, value, time_ms: NOW_MS };
    explain(&asked, &Options::default(), memory).unwrap()
}

fn shown(found: &Found) -> Vec<String> {
    found.contributions.iter().map(crate::receiver::text::share).collect()
}

#[test]
fn conditions_go_where_every_series_of_the_answer_meets_them() {
    let both = [("tenant", "t"), ("shop", "s")];
    for (expr, alert_labels, restricted) in [
        (
            r#"sum by (tenant, shop) (rate(m{x="1"}[5m])) > 5"#,
            &both[..],
            r#"sum by (tenant, shop) (rate(m{shop="s",tenant="t",x="1"}[5m]))"#,
        ),
        // No shop is a shop of its own.
        ("sum by (tenant, shop) (m) > 5", &both[..1], r#"sum by (tenant, shop) (m{shop="",tenant="t"})"#),
        ("sum without (shop) (m) > 5", &both[..1], r#"sum without (shop) (m{tenant="t"})"#),
        // What the inner groups have beyond the outer ones is not known.
        (
            "max by (tenant) (sum by (tenant, shop) (m)) > 5",
            &both[..1],
            r#"max by (tenant) (sum by (tenant, shop) (m{tenant="t"}))"#,
        ),
        ("5 < m", &both, r#"m{shop="s",tenant="t"}"#),
        ("(a / b and c > 3) > 5", &both, r#"a{shop="s",tenant="t"} / b{shop="s",tenant="t"}"#),
        (
            "a / on (tenant) group_left (plan) b > 5",
            &both,
            r#"a{shop="s",tenant="t"} / on (tenant) group_left (plan) b{tenant="t"}"#,
        ),
        ("a * on (tenant) b > 5", &both[..1], r#"a{tenant="t"} * on (tenant) b{tenant="t"}"#),
        ("sum by (tenant) (a and on (shop) b) > 5", &both[..1], r#"sum by (tenant) (a{tenant="t"} and on (shop) b)"#),
        ("a unless ignoring (shop) b > 5", &both, r#"a{shop="s",tenant="t"}"#),
        ("topk by (tenant) (3, m) > 5", &both, r#"topk by (tenant) (3, m{tenant="t"})"#),
        // The rule has set the severity; what the series' own is nobody knows.
        ("sum by (severity, tenant) (m) > 5", &both[..1], r#"sum by (severity, tenant) (m{tenant="t"})"#),
        (r#"label_replace(m, "shop", "$1", "x", "(.*)") > 5"#, &both, r#"label_replace(m, "shop", "$1", "x", "(.*)")"#),
        ("a / scalar(b) > 5", &both, r#"a{shop="s",tenant="t"} / scalar(b)"#),
        (
            "histogram_quantile(0.9, sum by (tenant, le) (rate(h_bucket[5m]))) > 5",
            &both[..1],
            r#"histogram_quantile(0.9, sum by (tenant, le) (rate(h_bucket{tenant="t"}[5m])))"#,
        ),
        ("max_over_time(m[1h:5m]) > 5", &both, r#"max_over_time(m{shop="s",tenant="t"}[1h:5m])"#),
    ] {
        let (rule, alert) = (rule(expr), alert(alert_labels));
        let asked = Asked { rule: &rule, labels: &alert, value: 0.0, time_ms: 0 };
        let texts: Vec<String> = valued(&asked).iter().map(|valued| valued.expr.to_string()).collect();
        assert_eq!(texts, [restricted], "{expr}");
    }
    let (none, either) = (rule("vector(1)"), rule("(a > 3) or (b < 2)"));
    let alert = alert(&[]);
    let values = |rule: &AlertingRule| valued(&Asked { rule, labels: &alert, value: 0.0, time_ms: 0 }).len();
    assert_eq!((values(&none), values(&either)), (0, 2));
}

#[test]
fn what_can_be_taken_apart() {
    for (expr, operands) in [
        ("sum by (a) (increase(m[5m]))", &["increase(m[5m])"][..]),
        ("sum(m)", &["m"]),
        ("count by (a) (m > 3)", &["m > 3"]),
        ("100 * (1 - sum(m) / (60 * sum(n)))", &["m", "n"]),
        ("sum by (a, b) (m) / sum by (b, a) (n)", &["m", "n"]),
        (
            "histogram_sum(sum(rate(h[5m]))) / histogram_count(sum(rate(h[5m]))) / 10000",
            &["histogram_sum(rate(h[5m]))", "histogram_count(rate(h[5m]))"],
        ),
        ("histogram_quantile(0.95, sum by (a) (rate(h[5m])))", &["rate(h[5m])"]),
        ("-sum(m)", &["m"]),
        // Neither add up, nor are they a ratio by the same labels.
        ("max by (a) (m)", &[]),
        ("m / n", &[]),
        ("sum by (a) (m) / on (a) group_left sum by (a) (n)", &[]),
        ("sum by (a) (m) / sum by (b) (n)", &[]),
        ("1 / sum(m)", &[]),
        ("sum(m) * scalar(n)", &[]),
        ("sum(m) * sum(n)", &[]),
        ("sum(m) ^ 2", &[]),
        ("histogram_quantile(scalar(q), sum(rate(h[5m])))", &[]),
    ] {
        let query = Query::parse(expr, Grammar::default()).unwrap();
        let shape = Shape::of(query.expr());
        let found: Vec<String> = shape.iter().flat_map(Shape::operands).map(ToString::to_string).collect();
        assert_eq!(found, operands, "{expr}");
    }
}

const ERROR_RATE: &str = r#"(sum by (tenant) (increase(calls_total{outcome=~"error|timeout"}[5m])) / sum by (tenant) (increase(calls_total[5m]))
  and sum by (tenant) (increase(calls_total[5m])) >= 20) > 0.05"#;

/// Calls of two providers, evenly over four shops; `errors` of 100 in a minute are timeouts.
fn calls(memory: &mut Memory, until_ms: i64, tenant: &str, errors: [(&str, f64); 2]) {
    for (provider, errors) in errors {
        for shop in ["s1", "s2", "s3", "s4"] {
            let series = |outcome| {
                [
                    ("__name__", "calls_total"),
                    ("tenant", tenant),
                    ("provider", provider),
                    ("shop", shop),
                    ("outcome", outcome),
                ]
            };
            count(memory, &series("timeout"), until_ms, errors / 4.0);
            count(memory, &series("success"), until_ms, (100.0 - errors) / 4.0);
        }
    }
}

#[test]
fn the_provider_that_makes_most_of_a_rise_of_errors_comes_first() {
    let mut memory = Memory::default();
    calls(&mut memory, NOW_MS - WEEK_MS, "t", [("ups", 1.0), ("usps", 1.0)]);
    calls(&mut memory, NOW_MS - WEEK_MS, "other", [("ups", 100.0), ("usps", 0.0)]);
    calls(&mut memory, NOW_MS, "t", [("ups", 19.0), ("usps", 3.0)]);
    calls(&mut memory, NOW_MS, "other", [("ups", 0.0), ("usps", 100.0)]);
    let found = asked(&memory, ERROR_RATE, &alert(&[("tenant", "t")]), 0.11);
    // 1 % of 200 calls a minute before, 11 % now: 18 of 20 errors more are of UPS.
    assert!((found.baseline.unwrap() - 0.01).abs() < 1e-12);
    assert_eq!(found.compared_with.as_deref(), Some("a week before"));
    assert_eq!(shown(&found), [r#"+90 % provider="ups""#, r#"+10 % provider="usps""#]);
    assert!((found.contributions[0].share - 0.9).abs() < 1e-9, "{found:?}");
}

#[test]
fn what_the_rule_tells_apart_itself_explains_only_what_nothing_else_does() {
    let mut memory = Memory::default();
    let series = |outcome| [("__name__", "calls_total"), ("tenant", "t"), ("outcome", outcome)];
    for (until_ms, timeouts) in [(NOW_MS - WEEK_MS, 1.0), (NOW_MS, 19.0)] {
        count(&mut memory, &series("timeout"), until_ms, timeouts);
        count(&mut memory, &series("error"), until_ms, 1.0);
        count(&mut memory, &series("success"), until_ms, 98.0);
    }
    let found = asked(&memory, ERROR_RATE, &alert(&[("tenant", "t")]), 0.17);
    assert!(shown(&found)[0].ends_with(r#"outcome="timeout""#), "{found:?}");
    let whole: f64 = found.contributions.iter().map(|part| part.share).sum();
    assert!((whole - 1.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn a_fall_against_yesterday_has_shares_of_both_signs() {
    let mut memory = Memory::default();
    for (shop, before, now) in [("a", 40.0, 10.0), ("b", 10.0, 20.0), ("c", 5.0, 5.0)] {
        let series = [("__name__", "orders_total"), ("shop", shop)];
        count(&mut memory, &series, NOW_MS - DAY_MS, before);
        count(&mut memory, &series, NOW_MS, now);
    }
    let found = asked(&memory, "60 * sum(rate(orders_total[5m])) < 40", &alert(&[]), 35.0);
    assert!(found.baseline.is_some_and(|baseline| (baseline - 55.0).abs() < 1e-9), "{found:?}");
    assert_eq!(found.compared_with.as_deref(), Some("a day before"));
    assert_eq!(shown(&found), [r#"+150 % shop="a""#, r#"-50 % shop="b""#]);
}

#[test]
fn without_yesterday_it_is_compared_with_the_stretch_before() {
    let mut memory = Memory::default();
    for (shop, each) in [("a", 1.0), ("b", 1.0)] {
        let series = [("__name__", "orders_total"), ("shop", shop)];
        count(&mut memory, &series, NOW_MS - 11 * MINUTE_MS, 2.0);
        for minute in 0..=10 {
            let more = if shop == "a" { 10.0 } else { each };
            let value = 22.0 + minute as f64 * more;
            memory.push(&labels(&series), NOW_MS - (10 - minute) * MINUTE_MS, &Sample::Float(value));
        }
    }
    let found = asked(&memory, "sum(rate(orders_total[10m])) > 0.1", &alert(&[]), 0.18);
    assert_eq!(found.compared_with.as_deref(), Some("10m before"));
    assert_eq!(shown(&found)[0], r#"+114 % shop="a""#);
}

#[test]
fn a_percentile_is_taken_apart_by_what_lies_above_the_old_one() {
    let mut memory = Memory::default();
    for (region, now) in [("eu", [90.0, 10.0, 0.0]), ("us", [50.0, 10.0, 40.0])] {
        let series = [("__name__", "seconds"), ("api", "rates"), ("region", region)];
        observe(&mut memory, &series, NOW_MS - WEEK_MS, &[90.0, 10.0]);
        observe(&mut memory, &series, NOW_MS, &now);
        for (le, place) in [("0.1", 0), ("0.2", 1), ("+Inf", 2)] {
            let bucket = [("__name__", "old_bucket"), ("api", "rates"), ("region", region), ("le", le)];
            let below = |counts: [f64; 3]| counts[..=place].iter().sum();
            count(&mut memory, &bucket, NOW_MS - WEEK_MS, below([90.0, 10.0, 0.0]));
            count(&mut memory, &bucket, NOW_MS, below(now));
        }
    }
    for expr in [
        "histogram_quantile(0.95, sum by (api) (rate(seconds[5m]))) > 0.15",
        "histogram_quantile(0.95, sum by (api, le) (rate(old_bucket[5m]))) > 0.15",
    ] {
        let found = asked(&memory, expr, &alert(&[("api", "rates")]), 0.2);
        assert!(found.baseline.is_some_and(|baseline| (0.1..0.2).contains(&baseline)), "{found:?}");
        assert_eq!(shown(&found), [r#"+100 % region="us""#], "{expr}");
    }
}

#[test]
fn with_nothing_to_compare_a_sum_is_shown_by_itself_and_a_ratio_not_at_all() {
    let mut memory = Memory::default();
    let mut alone = Memory::default();
    for (provider, failed) in [("stripe", 3.0), ("paypal", 1.0)] {
        let series = |outcome| [("__name__", "calls_total"), ("provider", provider), ("outcome", outcome)];
        // Ten minutes, of which the rule looks at five: the stretch before begins where the series do.
        for minute in 0..=4 {
            let time_ms = NOW_MS - (4 - minute) * MINUTE_MS;
            memory.push(&labels(&series("error")), time_ms, &Sample::Float(minute as f64 * failed));
            memory.push(&labels(&series("success")), time_ms, &Sample::Float(minute as f64 * 10.0));
        }
        alone.push(&labels(&series("error")), NOW_MS, &Sample::Float(failed));
    }
    let found = asked(&memory, r#"sum(rate(calls_total{outcome="error"}[5m])) > 0"#, &alert(&[]), 0.05);
    assert_eq!((found.baseline, found.compared_with.as_deref()), (None, None));
    assert_eq!(shown(&found), [r#"+75 % provider="stripe""#, r#"+25 % provider="paypal""#]);
    assert_eq!(asked(&memory, ERROR_RATE, &alert(&[]), 0.2), Found::default());
    // Neither are gauges that cannot be taken apart.
    assert_eq!(asked(&alone, "max(calls_total) > 2", &alert(&[]), 3.0), Found::default());
}

#[test]
fn a_value_that_is_no_sum_has_its_baseline_only() {
    let mut memory = Memory::default();
    for (time_ms, value) in [(NOW_MS - WEEK_MS, 1.5), (NOW_MS, 7.0)] {
        let series = |shop| labels(&[("__name__", "carrier_health_error_rate"), ("carrier", "ups"), ("shop", shop)]);
        memory.push(&series("a"), time_ms, &Sample::Float(value));
        memory.push(&series("b"), time_ms, &Sample::Float(1.0));
    }
    let one = alert(&[("carrier", "ups"), ("shop", "a")]);
    let found = asked(&memory, "carrier_health_error_rate > 5", &one, 7.0);
    assert_eq!((found.baseline, found.contributions.len()), (Some(1.5), 0));
    // Of an alternative that which has the alert's value.
    let found = asked(
        &memory,
        "(min by (carrier) (carrier_health_error_rate) < 0.5) or (max by (carrier) (carrier_health_error_rate) > 5)",
        &alert(&[("carrier", "ups")]),
        7.0,
    );
    assert_eq!(found.baseline, Some(1.5));
    // Not clear which: nothing, and no mistake.
    assert_eq!(asked(&memory, "carrier_health_error_rate > 5", &alert(&[("carrier", "ups")]), 7.0), Found::default());
}

#[test]
fn a_label_with_too_many_values_is_skipped() {
    let mut memory = Memory::default();
    let mut push = |order: usize, shop: &str, before: f64, now: f64| {
        let series = labels(&[("__name__", "open_orders"), ("order", &order.to_string()), ("shop", shop)]);
        memory.push(&series, NOW_MS - WEEK_MS, &Sample::Float(before));
        memory.push(&series, NOW_MS, &Sample::Float(now));
    };
    // One order makes it all, and would explain it best; 1001 are not looked at.
    push(0, "a", 0.0, 1000.0);
    (1..=parts::VALUES_MAX).for_each(|order| push(order, if order % 2 == 0 { "a" } else { "b" }, 1.0, 1.0));
    let found = asked(&memory, "sum(open_orders) > 1500", &alert(&[]), 2000.0);
    assert_eq!(shown(&found), [r#"+100 % shop="a""#]);
    // One fewer is looked at.
    let fewer = asked(&memory, r#"sum(open_orders{order!="1"}) > 1500"#, &alert(&[]), 1999.0);
    assert_eq!(shown(&fewer), [r#"+100 % order="0""#]);
}

#[test]
fn the_five_largest_are_named() {
    let mut memory = Memory::default();
    for (place, now) in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0].into_iter().enumerate() {
        let series = labels(&[("__name__", "queue"), ("name", &format!("q{place}"))]);
        memory.push(&series, NOW_MS - WEEK_MS, &Sample::Float(0.0));
        memory.push(&series, NOW_MS, &Sample::Float(now * 10.0));
    }
    // Less than half a percent is not shown.
    let found = asked(&memory, "sum(queue) > 100", &alert(&[]), 10210.0);
    assert_eq!(shown(&found), [r#"+98 % name="q6""#, r#"+1 % name="q5""#]);
    let found = asked(&memory, r#"sum(queue{name!="q6"}) > 100"#, &alert(&[]), 210.0);
    let names: Vec<&str> = found.contributions.iter().map(|part| part.label.as_str()).collect();
    assert_eq!(names, [r#"name="q5""#, r#"name="q4""#, r#"name="q3""#, r#"name="q2""#, r#"name="q1""#]);
}

#[test]
fn rounding_is_no_change() {
    let mut memory = Memory::default();
    for (shop, before, now) in [("a", 0.1, 0.3), ("b", 0.2, 0.0), ("c", 0.3, 0.3)] {
        let series = labels(&[("__name__", "level"), ("shop", shop)]);
        memory.push(&series, NOW_MS - WEEK_MS, &Sample::Float(before));
        memory.push(&series, NOW_MS, &Sample::Float(now));
    }
    let found = asked(&memory, "sum(level) > 0.5", &alert(&[]), 0.6);
    assert!(found.baseline.is_some() && found.contributions.is_empty(), "{found:?}");
}

#[test]
fn addresses_of_annotations_are_links() {
    let annotations = [
        ("dashboard_url", "https://g/d/1"),
        ("log_search_url", "http://logs?q=1"),
        ("runbook_url", "https://r"),
        ("summary", "https://not"),
        ("script_url", "javascript:alert(1)"),
        ("_url", "https://nameless"),
    ];
    let found = links(annotations);
    let pairs: Vec<(&str, &str)> = found.iter().map(|(title, address)| (title.as_str(), address.as_str())).collect();
    assert_eq!(pairs, [("dashboard", "https://g/d/1"), ("log search", "http://logs?q=1")]);
}
