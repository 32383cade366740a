use super::*;
use crate::Table;
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder.to_str().unwrap(), HashMap::new()).unwrap()
}

async fn append(table: &mut Table, value: i64) {
    let batch = RecordBatch::try_new(table.schema(), vec![Arc::new(Int64Array::from(vec![value]))]).unwrap();
    table.append(&crate::Rows { batch: Some(batch), ..Default::default() }).await.unwrap();
}

#[tokio::test]
async fn files_are_written_listed_read_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert!(store.list_files("").await.unwrap().is_empty());
    store.write_file("a/tier=1m/x", Bytes::from_static(b"one")).await.unwrap();
    store.write_file("b", Bytes::from_static(b"two!")).await.unwrap();
    let file = |path: &str, bytes| StoredFile { path: path.to_owned(), bytes };
    assert_eq!(store.list_files("").await.unwrap(), [file("a/tier=1m/x", 3), file("b", 4)]);
    assert_eq!(store.list_files("a").await.unwrap(), [file("a/tier=1m/x", 3)]);
    assert_eq!(store.read_file("b").await.unwrap().unwrap(), "two!");
    store.remove_file("b").await.unwrap();
    store.remove_file("b").await.unwrap();
    assert_eq!(store.read_file("b").await.unwrap(), None);
}

#[tokio::test]
async fn a_version_needs_its_checkpoint_and_what_came_after_it() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, copied) = (open(folder.path()), open(copy.path()));
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
    let mut table = Table::open_or_create(&store, "t", &schema, &[]).await.unwrap();
    append(&mut table, 1).await;
    append(&mut table, 2).await;
    assert_eq!(store.log_files("t", 1).await.unwrap().needed.len(), 2, "commits 0 and 1");
    table.checkpoint(1, std::time::Duration::from_secs(3600), 0).await.unwrap();
    append(&mut table, 3).await;
    let needed = store.log_files("t", table.version()).await.unwrap().needed;
    let names: Vec<&str> = needed.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect();
    let expected =
        ["00000000000000000002.checkpoint.parquet", "00000000000000000002.json", "00000000000000000003.json"];
    assert_eq!(names, expected);

    // The copy has nothing but the newest version, and is a table.
    let data = table.files(None).unwrap().into_iter().map(|file| format!("t/{}", file.path));
    for path in needed.iter().map(|file| file.path.clone()).chain(data) {
        copied.write_file(&path, store.read_file(&path).await.unwrap().unwrap()).await.unwrap();
    }
    let kept = copied.checkpoint_at("t", 3).await.unwrap();
    for file in copied.list_files("t/_delta_log").await.unwrap() {
        if !kept.contains(&file.path) {
            copied.remove_file(&file.path).await.unwrap();
        }
    }
    let mut restored = copied.table("t").await.unwrap().unwrap();
    assert_eq!((restored.version(), restored.files(None).unwrap()), (3, table.files(None).unwrap()));
    append(&mut restored, 4).await;
    assert_eq!(restored.version(), 4, "it goes on");
}
