//! An object store that fails as it is told: before a write, after it took effect, in the middle of a listing. A write
//! may also be under way for as long as the simulation likes, and reach the store after its writer has given up.
//!
//! What goes wrong is armed for one table and one kind of request, and strikes the next such request only. So it does
//! not matter in which order the tables of one commit are written.

use crate::clock::FakeClock;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use tidewatch_ingest::clock::Clock;
use tokio::sync::oneshot;
use url::Url;

/// Folder of the tables.
const LAKE: &str = "lake";

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The write of a version of the log.
    Log,
    /// The write of a data file.
    Data,
    /// The write of a checkpoint, or of the hint that names the newest.
    Checkpoint,
    Get,
    List,
    Delete,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing happened.
    Before,
    /// It happened, and nobody hears of it. Of a read: it breaks off.
    After,
    /// It happened unheard, and the client has tried again: a write that must be the first finds itself.
    Again,
    /// The writer gives up, and the write may still happen at any time.
    Late,
    /// The write is under way, and its writer waits.
    Slow,
}

#[derive(Debug)]
struct Fault {
    table: String,
    op: Op,
    trouble: Trouble,
}

/// A write that is under way.
#[derive(Debug)]
struct Pending {
    id: usize,
    who: usize,
    location: Path,
    payload: PutPayload,
    options: PutOptions,
    /// Who waits for it; `None` when it was given up.
    reply: Option<oneshot::Sender<Result<PutResult>>>,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Fault>,
    pending: Vec<Pending>,
    pending_made: usize,
    /// When each object was written, by the fake clock.
    written_us: HashMap<Path, i64>,
}

#[derive(Debug)]
struct Shared {
    files: InMemory,
    clock: Arc<FakeClock>,
    state: Mutex<State>,
}

/// The store as one of its users sees it. Clones are the same store.
#[derive(Debug, Clone)]
pub struct FailingStore {
    shared: Arc<Shared>,
    who: usize,
}

impl FailingStore {
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self { shared: Arc::new(Shared { files: InMemory::new(), clock, state: Mutex::default() }), who: 0 }
    }

    /// The same store in the hands of another user.
    pub fn of(&self, who: usize) -> Self {
        Self { who, ..self.clone() }
    }

    /// The tables in it, with nothing remembered of them.
    pub fn tables(&self) -> tidewatch_storage::Store {
        let url = Url::parse(&format!("memory:///{LAKE}/")).unwrap();
        tidewatch_storage::Store::with_object_store(url, Arc::new(self.clone())).unwrap()
    }

    /// Makes the next such request for a table go wrong.
    pub fn arm(&self, table: &str, op: Op, trouble: Trouble) {
        self.state().armed.push(Fault { table: table.to_owned(), op, trouble });
    }

    /// What has not struck does not strike any more.
    pub fn disarm(&self) {
        self.state().armed.clear();
    }

    /// How many writes this user waits for.
    pub fn waits_for(&self) -> usize {
        let is_heard = |reply: &oneshot::Sender<_>| !reply.is_closed();
        self.state().pending.iter().filter(|p| p.who == self.who && p.reply.as_ref().is_some_and(is_heard)).count()
    }

    /// The writes that are under way, each with a name for it, in an order that is the same in every run.
    pub fn pending(&self) -> Vec<(usize, String)> {
        let state = self.state();
        let mut pending: Vec<(usize, &str, usize)> =
            state.pending.iter().map(|p| (p.who, table_of(&p.location).unwrap_or_default(), p.id)).collect();
        pending.sort_unstable();
        pending.into_iter().map(|(who, table, id)| (id, format!("write of {who} to {table}"))).collect()
    }

    /// Lets a write happen that is under way. Says whether it did: somebody may have been faster.
    pub async fn land(&self, id: usize) -> bool {
        let Some(Pending { location, payload, options, reply, .. }) = self.take(id) else { return false };
        let result = self.write(&location, payload, options).await;
        let has_landed = result.is_ok();
        if let Some(reply) = reply {
            // Whoever waited may be dead.
            let _ = reply.send(result);
        }
        has_landed
    }

    /// Loses a write that is under way.
    pub fn lose(&self, id: usize) {
        if let Some(reply) = self.take(id).and_then(|p| p.reply) {
            let _ = reply.send(Err(lost()));
        }
    }

    /// Every object as (table, path below the table).
    pub async fn objects(&self) -> Vec<(String, String)> {
        let objects: Vec<ObjectMeta> = self.shared.files.list(None).try_collect().await.unwrap();
        let split = |object: ObjectMeta| {
            let (table, path) = object.location.as_ref().strip_prefix(LAKE)?.strip_prefix('/')?.split_once('/')?;
            Some((table.to_owned(), path.to_owned()))
        };
        objects.into_iter().filter_map(split).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn take(&self, id: usize) -> Option<Pending> {
        let mut state = self.state();
        let at = state.pending.iter().position(|p| p.id == id)?;
        Some(state.pending.remove(at))
    }

    fn strike(&self, location: &Path, op: Op) -> Option<Trouble> {
        let mut state = self.state();
        let table = table_of(location)?;
        let at = state.armed.iter().position(|f| f.op == op && f.table == table)?;
        Some(state.armed.remove(at).trouble)
    }

    async fn write(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let result = self.shared.files.put_opts(location, payload, options).await?;
        self.state().written_us.insert(location.clone(), self.shared.clock.now_us());
        Ok(result)
    }

    /// A write that is under way from now on, and who waits for it.
    fn begin(&self, location: &Path, payload: PutPayload, options: PutOptions, is_awaited: bool) -> Waiting {
        let (reply, waiting) = oneshot::channel();
        let mut state = self.state();
        state.pending_made += 1;
        let (id, reply) = (state.pending_made, is_awaited.then_some(reply));
        state.pending.push(Pending { id, who: self.who, location: location.clone(), payload, options, reply });
        waiting
    }

    fn dated(&self, meta: ObjectMeta) -> ObjectMeta {
        let written = self.state().written_us.get(&meta.location).copied();
        let written = written.and_then(chrono::DateTime::from_timestamp_micros);
        ObjectMeta { last_modified: written.unwrap_or(meta.last_modified), ..meta }
    }
}

