//! How commits go: which tables fail again and again, how often in a row, and with which error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all committers of a process and whoever wants to know. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CommitHealth(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number of the next committer.
    next: u64,
    failing: BTreeMap<(u64, String), (u64, String)>,
}

/// A table whose newest attempts have failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The table, or what else was asked of the store.
    pub what: String,
    /// Attempts that failed since the last that did not.
    pub attempts: u64,
    /// What the last one said.
    pub error: String,
}

impl CommitHealth {
    /// The one that has failed most often in a row; `None` while all goes well.
    pub fn worst(&self) -> Option<Failing> {
        let state = self.state();
        let worst = state.failing.iter().max_by_key(|(_, (attempts, _))| *attempts);
        worst.map(|((_, what), (attempts, error))| Failing {
            what: what.clone(),
            attempts: *attempts,
            error: error.clone(),
        })
    }

    /// For another committer.
    pub(crate) fn attempts(&self) -> Attempts {
        let mut state = self.state();
        state.next += 1;
        Attempts { committer: state.next, health: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The attempts of one committer. What it leaves failing is forgotten with it: nobody tries that again.
#[derive(Debug)]
pub(crate) struct Attempts {
    committer: u64,
    health: CommitHealth,
}

impl Attempts {
    pub(crate) fn failed(&self, what: &str, error: String) {
        let mut state = self.health.state();
        let (attempts, last) = state.failing.entry((self.committer, what.to_owned())).or_default();
        (*attempts, *last) = (*attempts + 1, error);
    }

    pub(crate) fn succeeded(&self, what: &str) {
        self.health.state().failing.remove(&(self.committer, what.to_owned()));
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.health.state().failing.retain(|(committer, _), _| *committer != self.committer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_counted_until_one_succeeds() {
        let health = CommitHealth::default();
        let (one, other) = (health.attempts(), health.attempts());
        assert_eq!(health.worst(), None);
        one.failed("calls", "read-only".to_owned());
        one.failed("calls", "no space".to_owned());
        other.failed("calls", "away".to_owned());
        let worst = health.worst().unwrap();
        assert_eq!((worst.what.as_str(), worst.attempts, worst.error.as_str()), ("calls", 2, "no space"));
        one.succeeded("calls");
        assert_eq!(health.worst().unwrap().error, "away", "another committer's trouble is its own");
        drop(other);
        assert_eq!(health.worst(), None, "nobody tries again");
    }
}
