//! Tells others in the process that something was counted, so that they need not ask.

use std::sync::Arc;
use tokio::sync::watch;

/// Shared by all workers of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct News {
    count: Arc<watch::Sender<u64>>,
}

impl Default for News {
    fn default() -> Self {
        Self { count: Arc::new(watch::channel(0).0) }
    }
}

impl News {
    /// Something was counted.
    pub(crate) fn note(&self) {
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears of everything that is counted from now on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}
