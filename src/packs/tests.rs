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
