//! How many queries run at the same time: in all, and of one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out permits. Who enters does not wait: whoever asks too much is told so at once. Who takes turns does.
#[derive(Debug)]
pub struct QueryGate {
    turns: Arc<Semaphore>,
    per_client_max: usize,
    /// Clients with at least one query: never more than there are queries.
    by_client: Mutex<HashMap<String, usize>>,
}

/// A running query; dropping it lets the next one in.
#[derive(Debug)]
pub struct QueryPermit {
    gate: Arc<QueryGate>,
    client: String,
    _turn: OwnedSemaphorePermit,
}

/// Why a query may not run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `sql.concurrency_max` queries are running.
    Total,
    /// `sql.concurrency_per_client_max` queries of this client are running.
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

impl QueryGate {
    /// A gate for so many queries in all and of one client.
    pub fn new(total_max: usize, per_client_max: usize) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(total_max.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { turns, per_client_max, by_client: Mutex::default() })
    }

    /// Lets a query of a client in, or not.
    pub fn enter(self: &Arc<Self>, client: &str) -> Result<QueryPermit, Refused> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| Refused::Total)?;
        let mut by_client = self.lock();
        let of_client = by_client.get(client).copied().unwrap_or(0);
        if of_client >= self.per_client_max {
            return Err(Refused::Client);
        }
        by_client.insert(client.to_owned(), of_client + 1);
        Ok(QueryPermit { gate: Arc::clone(self), client: client.to_owned(), _turn: turn })
    }

    /// The turns that all queries take, for protocols whose clients wait for theirs.
    pub fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueryPermit {
    fn drop(&mut self) {
        let mut by_client = self.gate.lock();
        match by_client.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = by_client.remove(&self.client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_does_not_take_it_all() {
        let gate = QueryGate::new(3, 2);
        let first = gate.enter("a").unwrap();
        let _second = gate.enter("a").unwrap();
        assert_eq!(gate.enter("a").unwrap_err(), Refused::Client);
        let _other = gate.enter("b").unwrap();
        assert_eq!(gate.enter("c").unwrap_err(), Refused::Total);
        drop(first);
        drop(gate.enter("a").unwrap());
        assert_eq!(gate.lock().len(), 2, "clients without queries are forgotten");
    }
}
