use super::*;
use futures::TryStreamExt;

fn path(folder: &tempfile::TempDir, name: &str) -> Path {
    Path::from_absolute_path(folder.path().join(name)).unwrap()
}

#[tokio::test]
async fn a_second_create_is_refused_and_the_first_content_stays() {
    let (store, folder) = (SyncedFiles::new(), tempfile::tempdir().unwrap());
    let at = path(&folder, "log/0.json");
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&at, "first".into(), create()).await.unwrap();
    let error = store.put_opts(&at, "second".into(), create()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), "first");
    store.put(&at, "third".into()).await.unwrap();
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), "third");
    let names: Vec<_> = store.list(Some(&path(&folder, "log"))).map_ok(|o| o.location).try_collect().await.unwrap();
    assert_eq!(names, [at], "nothing staged is left");
}

#[tokio::test]
async fn uploads_in_parts_copies_and_renames_arrive() {
    let (store, folder) = (SyncedFiles::new(), tempfile::tempdir().unwrap());
    let mut upload = store.put_multipart(&path(&folder, "a")).await.unwrap();
    upload.put_part("one ".into()).await.unwrap();
    upload.put_part("two".into()).await.unwrap();
    upload.complete().await.unwrap();
    store.copy(&path(&folder, "a"), &path(&folder, "b/c")).await.unwrap();
    store.rename(&path(&folder, "a"), &path(&folder, "d")).await.unwrap();
    for name in ["b/c", "d"] {
        assert_eq!(store.get(&path(&folder, name)).await.unwrap().bytes().await.unwrap(), "one two");
    }
    assert!(store.head(&path(&folder, "a")).await.is_err());
}
