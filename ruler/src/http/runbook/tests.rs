use crate::Ruler;
use crate::testing::bench::{Bench, NOBODY, groups};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

const RULES: &str = r#"
groups:
  - name: shop
    interval: 10s
    rules:
      - alert: payment_failure
        expr: errors > 5
        for: 10s
        keep_firing_for: 1m
        labels: {severity: critical, policy: E3}
        annotations:
          summary: '{{ $value }} <b>payments</b> of {{ $labels.shop }}'
          description: 'Ask the provider & wait.'
        tidewatch: {resolve_below: 3}
      - alert: 'odd name/1'
        expr: errors < 0
"#;

const START_MS: i64 = 1_800_000_000_000;

fn get(bench: &Bench, ruler: &Ruler, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    bench.runtime.block_on(async {
        let response = ruler.routes().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    })
}

#[test]
fn a_runbook_says_what_the_rule_says_and_what_fires() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), NOBODY, |_| {});
    let (status, page) = get(&bench, &ruler, "/runbooks/payment_failure");
    assert_eq!(status, 200);
    for part in [
        "Ask the provider &amp; wait.",
        "<pre>errors &gt; 5</pre>",
        "holds for 10s",
        "at 3 again",
        "<td>E3</td>",
        "Nothing fires now.",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for at_ms in [START_MS, START_MS + 10_000] {
        bench.data.push(&[("__name__", "errors"), ("shop", "a")], at_ms, 9.0);
        bench.tick(&ruler, at_ms);
    }
    let (_, page) = get(&bench, &ruler, "/runbooks/payment_failure?shop=a");
    assert!(page.contains("9 &lt;b&gt;payments&lt;/b&gt; of a since 2027-01-15 08:00:10 UTC"), "{page}");
    let link = page.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let (status, why) = get(&bench, &ruler, link);
    assert_eq!(status, 200, "{link}");
    assert!(why.contains("payment_failure"), "{why}");
    let (_, page) = get(&bench, &ruler, "/runbooks/payment_failure?shop=b");
    assert!(page.contains("Nothing fires now."), "{page}");
}

#[test]
fn all_are_listed_and_an_unknown_one_is_not_found() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), NOBODY, |_| {});
    let (_, page) = get(&bench, &ruler, "/runbooks");
    assert!(page.contains("<a href=\"/runbooks/odd%20name%2F1\">odd name/1</a>: errors &lt; 0"), "{page}");
    assert_eq!(get(&bench, &ruler, "/runbooks/odd%20name%2F1").0, 200);
    let (status, page) = get(&bench, &ruler, "/runbooks/%3Cscript%3E");
    assert_eq!(status, 404);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}
