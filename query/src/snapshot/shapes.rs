//! Tables without their rows, to plan what is not run: descriptions of statements, catalogues.

use super::{Snapshot, SnapshotError, SnapshotTable, Snapshots};
use std::collections::BTreeMap;
use tidewatch_engine::completeness::Completeness;

impl Snapshots {
    /// The named tables with their columns and no rows; names of no table are left out. Asks no worker, and
    /// the store only for tables that nothing declares.
    pub async fn shapes(&self, names: &[String]) -> Result<Snapshot, SnapshotError> {
        let definitions = self.definitions();
        let mut tables = BTreeMap::new();
        for name in names {
            let table = match definitions.table(name) {
                Some(declared) => SnapshotTable::not_created(declared, Vec::new(), Completeness::unknown()),
                None => match self.known(name).await? {
                    Some((table, seen, _)) => {
                        let committed = table.provider()?;
                        let (rollup, schema) = (table.rollup().cloned(), table.schema());
                        let schema = rollup.as_ref().map_or(schema, |r| r.arrow_schema());
                        let boundaries = match rollup.as_ref().filter(|r| r.pane_us.is_some()) {
                            Some(windowed) => vec![None; super::tiers_of(windowed).len()],
                            None => Vec::new(),
                        };
                        let seen = seen.or_other(&committed.schema(), rollup.as_ref());
                        self.remember(table, seen.clone()).await;
                        let (completeness, version, live) = (Completeness::unknown(), None, Vec::new());
                        SnapshotTable {
                            rollup,
                            schema,
                            boundaries,
                            version,
                            stored: None,
                            completeness,
                            committed,
                            live,
                            seen,
                        }
                    }
                    None => continue,
                },
            };
            tables.insert(name.clone(), table);
        }
        Ok(Snapshot { tables, watermark: None })
    }
}
