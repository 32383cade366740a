//! How many queries run at the same time: in all, and of one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hands out permits. Queries do not wait for one: whoever asks too much is told so at once.
#[derive(Debug)]
pub struct QueryGate {
    total_max: usize,
    per_client_max: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    total: usize,
    /// Clients with at least one query: never more than `total`.
    by_client: HashMap<String, usize>,
}

/// A running query; dropping it lets the next one in.
#[derive(Debug)]
pub struct QueryPermit {
    gate: Arc<QueryGate>,
    client: String,
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
        Arc::new(Self { total_max, per_client_max, running: Mutex::default() })
    }

    /// Lets a query of a client in, or not.
    pub fn enter(self: &Arc<Self>, client: &str) -> Result<QueryPermit, Refused> {
        let mut running = self.lock();
        if running.total >= self.total_max {
            return Err(Refused::Total);
        }
        let of_client = running.by_client.get(client).copied().unwrap_or(0);
        if of_client >= self.per_client_max {
            return Err(Refused::Client);
        }
        running.total += 1;
        running.by_client.insert(client.to_owned(), of_client + 1);
        Ok(QueryPermit { gate: Arc::clone(self), client: client.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueryPermit {
    fn drop(&mut self) {
        let mut running = self.gate.lock();
        running.total = running.total.saturating_sub(1);
        match running.by_client.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = running.by_client.remove(&self.client),
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
        assert_eq!(gate.lock().by_client.len(), 2, "clients without queries are forgotten");
    }
}
