//! A store in a folder, with letters in it, for the tests of this module.

use super::{Entry, LetterId, StoredLetter};
use crate::clock::{Clock, SystemClock};
use crate::dead_letter::{DEAD_LETTERS, DeadLetters, Letter, dead_letter_schema};
use crate::decode::{DecodeLimits, Reason, Reject};
use crate::metrics::IngestMetrics;
use crate::personal::{HashKey, Personal};
use crate::pipeline::Pipeline;
use crate::worker::WorkerSettings;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::dedupe::DedupeSettings;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::source::PersonalKeys;
use tidewatch_engine::watermark::WatermarkSettings;
use tidewatch_storage::{AppendOutcome, Rows, Store, Table};

pub const TOPIC: &str = "clicks";
pub const ARRIVAL_US: i64 = 1_773_511_200_000_000;

const SOURCES: &str =
    "sources:\n  - name: click\n    topic: clicks\n    type: test.click\n    fields: { page: string, n: int64 }\n";
const ROLLUPS: &str =
    "CREATE ROLLUP clicks AS SELECT page, count(*) AS n FROM click GROUP BY tumble(INTERVAL '10 seconds'), page;
                       CREATE ROLLUP sums AS SELECT sum(n) AS n FROM click GROUP BY tumble(INTERVAL '10 seconds');";

pub fn folder() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    (folder, store)
}

pub fn catalog() -> Catalog {
    Catalog::parse(&[("s".to_owned(), SOURCES.to_owned())], &[("r".to_owned(), ROLLUPS.to_owned())]).unwrap()
}

pub fn limits() -> DecodeLimits {
    DecodeLimits { record_bytes_max: 1 << 20, string_bytes_max: 64, explode_max: 10, future_max_us: 300_000_000 }
}

pub fn settings() -> WorkerSettings {
    WorkerSettings {
        flush_interval: Duration::from_secs(60),
        flush_rows: 1_000_000,
        flush_bytes: 1 << 30,
        drain_timeout: Duration::from_secs(30),
        dead_letter_bytes_max: 1 << 16,
        series_max: 0,
        decode: limits(),
        dedupe: DedupeSettings { horizon_us: 0, ids_max: 1000 },
        hash_key: HashKey::default(),
        watermark: WatermarkSettings { disorder_us: 0, idle_after_us: 1_000_000 },
    }
}

pub fn pipeline(store: &Store) -> Pipeline {
    Pipeline {
        catalog: Arc::new(catalog()),
        store: store.clone(),
        settings: settings(),
        metrics: IngestMetrics::register(&prometheus::Registry::new()).unwrap(),
        news: crate::news::News::default(),
        clock: Arc::new(SystemClock::new()) as Arc<dyn Clock>,
        runtime: tokio::runtime::Handle::current(),
    }
}

/// A click on a page; a page of `None` has a wrong type.
pub fn click(id: i64, page: Option<&str>) -> String {
    let page = page.map_or("5".to_owned(), |p| format!("{p:?}"));
    format!(
        r#"{{"specversion":"1.0","id":"e{id}","source":"t","type":"test.click","time":"2026-03-14T12:00:{:02}Z","tenantkind":"creator","tenantid":"c","data":{{"page":{page},"n":1}}}}"#,
        id % 60
    )
}

pub fn id(offset: i64) -> LetterId {
    LetterId::new(TOPIC, 0, offset)
}

pub fn entry(offset: i64, page: Option<&str>) -> Entry {
    Entry {
        id: id(offset),
        event_id: Some(format!("e{offset}")),
        record_time_us: Some(ARRIVAL_US),
        payload: click(offset, page).into_bytes(),
        is_repaired: false,
    }
}

pub fn letter(offset: i64, payload: &str) -> StoredLetter {
    StoredLetter {
        id: id(offset),
        arrival_time_us: ARRIVAL_US,
        record_time_us: Some(ARRIVAL_US),
        reason: "wrong_type".to_owned(),
        detail: "data.page: expected a string".to_owned(),
        disposition: "rejected".to_owned(),
        event_id: None,
        event_type: None,
        payload: payload.as_bytes().to_vec(),
        payload_bytes: payload.len() as i64,
        redriven: None,
    }
}

/// Rejected records of partition 0 of a topic, one second after the other.
pub async fn write_letters(store: &Store, topic: &str, payloads: &[(Reason, &str)]) {
    let properties = [("delta.dataSkippingNumIndexedCols", "4".to_owned())];
    let mut table = Table::open_or_create(store, DEAD_LETTERS, &dead_letter_schema(), &properties).await.unwrap();
    let partition = TopicPartition::new(topic, 0);
    let mut letters = DeadLetters::new(1 << 16, Arc::new(Personal::new(&PersonalKeys::default(), HashKey::default())));
    for (offset, (reason, payload)) in payloads.iter().enumerate() {
        let letter = Letter {
            partition: &partition,
            offset: offset as i64,
            record_time_us: Some(ARRIVAL_US),
            arrival_time_us: ARRIVAL_US + offset as i64 * 1_000_000,
            payload: payload.as_bytes(),
        };
        letters.reject(&letter, &Reject::new(*reason, "as the test says").of(None, Some("com.example.test.click")));
    }
    let range = OffsetRange { from: BEFORE_FIRST, to: payloads.len() as i64 - 1 };
    let rows = Rows {
        batch: letters.take().unwrap(),
        ranges: BTreeMap::from([(partition, range)]),
        watermarks: BTreeMap::new(),
    };
    assert!(matches!(table.append(&rows).await.unwrap(), AppendOutcome::Committed { .. }));
}
