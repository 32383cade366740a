//! What a table records beside its rows, as Delta application transactions: how far it has consumed
//! each partition, the watermarks, and how far back each tier is kept.

use super::Table;
use crate::StorageError;
use crate::transaction::{self, Ledger, Recorded};
use std::collections::BTreeMap;
use tidewatch_engine::backfill::{Records, Unfilled};
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
    /// Whether anything ever began later than the table's partitions.
    begins_time: Option<Option<i64>>,
    /// Everything, once it was asked for; kept up from then on.
    records: Option<Records>,
    pub(super) version: u64,
    /// Every commit was looked through: what is not known was never recorded.
    is_scanned: bool,
}

impl Known {
    pub(super) fn at(version: u64) -> Self {
        let (positions, watermarks, retained) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (begins_time, records) = (None, None);
        Self { positions, watermarks, retained, begins_time, records, version, is_scanned: false }
    }

    /// A record of a commit that is newer than everything known.
    fn newer(&mut self, ledger: &Ledger, recorded: Recorded, value: i64) {
        if let Some(records) = &mut self.records {
            transaction::add(records, recorded.clone(), value);
        }
        if recorded == Recorded::BeginsTime {
            self.begins_time = Some(Some(value));
        }
        let Some(recorded) = ledger.own(recorded) else { return };
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
            Recorded::BeginsTime | Recorded::Begins(..) | Recorded::Filled(..) => {}
        }
    }

    /// A record of a commit that is older than everything known.
    fn older(&mut self, ledger: &Ledger, recorded: Recorded, value: i64) {
        if recorded == Recorded::BeginsTime {
            self.begins_time.get_or_insert(Some(value));
        }
        let Some(recorded) = ledger.own(recorded) else { return };
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
            Recorded::BeginsTime | Recorded::Begins(..) | Recorded::Filled(..) => {}
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
                self.known.newer(&self.ledger, recorded, value);
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
        // The version that is loaded now may have columns that others have added.
        self.follow_schema()?;
        if self.known.version + 1 != version {
            return self.follow().await;
        }
        records.into_iter().for_each(|(recorded, value)| self.known.newer(&self.ledger, recorded, value));
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
                let position = match self.ledger.positions(partition).first() {
                    Some(recorded) => self.recorded(recorded).await?.unwrap_or(BEFORE_FIRST),
                    None => BEFORE_FIRST,
                };
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
                self.known.older(&self.ledger, recorded, value);
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
        let watermark = match self.ledger.watermark(partition) {
            Some(recorded) => self.recorded(&recorded).await?,
            None => None,
        };
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
        let boundary = self.recorded(&Recorded::Retained(tier.to_owned())).await?;
        self.known.retained.insert(tier.to_owned(), boundary);
        Ok(boundary)
    }

    /// What of the rollup or of its measures begins later than the table's partitions and is not filled yet.
    pub async fn unfilled(&mut self) -> Result<Option<Unfilled>, StorageError> {
        self.follow().await?;
        if self.known.begins_time.is_none() {
            if self.known.version < SCAN_BACK_MAX as u64 {
                self.scan_back(|known| known.begins_time.is_some()).await?;
            }
            if self.known.begins_time.is_none() {
                self.known.begins_time = Some(self.recorded(&Recorded::BeginsTime).await?);
            }
        }
        if self.known.begins_time == Some(None) {
            return Ok(None);
        }
        let name = self.name.clone();
        Ok(self.known_records().await?.unfilled(&name))
    }

    /// Everything that the loaded version records about offsets. Read once, and followed from then on.
    pub(super) async fn known_records(&mut self) -> Result<&Records, StorageError> {
        self.follow().await?;
        let records = match self.known.records.take() {
            Some(records) => records,
            None => self.records().await?,
        };
        Ok(self.known.records.insert(records))
    }

    async fn recorded(&self, recorded: &Recorded) -> Result<Option<i64>, StorageError> {
        if self.known.is_scanned {
            return Ok(None);
        }
        let fail = StorageError::delta(&self.name);
        let state = self.delta.snapshot().map_err(&fail)?;
        state.transaction_version(self.delta.log_store().as_ref(), recorded.id()).await.map_err(fail)
    }
}

/// Our application transactions in the text of a commit.
pub(super) fn transactions(commit: &[u8]) -> Vec<(Recorded, i64)> {
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
