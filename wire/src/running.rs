//! Turns of queries: as many at once as `sql.concurrency_max` says, over all protocols together, and of one client as
//! `sql.concurrency_per_client_max` says. HTTP refuses one too many; here it waits for its turn, and its time limit
//! counts the waiting. No more can wait than the gate lets.

use crate::metrics::WireMetrics;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_query::gate::{QueryGate, QueryPermit};
use tidewatch_query::{SqlEngine, SqlError};
use tokio::time::Instant;

/// A query that nobody waited for.
const CANCELLED: &str = "cancelled";

/// What runs the queries of one protocol.
#[derive(Debug, Clone)]
pub struct Running {
    /// Answers.
    pub engine: Arc<SqlEngine>,
    gate: Arc<QueryGate>,
    metrics: WireMetrics,
    protocol: &'static str,
}

/// Counts a query when it is dropped: as cancelled, unless it ended otherwise.
#[derive(Debug)]
pub struct Counted {
    metrics: WireMetrics,
    protocol: &'static str,
    started: Instant,
    outcome: &'static str,
}

impl Counted {
    /// How the query ended; what comes after an error does not count.
    pub fn ended(&mut self, error: Option<&SqlError>) {
        if self.outcome == CANCELLED {
            self.outcome = error.map_or("ok", SqlError::code);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.query_seconds.with_label_values(&[self.protocol]).observe(self.started.elapsed().as_secs_f64());
        self.metrics.queries.with_label_values(&[self.protocol, self.outcome]).inc();
    }
}

impl Running {
    /// Queries of `protocol`, which `gate` lets in.
    pub fn new(engine: Arc<SqlEngine>, gate: Arc<QueryGate>, metrics: WireMetrics, protocol: &'static str) -> Self {
        Self { engine, gate, metrics, protocol }
    }

    /// The metrics.
    pub fn metrics(&self) -> &WireMetrics {
        &self.metrics
    }

    /// Begins to count a query.
    pub fn count(&self) -> Counted {
        let (metrics, protocol) = (self.metrics.clone(), self.protocol);
        Counted { metrics, protocol, started: Instant::now(), outcome: CANCELLED }
    }

    /// Waits for a turn of a client, which lasts until the permit is dropped.
    ///
    /// # Errors
    /// It was not its turn by `until`, or too many wait already.
    pub async fn turn(&self, client: &str, until: Instant) -> Result<QueryPermit, SqlError> {
        Ok(self.gate.wait(client, until).await?)
    }

    /// Does the work of one query of a client in its turn, within the time limit or a shorter one that it asked for.
    pub async fn run<T>(
        &self,
        client: &str,
        asked: Option<Duration>,
        work: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        let mut counted = self.count();
        let limit = self.engine.limits().timeout;
        let until = Instant::now() + asked.map_or(limit, |asked| asked.min(limit));
        let in_turn = async {
            let _turn = self.turn(client, until).await?;
            work.await
        };
        let result = self.engine.within(asked, in_turn).await;
        counted.ended(result.as_ref().err());
        result
    }
}
