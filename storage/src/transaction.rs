//! Names of the application transactions: what a table has consumed, how far event time has come, what
//! it does not have because it came later, and what of that was filled in since.

use tidewatch_engine::backfill::Scope;
use tidewatch_engine::commit::TopicPartition;

const OFFSET: &str = "tidewatch/offset/";
const WATERMARK: &str = "tidewatch/watermark/";
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
    /// The names under which a position is recorded; the first one is read.
    pub fn position_ids(&self, partition: &TopicPartition) -> Vec<String> {
        match self {
            Self::Live => vec![offset_id(partition)],
            Self::Backfill(scopes) => scopes.iter().map(|scope| filled_id(scope, partition)).collect(),
        }
    }

    /// The name under which a watermark is recorded: events of the past say nothing about event time.
    pub fn watermark_id(&self, partition: &TopicPartition) -> Option<String> {
        match self {
            Self::Live => Some(watermark_id(partition)),
            Self::Backfill(_) => None,
        }
    }

    /// Reads a name as this ledger's writer understands it: its own positions are offsets, those of
    /// others are nothing to it.
    pub fn parse(&self, app_id: &str) -> Option<Recorded> {
        match (self, parse(app_id)?) {
            (Self::Live, recorded @ (Recorded::Offset(_) | Recorded::Watermark(_))) => Some(recorded),
            (Self::Backfill(scopes), Recorded::Filled(scope, p)) if scopes.first() == Some(&scope) => {
                Some(Recorded::Offset(p))
            }
            _ => None,
        }
    }
}

pub(crate) fn offset_id(partition: &TopicPartition) -> String {
    format!("{OFFSET}{partition}")
}

pub(crate) fn watermark_id(partition: &TopicPartition) -> String {
    format!("{WATERMARK}{partition}")
}

pub(crate) fn begins_id(scope: &Scope, partition: &TopicPartition) -> String {
    match scope {
        Scope::Rollup => format!("{BEGINS}{partition}"),
        Scope::Measure(name) => format!("{MEASURE_BEGINS}{name}/{partition}"),
        Scope::Digest(name) => format!("{DIGEST_BEGINS}{name}/{partition}"),
    }
}

pub(crate) fn filled_id(scope: &Scope, partition: &TopicPartition) -> String {
    match scope {
        Scope::Rollup => format!("{FILLED}{partition}"),
        Scope::Measure(name) => format!("{MEASURE_FILLED}{name}/{partition}"),
        Scope::Digest(name) => format!("{DIGEST_FILLED}{name}/{partition}"),
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
    // Up to the slash after the second word.
    let (prefix, rest) = app_id.split_at(app_id.match_indices('/').nth(1)?.0 + 1);
    match prefix {
        OFFSET => partition(rest).map(Recorded::Offset),
        WATERMARK => partition(rest).map(Recorded::Watermark),
        BEGINS => Some(Recorded::Begins(Scope::Rollup, partition(rest)?)),
        FILLED => Some(Recorded::Filled(Scope::Rollup, partition(rest)?)),
        MEASURE_BEGINS => named(rest, Scope::Measure).map(begins),
        MEASURE_FILLED => named(rest, Scope::Measure).map(filled),
        DIGEST_BEGINS => named(rest, Scope::Digest).map(begins),
        DIGEST_FILLED => named(rest, Scope::Digest).map(filled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_even_with_slashes_in_the_topic() {
        for topic in ["orders.events.v1", "file:a/b.ndjson.gz", "requests/requests"] {
            let partition = TopicPartition::new(topic, 12);
            assert_eq!(parse(&offset_id(&partition)), Some(Recorded::Offset(partition.clone())));
            assert_eq!(parse(&watermark_id(&partition)), Some(Recorded::Watermark(partition.clone())));
            for scope in [Scope::Rollup, Scope::Measure("requests".to_owned()), Scope::Digest("calls".to_owned())] {
                let (begins, filled) = (begins_id(&scope, &partition), filled_id(&scope, &partition));
                assert_eq!(parse(&begins), Some(Recorded::Begins(scope.clone(), partition.clone())));
                assert_eq!(parse(&filled), Some(Recorded::Filled(scope, partition.clone())));
            }
        }
        assert_eq!(parse("spark-query-7"), None);
    }

    #[test]
    fn every_ledger_knows_its_own_positions_only() {
        let partition = TopicPartition::new("orders", 1);
        let measures = ["a", "b"].map(|m| Scope::Measure(m.to_owned()));
        let (live, filling) = (Ledger::Live, Ledger::Backfill(measures.to_vec()));
        assert_eq!(filling.position_ids(&partition).len(), 2);
        let [first, second] = [0, 1].map(|i| filling.position_ids(&partition)[i].clone());
        assert_eq!(filling.parse(&first), Some(Recorded::Offset(partition.clone())));
        assert_eq!((filling.parse(&second), live.parse(&first)), (None, None));
        assert_eq!(filling.parse(&offset_id(&partition)), None);
        assert_eq!((filling.parse(&watermark_id(&partition)), filling.watermark_id(&partition)), (None, None));
        assert_eq!(live.parse(&offset_id(&partition)), Some(Recorded::Offset(partition)));
    }
}
