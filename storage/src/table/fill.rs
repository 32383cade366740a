//! What a backfill needs of a table: positions of its own beside those of the live path.

use super::Table;
use super::append::without_hooks;
use crate::StorageError;
use crate::transaction::{Ledger, Recorded};
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use std::collections::BTreeMap;
use tidewatch_engine::backfill::Scope;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::rollup::{DefinitionChange, RollupSchema};

impl Table {
    /// The same table for a backfill of some scopes: positions and appends are those of the backfill.
    ///
    /// Errors: [`StorageError::DefinitionChanged`] unless the table is one of `defined` already.
    pub fn filling(mut self, defined: &RollupSchema, scopes: Vec<Scope>) -> Result<Self, StorageError> {
        let reason = match self.rollup.as_ref().map(|stored| DefinitionChange::between(stored, defined)) {
            Some(DefinitionChange::Same) => {
                self.ledger = Ledger::Backfill(scopes);
                self.defined = Some(defined.clone());
                self.forget();
                return Ok(self);
            }
            Some(DefinitionChange::Widened { .. }) => "`tidewatch run` has not added the new measures yet".to_owned(),
            Some(DefinitionChange::Other(reason)) => reason,
            None => "it is not the table of a rollup".to_owned(),
        };
        Err(self.changed(defined, reason))
    }

    /// Records that scopes begin after `ends`, the last offsets of partitions that the live path has never
    /// read: what a backfill is to read of them is a gap like any other. For the rollup they count as read
    /// from then on.
    ///
    /// Errors: somebody else committed in between; nothing was recorded.
    pub async fn declare(
        &mut self,
        scopes: &[Scope],
        ends: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), StorageError> {
        // Events of any time may be among them.
        let mut transactions = vec![Recorded::BeginsTime.at(i64::MAX)];
        for (partition, &end) in ends {
            let begins = |scope: &Scope| Recorded::Begins(scope.clone(), partition.clone()).at(end);
            transactions.extend(scopes.iter().map(begins));
            if scopes.contains(&Scope::Rollup) {
                transactions.push(Recorded::Offset(partition.clone()).at(end));
            }
        }
        let properties = without_hooks().with_max_retries(0).with_application_transactions(transactions);
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let snapshot = self.delta.snapshot().map_err(StorageError::delta(&self.name))?;
        let commit = CommitBuilder::from(properties).build(Some(snapshot), self.delta.log_store(), operation);
        commit.await.map_err(StorageError::delta(&self.name))?;
        self.refresh().await
    }
}
