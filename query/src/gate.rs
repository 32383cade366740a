//! How many queries run at the same time: in all, and of one client.
//!
//! Whoever asks more waits for a turn, each client in a queue of its own: who asks a lot keeps only itself waiting. A page
//! of a dashboard asks for all its panels at once, and asks no second time when it is refused. Queues have an end, and
//! whoever asks says how long it waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_64;

/// Queries that may wait, of all clients.
const WAITING_MAX: usize = 1024;
/// Of them, those of one client.
const WAITING_PER_CLIENT_MAX: usize = 256;

/// Hands out permits.
#[derive(Debug)]
pub struct QueryGate {
    turns: Arc<Semaphore>,
    total_max: usize,
    per_client_max: usize,
    clients: Mutex<Clients>,
}

/// Who asks now.
#[derive(Debug, Default)]
struct Clients {
    /// Clients with at least one query that runs or waits: never more than there are queries.
    known: HashMap<String, OfClient>,
    /// Queries of all of them, running and waiting.
    queries: usize,
}

#[derive(Debug)]
struct OfClient {
    turns: Arc<Semaphore>,
    /// Running and waiting.
    queries: usize,
}

/// A running query; dropping it lets the next one in.
#[derive(Debug)]
pub struct QueryPermit {
    _of_all: OwnedSemaphorePermit,
    _of_client: OwnedSemaphorePermit,
    _place: Place,
}

/// A place among the queries that run or wait.
#[derive(Debug)]
struct Place {
    gate: Arc<QueryGate>,
    client: String,
    turns: Arc<Semaphore>,
}

/// Why a query may not run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `sql.concurrency_max` queries are running, and there was no turn in time.
    Total,
    /// `sql.concurrency_per_client_max` queries of this client are running, and there was no turn in time.
    Client,
}

impl Refused {
    /// Stable name for programs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Total => "busy",
            Self::Client => "client_busy",
        }
    }

    /// What to say.
    pub fn message(self) -> &'static str {
        match self {
            Self::Total => "too many queries are running (sql.concurrency_max)",
            Self::Client => "too many queries of this client are running (sql.concurrency_per_client_max)",
        }
    }
}

/// A client by what it says of itself, and how it said so. That may be a secret, which is not kept, and has no length
/// that it could fill memory with.
pub fn client_named(by: &str, name: &[u8]) -> String {
    format!("{by} {:016x}", xxh3_64(name))
}

/// A client of which nothing is known but where it is.
pub fn client_at(address: IpAddr) -> String {
    address.to_string()
}

impl QueryGate {
    /// A gate for so many queries in all and of one client.
    pub fn new(total_max: usize, per_client_max: usize) -> Arc<Self> {
        let [total_max, per_client_max] = [total_max, per_client_max].map(|max| max.min(Semaphore::MAX_PERMITS));
        let turns = Arc::new(Semaphore::new(total_max));
        Arc::new(Self { turns, total_max, per_client_max, clients: Mutex::default() })
    }

    /// Lets a query of a client in when it is its turn.
    ///
    /// # Errors
    /// It was not its turn by `until`, or too many are waiting already.
    pub async fn wait(self: &Arc<Self>, client: &str, until: Instant) -> Result<QueryPermit, Refused> {
        let place = self.place(client)?;
        // Its own turn first: whoever waits for a common one is none of the client's queries too many.
        let of_client = turn_of(&place.turns, until).await.ok_or(Refused::Client)?;
        let of_all = turn_of(&self.turns, until).await.ok_or(Refused::Total)?;
        Ok(QueryPermit { _of_all: of_all, _of_client: of_client, _place: place })
    }

    fn place(self: &Arc<Self>, client: &str) -> Result<Place, Refused> {
        let mut clients = self.lock();
        if clients.queries >= self.total_max.saturating_add(WAITING_MAX) {
            return Err(Refused::Total);
        }
        let none_yet = || OfClient { turns: Arc::new(Semaphore::new(self.per_client_max)), queries: 0 };
        let of_client = clients.known.entry(client.to_owned()).or_insert_with(none_yet);
        if of_client.queries >= self.per_client_max.saturating_add(WAITING_PER_CLIENT_MAX) {
            return Err(Refused::Client);
        }
        of_client.queries += 1;
        let turns = Arc::clone(&of_client.turns);
        clients.queries += 1;
        Ok(Place { gate: Arc::clone(self), client: client.to_owned(), turns })
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: there was none in time.
async fn turn_of(turns: &Arc<Semaphore>, until: Instant) -> Option<OwnedSemaphorePermit> {
    timeout_at(until, Arc::clone(turns).acquire_owned()).await.ok()?.ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.gate.lock();
        clients.queries = clients.queries.saturating_sub(1);
        match clients.known.get_mut(&self.client) {
            Some(of_client) if of_client.queries > 1 => of_client.queries -= 1,
            _ => _ = clients.known.remove(&self.client),
        }
    }
}

#[cfg(test)]
mod tests;
