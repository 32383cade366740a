//! What a table records beside its rows, as Delta application transactions: how far it has consumed
//! each partition, the watermarks, and how far back each tier is kept.

use super::Table;
use crate::StorageError;
use crate::transaction::{self, Recorded, offset_id, retained_id, watermark_id};
use std::collections::BTreeMap;
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};

/// How many commits are looked through for positions before the log is asked one by one.
const SCAN_BACK_MAX: usize = 50;

/// What is known of the records, as far as asked for, as of `version`.
#[derive(Debug, Clone)]
pub(super) struct Known {
    positions: BTreeMap<TopicPartition, i64>,
    watermarks: BTreeMap<TopicPartition, Option<i64>>,
    /// By name of the tier; `None`: nothing was recorded.
    retained: BTreeMap<String, Option<i64>>,
    version: u64,
    /// Every commit was looked through: what is not known was never recorded.
    is_scanned: bool,
}

impl Known {
    pub(super) fn at(version: u64) -> Self {
        let (positions, watermarks, retained) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { positions, watermarks, retained, version, is_scanned: false }
    }

    /// A record of a commit that is newer than everything known.
    pub(super) fn newer(&mut self, recorded: Recorded, value: i64) {
        match recorded {
            Recorded::Offset(p) => {
                self.positions.insert(p, value);
            }
            Recorded::Watermark(p) => {
                self.watermarks.insert(p, Some(value));
            }
            Recorded::Retained(tier) => {
                self.retained.insert(tier, Some(value));
            }
        }
    }

    /// A record of a commit that is older than everything known.
    fn older(&mut self, recorded: Recorded, value: i64) {
        match recorded {
            Recorded::Offset(p) => {
                self.positions.entry(p).or_insert(value);
            }
            Recorded::Watermark(p) => {
                self.watermarks.entry(p).or_insert(Some(value));
            }
            Recorded::Retained(tier) => {
                self.retained.entry(tier).or_insert(Some(value));
            }
        }
    }
}

impl Table {
    /// Brings what is known up to the loaded version by reading the commits in between.
    pub(super) async fn follow(&mut self) -> Result<(), StorageError> {
        let log = self.delta.log_store();
        while self.known.version < self.version() {
            let next = self.known.version + 1;
            let entry = log.read_commit_entry(next).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else {
                // Cleaned away behind a checkpoint: ask again when asked.
                self.forget();
                return Ok(());
            };
            for (recorded, value) in transactions(&bytes) {
                self.known.newer(recorded, value);
            }
            self.known.version = next;
        }
        Ok(())
    }

    /// Everything is looked up anew when it is asked for.
    pub(super) fn forget(&mut self) {
        self.known = Known::at(self.version());
    }

    /// We committed these records ourselves as `version`: there is no need to read them back, unless
    /// others have committed in between.
    pub(super) async fn note(
        &mut self,
        version: u64,
        records: impl IntoIterator<Item = (Recorded, i64)>,
    ) -> Result<(), StorageError> {
        if self.known.version + 1 != version {
            return self.follow().await;
        }
        records.into_iter().for_each(|(recorded, value)| self.known.newer(recorded, value));
        self.known.version = version;
        self.follow().await
    }

    /// Last offset that the loaded version covers, per partition; [`BEFORE_FIRST`] when none.
    pub async fn positions(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
        // A refresh may have failed between loading a version and following it: positions older than the
        // loaded version would let rows be committed twice.
        self.follow().await?;
        if partitions.iter().any(|p| !self.known.positions.contains_key(p)) {
            self.scan_back(|known| partitions.iter().all(|p| known.positions.contains_key(p))).await?;
        }
        for partition in partitions {
            if !self.known.positions.contains_key(partition) {
                let position = self.recorded(offset_id(partition)).await?.unwrap_or(BEFORE_FIRST);
                self.known.positions.insert(partition.clone(), position);
            }
        }
        Ok(partitions.iter().map(|p| (p.clone(), self.known.positions[p])).collect())
    }

    /// Looks through the newest commits until `is_enough`: partitions that are alive are found in the
    /// last few, and asking the log for one partition reads it as a whole.
    async fn scan_back(&mut self, is_enough: impl Fn(&Known) -> bool) -> Result<(), StorageError> {
        if self.known.is_scanned {
            return Ok(());
        }
        let log = self.delta.log_store();
        let mut version = self.known.version;
        for _ in 0..SCAN_BACK_MAX {
            let entry = log.read_commit_entry(version).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else { return Ok(()) };
            for (recorded, value) in transactions(&bytes) {
                self.known.older(recorded, value);
            }
            self.known.is_scanned = version == 0;
            if self.known.is_scanned || is_enough(&self.known) {
                return Ok(());
            }
            version -= 1;
        }
        Ok(())
    }

    /// Positions that are known without asking the log, at the loaded version.
    pub fn known_positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.known.positions
    }

    /// Watermarks that are known without asking the log, at the loaded version.
    pub fn known_watermarks(&self) -> &BTreeMap<TopicPartition, Option<i64>> {
        &self.known.watermarks
    }

    /// Watermark that the loaded version records for a partition.
    pub async fn watermark(&mut self, partition: &TopicPartition) -> Result<Option<i64>, StorageError> {
        if let Some(&watermark) = self.known.watermarks.get(partition) {
            return Ok(watermark);
        }
        let watermark = self.recorded(watermark_id(partition)).await?;
        self.known.watermarks.insert(partition.clone(), watermark);
        Ok(watermark)
    }

    /// Boundary of a tier at the loaded version, microseconds since the epoch: older rows of it do not
    /// count any more. `None`: it was never cut. `tier` is its name, or what the caller calls a table
    /// without tiers.
    pub async fn retained(&mut self, tier: &str) -> Result<Option<i64>, StorageError> {
        self.follow().await?;
        if !self.known.retained.contains_key(tier) && self.known.version < SCAN_BACK_MAX as u64 {
            // A young table is looked through as a whole, which answers for every tier at once. In an old one
            // boundaries are too rare to be met by chance.
            self.scan_back(|known| known.retained.contains_key(tier)).await?;
        }
        if let Some(&boundary) = self.known.retained.get(tier) {
            return Ok(boundary);
        }
        let boundary = self.recorded(retained_id(tier)).await?;
        self.known.retained.insert(tier.to_owned(), boundary);
        Ok(boundary)
    }

    async fn recorded(&self, app_id: String) -> Result<Option<i64>, StorageError> {
        if self.known.is_scanned {
            return Ok(None);
        }
        let fail = StorageError::delta(&self.name);
        let state = self.delta.snapshot().map_err(&fail)?;
        state.transaction_version(self.delta.log_store().as_ref(), app_id).await.map_err(fail)
    }
}

/// Our application transactions in the text of a commit.
fn transactions(commit: &[u8]) -> Vec<(Recorded, i64)> {
    let lines = commit.split(|&b| b == b'\n');
    lines
        // Most lines are files; only the few that can be ours are parsed.
        .filter(|line| line.starts_with(b"{\"txn\""))
        .filter_map(|line| {
            let action: serde_json::Value = serde_json::from_slice(line).ok()?;
            let txn = action.get("txn")?;
            Some((transaction::parse(txn.get("appId")?.as_str()?)?, txn.get("version")?.as_i64()?))
        })
        .collect()
}
