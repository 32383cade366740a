//! Names of the application transactions: what a table has consumed, how far event time has come, how far
//! back its tiers are kept, what it does not have because it came later, and what of that was filled in since.

use deltalake::kernel::Transaction;
use tidewatch_engine::backfill::{Records, Scope};
use tidewatch_engine::commit::TopicPartition;

const OFFSET: &str = "tidewatch/offset/";
const WATERMARK: &str = "tidewatch/watermark/";
const RETAINED: &str = "tidewatch/retained/";
const BEGINS_TIME: &str = "tidewatch/begins_time";
const BEGINS: &str = "tidewatch/begins/";
const FILLED: &str = "tidewatch/backfill/";
/// These two are followed by the name of the measure; it has no slash.
const MEASURE_BEGINS: &str = "tidewatch/measure_begins/";
const MEASURE_FILLED: &str = "tidewatch/measure_backfill/";
/// These by the name of the rollup, which has none either.
const DIGEST_BEGINS: &str = "tidewatch/digest_begins/";
const DIGEST_FILLED: &str = "tidewatch/digest_backfill/";

/// What an application transaction of ours records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recorded {
    /// Last offset covered.
    Offset(TopicPartition),
    /// Watermark in microseconds since the epoch.
    Watermark(TopicPartition),
    /// Boundary of the named tier in microseconds since the epoch: older rows of it do not count.
    Retained(String),
    /// Event time before which events may lie that come before a beginning, microseconds since the epoch.
    BeginsTime,
    /// Last offset that a scope does not have from the live path.
    Begins(Scope, TopicPartition),
    /// Last offset that backfills of a scope have covered.
    Filled(Scope, TopicPartition),
}

/// Whose positions a writer of a table continues: one table has several ledgers that never meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Ledger {
    /// The live path's.
    #[default]
    Live,
    /// Those of a backfill of these scopes, which stand at the same offsets; at least one.
    Backfill(Vec<Scope>),
}

impl Ledger {
    /// Where a position is recorded; the first one is read.
    pub fn positions(&self, partition: &TopicPartition) -> Vec<Recorded> {
        match self {
            Self::Live => vec![Recorded::Offset(partition.clone())],
            Self::Backfill(scopes) => scopes.iter().map(|s| Recorded::Filled(s.clone(), partition.clone())).collect(),
        }
    }

    /// Where a watermark is recorded, if at all: events of the past say nothing about event time.
    pub fn watermark(&self, partition: &TopicPartition) -> Option<Recorded> {
        match self {
            Self::Live => Some(Recorded::Watermark(partition.clone())),
            Self::Backfill(_) => None,
        }
    }

    /// A record as this ledger's writer understands it: its own positions are offsets, those of others are
    /// nothing to it. How far back tiers are kept is so for all of them.
    pub fn own(&self, recorded: Recorded) -> Option<Recorded> {
        match (self, recorded) {
            (_, recorded @ Recorded::Retained(_)) => Some(recorded),
            (Self::Live, recorded @ (Recorded::Offset(_) | Recorded::Watermark(_))) => Some(recorded),
            (Self::Backfill(scopes), Recorded::Filled(scope, p)) if scopes.first() == Some(&scope) => {
                Some(Recorded::Offset(p))
            }
            _ => None,
        }
    }
}

impl Recorded {
    /// The name of the transaction.
    pub fn id(&self) -> String {
        match self {
            Self::Offset(partition) => format!("{OFFSET}{partition}"),
            Self::Watermark(partition) => format!("{WATERMARK}{partition}"),
            Self::Retained(tier) => format!("{RETAINED}{tier}"),
            Self::BeginsTime => BEGINS_TIME.to_owned(),
            Self::Begins(Scope::Rollup, partition) => format!("{BEGINS}{partition}"),
            Self::Begins(Scope::Measure(name), partition) => format!("{MEASURE_BEGINS}{name}/{partition}"),
            Self::Begins(Scope::Digest(name), partition) => format!("{DIGEST_BEGINS}{name}/{partition}"),
            Self::Filled(Scope::Rollup, partition) => format!("{FILLED}{partition}"),
            Self::Filled(Scope::Measure(name), partition) => format!("{MEASURE_FILLED}{name}/{partition}"),
            Self::Filled(Scope::Digest(name), partition) => format!("{DIGEST_FILLED}{name}/{partition}"),
        }
    }

