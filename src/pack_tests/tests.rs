use super::file::read;
use super::*;
use crate::packs;
use std::path::{Path, PathBuf};

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/black_box/packs/shop")
}

async fn bench() -> Bench {
    Bench::new(packs::load(&[shop().display().to_string()], tidewatch_query::Checking::Plans).await.unwrap()).unwrap()
}

#[tokio::test]
async fn tests_pass_in_every_way() {
    let bench = bench().await;
    let cases = read_folder(&shop()).unwrap();
    assert_eq!(cases.len(), 3);
    for case in &cases {
        let report = bench.run(case).await;
        assert_eq!(report.failure, None, "{}", report.name);
        assert_eq!(report.ways, [1, 6, 6][cases.iter().position(|c| c.name == case.name).unwrap()]);
    }
}

const ORDER: &str =
    "order_created: { at: \"2026-03-14T12:00:01Z\", tenant: \"creator:c1\", order_id: o1, total_minor: 1 }";

async fn failure(bench: &Bench, text: &str) -> String {
    bench.run(&read("t.yaml", 0, text).unwrap()).await.failure.unwrap()
}

#[tokio::test]
async fn failures_show_the_rows_and_where() {
    let bench = bench().await;
    let text = |sql: &str, rows: &str| {
        format!("name: n\nevents:\n  - {ORDER}\n  - {ORDER}\nqueries:\n  - sql: {sql}\n    rows: {rows}\n")
    };
    let said = failure(&bench, &text("SELECT sum(orders) FROM orders", "3")).await;
    assert_eq!(said, "  t.yaml:6: SELECT sum(orders) FROM orders\n    - 3\n    + 2\n");
    let said = failure(&bench, &text("SELECT o FROM orders", "3")).await;
    assert!(said.contains("t.yaml:6: No field named o"), "{said}");
    let said = failure(&bench, &text("SELECT 1 FROM nowhere", "3")).await;
    assert!(said.contains("t.yaml:6: table 'nowhere' not found"), "{said}");
    let said = failure(&bench, &text("SELEKT", "3")).await;
    assert!(said.contains("t.yaml:6: "), "{said}");
}

#[tokio::test]
async fn events_that_would_not_count_fail_a_test() {
    let bench = bench().await;
    for (event, expected) in [
        (
            "order_created: { at: \"2026-03-14T12:00:01Z\", tenant: \"a:b\", order_id: o1 }",
            "t.yaml:3: the event would be a dead letter",
        ),
        ("order_created: { tenant: \"a:b\", order_id: o1, total_minor: 1 }", "time"),
        (
            "order_bought: { at: \"2026-03-14T12:00:01Z\" }",
            "t.yaml:3: no source named order_bought\n    hint: there are order_created, order_lost, order_shipped",
        ),
    ] {
        let said =
            failure(&bench, &format!("name: n\nevents:\n  - {event}\nqueries:\n  - sql: SELECT 1\n    rows: 1\n"))
                .await;
        assert!(said.contains(expected), "{event}\n  expected {expected}\n  found {said}");
    }
}

#[test]
fn mistakes_in_files_have_a_line() {
    for (text, expected) in [
        ("name: n\nevent: []\nqueries: []", "t.yaml:12: unknown field `event`"),
        ("name: n\nqueries: []", "t.yaml:11: the test asks nothing"),
        ("name: n\nnow: noon\nqueries:\n  - { sql: SELECT 1, rows: 1 }", "t.yaml:12: now: expected a moment"),
        ("name: n\nqueries:\n  - sql: SELECT 1", "t.yaml:13: queries[0]: missing field `rows`"),
        ("name: n\nevents:\n  - a: {}\n  - b\nqueries: [{ sql: x, rows: x }]", "t.yaml:14: "),
        (
            "name: n\nevents:\n  - a: {}\n  - b: {}\n    c: 1\nqueries: [{ sql: x, rows: x }]",
            "t.yaml:14: `c` stands beside `b`",
        ),
        (
            "name: n\nevents:\n  - a: { tenant: c1 }\nqueries: [{ sql: x, rows: x }]",
            "t.yaml:13: tenant: expected \"kind:id\"",
        ),
        (
            "name: n\nevents:\n  - a: { x: .inf }\nqueries: [{ sql: x, rows: x }]",
            "t.yaml:13: x: JSON has no infinities",
        ),
    ] {
        let said = read("t.yaml", 10, text).unwrap_err().join("\n");
        assert!(said.contains(expected), "{text}\n  expected {expected}\n  found    {said}");
    }
}
