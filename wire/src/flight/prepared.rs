//! Prepared statements, of all clients together: a handle tells nothing of the others.

use crate::postgres::described::Settled;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::pgwire::api::auth::sasl::scram::random_nonce;
use prometheus::IntCounter;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A statement that waits for values.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// As it was read.
    pub statement: Arc<Statement>,
    /// Planned over columns; `None` when that needs the values' types.
    pub settled: Option<Arc<Settled>>,
    /// A row for every time that it is to run.
    pub bound: Option<RecordBatch>,
}

/// The statements, by handle.
#[derive(Debug)]
pub(super) struct Statements {
    kept: Mutex<Kept>,
    max: usize,
    evicted: IntCounter,
}

#[derive(Debug, Default)]
struct Kept {
    statements: BTreeMap<Bytes, (u64, Prepared)>,
    uses: u64,
}

impl Statements {
    pub fn new(max: usize, evicted: IntCounter) -> Self {
        Self { kept: Mutex::default(), max, evicted }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a statement; the one that was used least lately makes room.
    pub fn add(&self, prepared: Prepared) -> Bytes {
        let handle = Bytes::from(random_nonce());
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        kept.statements.insert(handle.clone(), (now, prepared));
        while kept.statements.len() > self.max {
            let oldest = kept.statements.iter().min_by_key(|(_, (used, _))| *used).map(|(handle, _)| handle.clone());
            kept.statements.remove(&oldest.unwrap_or_default());
            self.evicted.inc();
        }
        handle
    }

    /// The statement of a handle.
    pub fn get(&self, handle: &Bytes) -> Option<Prepared> {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        let (used, prepared) = kept.statements.get_mut(handle)?;
        *used = now;
        Some(prepared.clone())
    }

    /// Gives a statement its values. `false`: there is no such handle.
    pub fn bind(&self, handle: &Bytes, values: RecordBatch) -> bool {
        let mut kept = self.kept();
        let found = kept.statements.get_mut(handle);
        found.map(|(_, prepared)| prepared.bound = Some(values)).is_some()
    }

    /// Forgets it.
    pub fn close(&self, handle: &Bytes) {
        self.kept().statements.remove(handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn the_statement_used_least_lately_makes_room() {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1").unwrap().remove(0);
        let prepared = Prepared { statement: Arc::new(statement), settled: None, bound: None };
        let evicted = IntCounter::new("evicted", "test").unwrap();
        let statements = Statements::new(2, evicted.clone());
        let [a, b] = [0, 1].map(|_| statements.add(prepared.clone()));
        assert!(statements.get(&a).is_some());
        let c = statements.add(prepared.clone());
        let there = [&a, &b, &c].map(|handle| statements.get(handle).is_some());
        assert_eq!((there, evicted.get()), ([true, false, true], 1));
        statements.close(&c);
        assert!(statements.get(&c).is_none());
    }
}