    /// The transaction that records `value`.
    pub fn at(&self, value: i64) -> Transaction {
        Transaction::new(self.id(), value)
    }
}

/// Reads a name; `None` when it is not ours.
pub(crate) fn parse(app_id: &str) -> Option<Recorded> {
    let partition = |text: &str| {
        let (topic, number) = text.rsplit_once('/')?;
        Some(TopicPartition::new(topic, number.parse().ok()?))
    };
    let named = |text: &str, scope: fn(String) -> Scope| {
        let (name, rest) = text.split_once('/')?;
        Some((scope(name.to_owned()), partition(rest)?))
    };
    let begins = |(scope, p)| Recorded::Begins(scope, p);
    let filled = |(scope, p)| Recorded::Filled(scope, p);
    if app_id == BEGINS_TIME {
        return Some(Recorded::BeginsTime);
    }
    // Up to the slash after the second word.
    let (prefix, rest) = app_id.split_at(app_id.match_indices('/').nth(1)?.0 + 1);
    match prefix {
        OFFSET => partition(rest).map(Recorded::Offset),
        WATERMARK => partition(rest).map(Recorded::Watermark),
        RETAINED => Some(Recorded::Retained(rest.to_owned())),
        BEGINS => Some(Recorded::Begins(Scope::Rollup, partition(rest)?)),
        FILLED => Some(Recorded::Filled(Scope::Rollup, partition(rest)?)),
        MEASURE_BEGINS => named(rest, Scope::Measure).map(begins),
        MEASURE_FILLED => named(rest, Scope::Measure).map(filled),
        DIGEST_BEGINS => named(rest, Scope::Digest).map(begins),
        DIGEST_FILLED => named(rest, Scope::Digest).map(filled),
        _ => None,
    }
}

/// Notes a record that is newer than what is there.
pub(crate) fn add(records: &mut Records, recorded: Recorded, value: i64) {
    match recorded {
        Recorded::Offset(p) => records.offsets.insert(p, value),
        Recorded::Watermark(p) => records.watermarks.insert(p, value),
        Recorded::Begins(scope, p) => records.begins.entry(scope).or_default().insert(p, value),
        Recorded::Filled(scope, p) => records.filled.entry(scope).or_default().insert(p, value),
        Recorded::BeginsTime => records.begins_time_us.replace(value),
        Recorded::Retained(_) => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_even_with_slashes_in_the_topic() {
        for topic in ["orders.events.v1", "file:a/b.ndjson.gz", "requests/requests"] {
            let partition = || TopicPartition::new(topic, 12);
            let mut all = vec![Recorded::Offset(partition()), Recorded::Watermark(partition())];
            for scope in [Scope::Rollup, Scope::Measure("requests".to_owned()), Scope::Digest("calls".to_owned())] {
                all.push(Recorded::Begins(scope.clone(), partition()));
                all.push(Recorded::Filled(scope, partition()));
            }
            all.extend([Recorded::Retained("10s".to_owned()), Recorded::BeginsTime]);
            for recorded in all {
                assert_eq!(parse(&recorded.id()), Some(recorded));
            }
        }
        assert_eq!(parse("spark-query-7"), None);
    }

    #[test]
    fn every_ledger_knows_its_own_positions_only() {
        let partition = TopicPartition::new("orders", 1);
        let offset = Recorded::Offset(partition.clone());
        let measures = ["a", "b"].map(|m| Scope::Measure(m.to_owned()));
        let (live, filling) = (Ledger::Live, Ledger::Backfill(measures.to_vec()));
        let [first, second] = filling.positions(&partition).try_into().unwrap();
        assert_eq!(filling.own(first.clone()), Some(offset.clone()));
        assert_eq!((filling.own(second), live.own(first)), (None, None));
        assert_eq!((filling.own(offset.clone()), live.own(offset.clone())), (None, Some(offset)));
        let watermark = live.watermark(&partition).unwrap();
        assert_eq!((filling.own(watermark), filling.watermark(&partition)), (None, None));
        let cut = Recorded::Retained("1m".to_owned());
        assert_eq!([live, filling].map(|ledger| ledger.own(cut.clone())), [Some(cut.clone()), Some(cut)]);
    }
}
