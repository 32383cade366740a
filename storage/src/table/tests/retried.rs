//! A store whose client tries again after an answer was lost: it finds what its own first request has written.

use super::*;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

#[derive(Debug, Default)]
struct Retrying {
    files: InMemory,
    /// Is the answer to the next write that must be the first of its name lost?
    loses_answer: AtomicBool,
}

impl fmt::Display for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retrying {}", self.files)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Retrying {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_commit = location.as_ref().ends_with(".json");
        if is_commit && self.loses_answer.swap(false, Ordering::Relaxed) {
            self.files.put_opts(location, payload.clone(), options.clone()).await?;
        }
        self.files.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_replacement_that_finds_its_own_commit_keeps_its_files() {
    let files = Arc::new(Retrying::default());
    let store = Store::with_object_store(Url::parse("memory:///lake/").unwrap(), files.clone()).unwrap();
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    table.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    table.append(&rows(4, 9)).await.unwrap();
    let old = table.files(None).unwrap();
    let merged = Replacement {
        remove: old.iter().map(|file| file.path.clone()).collect(),
        add: vec![Part { tier: old[0].tier.clone(), rolled_up: false, batch: batch(0, 9) }],
        ..Replacement::default()
    };
    files.loses_answer.store(true, Ordering::Relaxed);
    let outcome = table.replace(&merged).await.unwrap();
    assert!(!files.loses_answer.load(Ordering::Relaxed), "no answer was lost");
    assert_eq!(outcome, ReplaceOutcome::Committed { version: table.version() });
    let mut reopened = store.table("calls").await.unwrap().unwrap();
    reopened.refresh().await.unwrap();
    let live = reopened.files(None).unwrap();
    assert_eq!(live.len(), 1);
    let read = reopened.read(&live[0].path, rollup().arrow_schema()).await.unwrap();
    assert_eq!(read[0].num_rows(), 1);
}
