use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

async fn mistakes(packs: &[String]) -> String {
    load(packs, Checking::Plans).await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_built_in_packs_are_without_mistakes() {
    let packs = load(&["builtin:creatorflow".to_owned()], Checking::Names).await.unwrap();
    assert!(packs.catalog.tables().len() > 5);
    assert!(packs.definitions.table("dead_letters").is_some());
    let samples = load(&["builtin:prometheus".to_owned()], Checking::Names).await.unwrap();
    let tables = samples.catalog.tables();
    let samples = tables.iter().find(|t| t.schema.name == "samples").unwrap();
    assert_eq!(samples.topics.iter().copied().collect::<Vec<_>>(), [tidewatch_ingest::samples::SAMPLES_TOPIC]);
    let unknown = mistakes(&["builtin:nothing".to_owned()]).await;
    assert!(unknown.contains("there is creatorflow"), "{unknown}");
}

#[tokio::test]
async fn a_pack_may_be_views_over_another_packs_rollups() {
    let views = "CREATE VIEW shops AS SELECT shop_id, sum(orders) AS orders FROM orders_received GROUP BY shop_id;";
    let mine = folder(&[("views.sql", views), ("rules.yaml", "groups: []"), ("README.md", "")]);
    let mine = mine.path().display().to_string();
    let packs = load(&["builtin:creatorflow".to_owned(), mine.clone()], Checking::Names).await.unwrap();
    assert_eq!(packs.definitions.views().filter(|v| v.name == "shops").count(), 1);
    let alone = mistakes(&[mine]).await;
    assert!(alone.contains("views.sql:1:") && alone.contains("no rollup or view named orders_received"), "{alone}");
}

#[tokio::test]
async fn what_is_missing_or_misspelt_is_said() {
    let said = mistakes(&["/nowhere/at/all".to_owned(), "builtin:nothing".to_owned()]).await;
    assert!(said.contains("/nowhere/at/all: ") && said.ends_with("2 mistakes in the packs"), "{said}");
    let empty = folder(&[]);
    assert!(mistakes(&[empty.path().display().to_string()]).await.contains("nothing is defined here"));
    let slip = folder(&[("view.sql", "")]);
    assert!(mistakes(&[slip.path().display().to_string()]).await.contains("view.sql: nothing reads this file"));
}

#[tokio::test]
async fn the_built_in_rules_read_what_there_is() {
    let packs = load(&["builtin:creatorflow".to_owned()], Checking::Plans).await.unwrap();
    assert_eq!(packs.warnings, [""; 0]);
    let names: Vec<&str> = packs.rules.iter().map(|group| &*group.name).collect();
    let expected = [
        "creatorflow-immediate",
        "creatorflow-live",
        "creatorflow-rollup",
        "creatorflow-days",
        "creatorflow-spikes",
        "creatorflow-silence",
    ];
    assert_eq!(names, expected);
    let shadowed: Vec<_> = tidewatch_query::promql::shadowed(&packs.definitions);
    assert_eq!(shadowed, []);
    // A rule reads what has a name in the catalogue by that name.
    let known = tidewatch_query::promql::known_names(&packs.definitions);
    for name in [
        "api_error_ratio",
        "carrier_status",
        "automation_health_score_ratio",
        "api_call_seconds",
        "order_exception_ratio",
    ] {
        assert!(known.contains(name), "{name}");
    }
}

/// Alone, and beside the other: a name may be in one of them only.
#[tokio::test]
async fn the_pack_platform_needs_no_other_and_disturbs_none() {
    let both = ["builtin:creatorflow".to_owned(), "builtin:platform".to_owned()];
    let alone = load(&both[1..], Checking::Plans).await.unwrap();
    assert_eq!(alone.warnings, [""; 0]);
    assert_eq!(tidewatch_query::promql::shadowed(&alone.definitions), []);
    let names: Vec<&str> = alone.rules.iter().map(|group| &*group.name).collect();
    let expected = ["platform-immediate", "platform-security", "platform-live", "platform-rollup", "platform-states"];
    assert_eq!(names, expected);
    let known = tidewatch_query::promql::known_names(&alone.definitions);
    for name in ["users_active_now", "service_dependency_up", "subscription_mrr_amount", "compliance_score_ratio"] {
        assert!(known.contains(name), "{name}");
    }
    let together = load(&both, Checking::Plans).await.unwrap();
    assert_eq!(together.warnings, [""; 0]);
    assert_eq!(tidewatch_query::promql::shadowed(&together.definitions), []);
}

/// It counts nothing, so it needs another one that does.
#[tokio::test]
async fn the_pack_engine_is_nothing_but_rules() {
    let packs = ["builtin:engine".to_owned(), "builtin:prometheus".to_owned()];
    let packs = load(&packs, Checking::Plans).await.unwrap();
    assert_eq!(packs.warnings, [""; 0]);
    let names: Vec<&str> = packs.rules.iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["engine-live", "engine-day"]);
}

const SHOP: [(&str, &str); 2] = [
    ("sources.yaml", "sources:\n  - name: call\n    topic: t\n    type: call\n    fields: {api: string}\n"),
    (
        "rollups.sql",
        "CREATE ROLLUP calls AS SELECT api, count(*) AS requests FROM call GROUP BY tumble(INTERVAL '10 seconds'), api;",
    ),
];

#[tokio::test]
async fn rules_are_refused_with_their_place_and_names_that_nothing_has_are_told() {
    let with = |rules: &str| folder(&[&SHOP[..], &[("rules.yaml", rules), ("rules_test.yaml", "")]].concat());
    let wrong = with("groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: sum(\n      - alert: B\n");
    let said = mistakes(&[wrong.path().display().to_string()]).await;
    assert!(
        said.contains("rules.yaml:5:") && said.contains("rules.yaml:6:") && said.ends_with("2 mistakes in the packs"),
        "{said}"
    );
    let doubtful = with(
        "groups:\n  - name: g\n    rules:\n      - record: api:calls\n        expr: rate(calls_requests_total[5m])\n      \
         - alert: A\n        expr: calls_request_total > 1 or api:calls or ALERTS or up == 0 or rate(calls_requests_total[5m])\n",
    );
    let packs = load(&[doubtful.path().display().to_string()], Checking::Plans).await.unwrap();
    assert_eq!((packs.rules.len(), packs.warnings.len()), (1, 1), "{:?}", packs.warnings);
    let warning = &packs.warnings[0];
    assert!(
        warning.contains("rules.yaml:7:") && warning.contains("\"A\": nothing is named calls_request_total"),
        "{warning}"
    );
    assert!(warning.contains("hint: of calls there is calls_requests_total"), "{warning}");
}
