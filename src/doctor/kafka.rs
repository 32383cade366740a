//! Kafka: brokers, topics, and whether the record that comes next is still kept.

use super::{Finding, Patient};
use crate::app::open_store;
use crate::ingestion::kafka_settings;
use crate::packs::Packs;
use crate::settings::MissingRecords;
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::source::{KafkaReport, KafkaSource, PartitionReport, TopicReport};

/// Of what a partition keeps, the next record is in the oldest tenth: it may be deleted soon.
const NEAR: i64 = 10;

pub async fn look(patient: Arc<Patient>, packs: Packs) -> Vec<Finding> {
    if patient.settings.kafka.properties.is_empty() {
        return vec![Finding::skipped("kafka", "no brokers are named in [kafka.properties]")];
    }
    let settings = match kafka_settings(&patient.settings, &packs.catalog, false) {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::failed("kafka", error.to_string(), "set \"bootstrap.servers\"")],
    };
    // Some of the time is left for reading where the tables stand.
    let (timeout, clock) = (patient.timeout.mul_f64(0.7), Arc::clone(&patient.clock));
    let asked = tokio::task::spawn_blocking(move || KafkaSource::diagnose(&settings, timeout, clock.as_ref()));
    let report = match asked.await {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            let hint =
                "look at bootstrap.servers, security.protocol and sasl.* in [kafka.properties], and at the network";
            return vec![Finding::failed("kafka brokers", error, hint)];
        }
        Err(error) => return vec![Finding::failed("kafka", error.to_string(), "this is a mistake of the program")],
    };
    let brokers = format!("{}: {}", count(report.brokers.len(), "broker"), report.brokers.join(", "));
    let mut findings = vec![Finding::ok("kafka brokers", brokers)];
    let skips = patient.settings.kafka.missing_records == MissingRecords::Skip;
    match positions(&patient, &packs.catalog, &report).await {
        Ok(positions) => findings.extend(report.topics.iter().map(|topic| look_at(topic, &positions, skips))),
        Err(error) => {
            findings.extend(report.topics.iter().map(|topic| look_at(topic, &BTreeMap::new(), skips)));
            let found = format!("where the tables stand is not known: {error:#}");
            findings.push(Finding::warning("kafka positions", found, "see store"));
        }
    }
    findings
}

/// The last offset that every table has which reads a partition; those that none has read are missing.
async fn positions(
    patient: &Patient,
    catalog: &Catalog,
    report: &KafkaReport,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let store = open_store(&patient.settings)?;
    let known = report.topics.iter().filter_map(|topic| topic.partitions.as_ref().ok()).flatten();
    let partitions: Vec<TopicPartition> = known.map(|p| p.partition.clone()).collect();
    let mut positions = BTreeMap::new();
    for plan in catalog.tables() {
        let Some(mut table) = store.table(&plan.schema.name).await? else { continue };
        let read: Vec<_> = partitions.iter().filter(|p| plan.topics.contains(&*p.topic)).cloned().collect();
        for (partition, position) in table.positions(&read).await? {
            if position >= 0 {
                let least = positions.entry(partition).or_insert(position);
                *least = position.min(*least);
            }
        }
    }
    Ok(positions)
}

fn look_at(topic: &TopicReport, positions: &BTreeMap<TopicPartition, i64>, skips: bool) -> Finding {
    let check = format!("kafka topic {}", topic.name);
    let partitions = match &topic.partitions {
        Ok(partitions) if !partitions.is_empty() => partitions,
        Ok(_) => return Finding::failed(check, "it has no partitions", "create it"),
        Err(error) => {
            let hint = "create it, or allow this user to describe and read it; a source that nobody sends does not belong \
                        into the packs";
            return Finding::failed(check, error.clone(), hint);
        }
    };
    let (mut lag, mut gone, mut near) = (0, Vec::new(), Vec::new());
    for PartitionReport { partition, first, end } in partitions {
        let next = positions.get(partition).map_or(*first, |position| position + 1);
        lag += (end - next.max(*first)).max(0);
        if next < *first {
            gone.push(format!("{partition}: {} records from offset {next} on", first - next));
        } else if *first > 0 && next < *end && positions.contains_key(partition) && (next - first) * NEAR < end - first
        {
            near.push(partition.to_string());
        }
    }
    let found = format!("{}, {lag} records to read", count(partitions.len(), "partition"));
    match () {
        () if !gone.is_empty() => {
            let found = format!("{found}; deleted before they were read: {}", gone.join(", "));
            let hint = match skips {
                true => "they are skipped, as kafka.missing_records says; raise retention.ms of the topic",
                false => {
                    "`run` will stop there: kafka.missing_records = \"skip\" goes on without them; raise retention.ms"
                }
            };
            if skips { Finding::warning(check, found, hint) } else { Finding::failed(check, found, hint) }
        }
        () if !near.is_empty() => {
            let found = format!("{found}; the next record is among the oldest that are kept: {}", near.join(", "));
            Finding::warning(check, found, "add workers or raise retention.ms, before records are deleted unread")
        }
        () => Finding::ok(check, found),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn look(first: i64, end: i64, position: Option<i64>, skips: bool) -> Finding {
        let partition = TopicPartition::new("t", 0);
        let positions = position.map(|at| (partition.clone(), at)).into_iter().collect();
        let topic =
            TopicReport { name: "t".to_owned(), partitions: Ok(vec![PartitionReport { partition, first, end }]) };
        look_at(&topic, &positions, skips)
    }

    #[test]
    fn what_was_deleted_unread_or_soon_will_be_is_told() {
        assert_eq!(look(0, 100, None, false).found, "1 partition, 100 records to read");
        assert_eq!(look(0, 100, Some(89), false).found, "1 partition, 10 records to read");
        let gone = look(50, 100, Some(39), false);
        assert_eq!(gone.status, Status::Failed);
        assert!(gone.found.contains("10 records from offset 40 on"), "{}", gone.found);
        assert_eq!(look(50, 100, Some(39), true).status, Status::Warning);
        assert_eq!(look(50, 100, Some(50), false).status, Status::Warning, "in the oldest tenth");
        assert_eq!(look(50, 100, Some(60), false).status, Status::Ok);
        assert_eq!(look(50, 100, Some(99), false).status, Status::Ok, "all is read");
        assert_eq!(look(50, 100, None, false).status, Status::Ok, "nothing was read yet, so nothing is missing");
        let missing = TopicReport { name: "t".to_owned(), partitions: Err("unknown".to_owned()) };
        assert_eq!(look_at(&missing, &BTreeMap::new(), false).status, Status::Failed);
    }
}