type Waiting = oneshot::Receiver<Result<PutResult>>;

fn table_of(location: &Path) -> Option<&str> {
    location.as_ref().split('/').nth(1)
}

fn op_of_put(location: &Path) -> Op {
    let name = location.filename().unwrap_or_default();
    match name.strip_suffix(".json") {
        Some(version) if version.bytes().all(|b| b.is_ascii_digit()) => Op::Log,
        _ if location.as_ref().contains("/_delta_log/") => Op::Checkpoint,
        _ => Op::Data,
    }
}

fn lost() -> Error {
    Error::Generic { store: "FailingStore", source: "no answer".into() }
}

impl fmt::Display for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failing {}", self.shared.files)
    }
}

#[async_trait::async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.strike(location, op_of_put(location)) {
            None => self.write(location, payload, options).await,
            Some(Trouble::Before) => Err(lost()),
            Some(Trouble::After) => {
                self.write(location, payload, options).await?;
                Err(lost())
            }
            Some(Trouble::Again) => {
                self.write(location, payload.clone(), options.clone()).await?;
                self.write(location, payload, options).await
            }
            Some(Trouble::Late) => {
                self.begin(location, payload, options, false);
                Err(lost())
            }
            Some(Trouble::Slow) => self.begin(location, payload, options, true).await.unwrap_or_else(|_| Err(lost())),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.shared.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let trouble = self.strike(location, Op::Get);
        if trouble == Some(Trouble::Before) || (trouble.is_some() && options.head) {
            return Err(lost());
        }
        let mut result = self.shared.files.get_opts(location, options).await?;
        result.meta = self.dated(result.meta);
        if trouble.is_some() {
            let body = [Ok(bytes::Bytes::from_static(b"{")), Err(lost())];
            result.payload = GetResultPayload::Stream(stream::iter(body).boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let trouble = store.strike(&location, Op::Delete);
                if trouble != Some(Trouble::Before) {
                    store.shared.files.delete(&location).await?;
                }
                if trouble.is_some() { Err(lost()) } else { Ok(location) }
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.clone();
        let listed = self.shared.files.list(prefix).map_ok(move |meta| store.dated(meta));
        match prefix.and_then(|prefix| self.strike(prefix, Op::List)) {
            None => listed.boxed(),
            Some(Trouble::Before) => stream::iter([Err(lost())]).boxed(),
            Some(_) => listed.take(2).chain(stream::iter([Err(lost())])).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match prefix.and_then(|prefix| self.strike(prefix, Op::List)) {
            None => self.shared.files.list_with_delimiter(prefix).await,
            Some(_) => Err(lost()),
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.shared.files.copy_opts(from, to, options).await
    }
}
