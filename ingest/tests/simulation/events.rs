//! What is there to count, and by plain maps what must come of it.

use crate::clock::{Chance, START_US};
use crate::tables::{Rows, Width, key};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::time::{HOUR_US, MINUTE_US, SECOND_US, format_rfc3339, window_start};
use tidewatch_ingest::dead_letter::DEAD_LETTERS;
use tidewatch_ingest::event_ids::EVENT_IDS;

const SOURCES: &str = "
sources:
  - name: sale
    topic: sales
    type: sim.sale
    fields:
      shop: string
      buyer: string
      price: decimal(2)
      ms: int64
      status: { enum: [paid, sent] }
  - name: visit
    topic: visits
    type: sim.visit
    fields: { shop: string, guest: string }
";
const ROLLUPS: &str = "
CREATE ROLLUP takings WITH (tiers = '10s 2h, 1m 6h, 1h forever') AS
SELECT shop, count(*) AS sales, sum(price) AS revenue, hdr(ms) AS ms, approx_distinct(buyer) AS buyers
FROM sale GROUP BY tumble(INTERVAL '10 seconds'), shop;

CREATE ROLLUP traffic WITH (tiers = '10s forever, 10m forever') AS
SELECT shop, count(*) AS events FROM sale GROUP BY tumble(INTERVAL '10 seconds'), shop
UNION ALL BY NAME
SELECT shop, count(*) AS events, approx_distinct(guest) AS guests
FROM visit GROUP BY tumble(INTERVAL '10 seconds'), shop;

CREATE ROLLUP buyers AS
SELECT buyer, count(*) AS sales, last(status) AS status, max(ms) AS slowest
FROM sale GROUP BY buyer;
";
const TAKINGS: &str = "takings";
const TRAFFIC: &str = "traffic";
const BUYERS: &str = "buyers";

/// Every table that each event is in once.
pub const TABLES: [&str; 5] = [TAKINGS, TRAFFIC, BUYERS, DEAD_LETTERS, EVENT_IDS];

/// Last offset, per partition.
pub type Offsets = BTreeMap<TopicPartition, i64>;

/// What is counted. The same in every simulation: planning it takes longer than most of them.
pub fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    let text = |text: &str| [("simulation".to_owned(), text.to_owned())];
    Arc::clone(CATALOG.get_or_init(|| Arc::new(Catalog::parse(&text(SOURCES), &text(ROLLUPS)).unwrap())))
}

/// The records of all partitions.
#[derive(Debug)]
pub struct Events {
    pub partitions: Vec<Partition>,
}

#[derive(Debug)]
pub struct Partition {
    pub name: TopicPartition,
    pub records: Vec<Record>,
}

#[derive(Debug)]
pub struct Record {
    pub payload: String,
    pub arrival_us: i64,
    /// What it is, unless it is a copy of another one or of no use.
    event: Option<Event>,
    /// Reason and disposition of the dead letter that it leaves.
    letter: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Event {
    id: String,
    time_us: i64,
    shop: &'static str,
    detail: Detail,
}

#[derive(Debug, Clone)]
enum Detail {
    Sale { buyer: &'static str, cents: i128, ms: u64, status: &'static str, sequence: i64 },
    Visit { guest: &'static str },
}

impl Event {
    fn draw(chance: &mut Chance, topic: &str, id: String, arrival_us: i64) -> Self {
        let delay_us = match chance.below(20) {
            0 => chance.below(8 * 60) as i64 * MINUTE_US,
            1..=3 => chance.below(10 * 60) as i64 * SECOND_US,
            _ => chance.below(5000) as i64 * 1000,
        };
        let detail = match topic {
            "sales" => Detail::Sale {
                buyer: chance.pick(&["ann", "bob", "cem", "dee", "eve", "fay"]),
                cents: 1 + chance.below(10_000) as i128,
                // So small that a histogram of two digits has a bucket for each.
                ms: 1 + chance.below(200) as u64,
                status: chance.pick(&["paid", "paid", "paid", "paid", "paid", "sent", "sent", "sent", "other"]),
                sequence: chance.below(50) as i64,
            },
            _ => Detail::Visit { guest: chance.pick(&["gil", "hal", "ida", "jon"]) },
        };
        Self { id, time_us: arrival_us - delay_us, shop: chance.pick(&["east", "north", "west"]), detail }
    }

    fn payload(&self) -> String {
        let (id, time, shop) = (&self.id, format_rfc3339(self.time_us), self.shop);
        let (kind, sequence, data) = match &self.detail {
            Detail::Sale { buyer, cents, ms, status, sequence } => {
                // What is not listed is counted as other.
                let status = if *status == "other" { "lost" } else { *status };
                let (whole, part) = (cents / 100, cents % 100);
                let data = format!(r#""buyer":"{buyer}","price":"{whole}.{part:02}","ms":{ms},"status":"{status}""#);
                ("sale", *sequence, data)
            }
            Detail::Visit { guest } => ("visit", 0, format!(r#""guest":"{guest}""#)),
        };
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/sim","type":"sim.{kind}","time":"{time}","sequence":"{sequence}","tenantkind":"creator","tenantid":"t","data":{{"shop":"{shop}",{data}}}}}"#
        )
    }
}

impl Events {
    /// Records of three hours in three partitions: some late, some copies of others, some of no use, of which some
    /// come again in order.
    pub fn draw(chance: &mut Chance) -> Self {
        let names = [("sales", 0), ("sales", 1), ("visits", 0)].map(|(topic, n)| TopicPartition::new(topic, n));
        Self { partitions: names.into_iter().map(|name| Partition::draw(chance, name)).collect() }
    }

    pub fn names(&self) -> Vec<TopicPartition> {
        self.partitions.iter().map(|p| p.name.clone()).collect()
    }

    pub fn ends(&self) -> Offsets {
        self.partitions.iter().map(|p| (p.name.clone(), p.records.len() as i64 - 1)).collect()
    }

    /// What a table must hold that has counted up to these offsets.
    pub fn expected(&self, table: &str, widths: &[Width], at: &Offsets) -> Rows {
        match table {
            TAKINGS => self.in_windows(widths, at, Taking::count),
            TRAFFIC => self.in_windows(widths, at, Traffic::count),
            BUYERS => {
                let mut buyers: BTreeMap<String, Buyer> = BTreeMap::new();
                for event in self.events(at) {
                    if let Detail::Sale { buyer, .. } = &event.detail {
                        buyers.entry((*buyer).to_owned()).or_default().count(event);
                    }
                }
                text(buyers)
            }
            DEAD_LETTERS => {
                let letter = |(p, offset, r): (&Partition, i64, &Record)| {
                    Some((format!("{} {offset}", p.name), r.letter?.to_owned()))
                };
                self.records(at).filter_map(letter).collect()
            }
            EVENT_IDS => {
                let mut ids: BTreeMap<String, usize> = BTreeMap::new();
                for (partition, ..) in self.records(at).filter(|(.., r)| r.event.is_some()) {
                    *ids.entry(partition.name.to_string()).or_default() += 1;
                }
                ids.into_iter().map(|(partition, count)| (partition, format!("{count}, {count} distinct"))).collect()
            }
            other => panic!("nothing is known of {other}"),
        }
    }

    fn records(&self, at: &Offsets) -> impl Iterator<Item = (&Partition, i64, &Record)> {
        let upto = |p: &Partition| (at.get(&p.name).copied().unwrap_or(BEFORE_FIRST) + 1) as usize;
        let counts: Vec<usize> = self.partitions.iter().map(upto).collect();
        let of = |(p, count)| Partition::upto(p, count).map(move |(offset, record)| (p, offset, record));
        self.partitions.iter().zip(counts).flat_map(of)
    }

    fn events(&self, at: &Offsets) -> impl Iterator<Item = &Event> {
        self.records(at).filter_map(|(.., record)| record.event.as_ref())
    }

    fn in_windows<S: Default + fmt::Display>(&self, widths: &[Width], at: &Offsets, count: fn(&mut S, &Event)) -> Rows {
        let mut windows: BTreeMap<String, S> = BTreeMap::new();
        for event in self.events(at) {
            for width in widths {
                let start = window_start(event.time_us, width.pane_us);
                if start >= width.from_us {
                    count(windows.entry(key(&width.name, start, event.shop)).or_default(), event);
                }
            }
        }
        text(windows)
    }
}

fn text<S: fmt::Display>(rows: BTreeMap<String, S>) -> Rows {
    rows.into_iter().map(|(key, row)| (key, row.to_string())).collect()
}

impl Partition {
    fn draw(chance: &mut Chance, name: TopicPartition) -> Self {
        let mut records: Vec<Record> = Vec::new();
        let count = 10 + chance.below(50);
        let mut arrival_us = START_US - 3 * HOUR_US;
        // Ids of what was of no use.
        let mut refused: Vec<String> = Vec::new();
        for offset in 0..count {
            arrival_us += chance.below(200) as i64 * SECOND_US;
            let id = match refused.pop() {
                Some(id) if chance.one_in(2) => id,
                _ => format!("{name}-{offset}"),
            };
            let event = Event::draw(chance, &name.topic, id, arrival_us);
            let copied = match records.len() {
                0 => None,
                len => Some(&records[chance.below(len)]).filter(|r| r.event.is_some()),
            };
            let record = match (chance.below(10), copied) {
                (0, _) => {
                    refused.push(event.id.clone());
                    Record::refused(chance, &event, arrival_us)
                }
                (1 | 2, Some(copied)) => {
                    Record { payload: copied.payload.clone(), arrival_us, event: None, letter: None }
                }
                _ => {
                    let is_noted = matches!(event.detail, Detail::Sale { status: "other", .. });
                    let letter = is_noted.then_some("unknown_enum kept_as_other");
                    Record { payload: event.payload(), arrival_us, event: Some(event), letter }
                }
            };
            records.push(record);
        }
        Self { name, records }
    }

    fn upto(&self, count: usize) -> impl Iterator<Item = (i64, &Record)> {
        self.records[..count].iter().enumerate().map(|(offset, record)| (offset as i64, record))
    }
}

impl Record {
    fn refused(chance: &mut Chance, event: &Event, arrival_us: i64) -> Self {
        let whole = event.payload();
        let (payload, letter) = match chance.below(3) {
            0 => (whole[..whole.len() / 2].to_owned(), "broken_json rejected"),
            1 => (whole.replace(r#""tenantid":"t","#, ""), "missing_tenant rejected"),
            _ => {
                let time = format_rfc3339(event.time_us);
                (whole.replace(&time, "2100-01-01T00:00:00Z"), "future_timestamp rejected")
            }
        };
        Self { payload, arrival_us, event: None, letter: Some(letter) }
    }
}

#[derive(Debug, Default)]
struct Taking {
    buyers: BTreeSet<&'static str>,
    ms: BTreeMap<u64, u64>,
    revenue: i128,
    sales: u64,
}

impl Taking {
    fn count(&mut self, event: &Event) {
        let Detail::Sale { buyer, cents, ms, .. } = &event.detail else { return };
        self.buyers.insert(*buyer);
        *self.ms.entry(*ms).or_default() += 1;
        self.revenue += cents;
        self.sales += 1;
    }
}

impl fmt::Display for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buyers, revenue, sales) = (self.buyers.len(), self.revenue, self.sales);
        write!(f, "buyers={buyers} ms={:?} revenue={revenue} sales={sales}", self.ms)
    }
}

#[derive(Debug, Default)]
struct Traffic {
    events: u64,
    guests: BTreeSet<&'static str>,
}

impl Traffic {
    fn count(&mut self, event: &Event) {
        self.events += 1;
        if let Detail::Visit { guest } = &event.detail {
            self.guests.insert(*guest);
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events={} guests={}", self.events, self.guests.len())
    }
}

#[derive(Debug, Default)]
struct Buyer {
    sales: u64,
    slowest: i64,
    /// Greatest by sequence, then time, then text.
    status: Option<(i64, i64, &'static str)>,
    updated_at: i64,
}

impl Buyer {
    fn count(&mut self, event: &Event) {
        let Detail::Sale { ms, status, sequence, .. } = &event.detail else { return };
        self.sales += 1;
        self.slowest = self.slowest.max(*ms as i64);
        self.status = self.status.max(Some((*sequence, event.time_us, *status)));
        self.updated_at = self.updated_at.max(event.time_us);
    }
}

impl fmt::Display for Buyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sales, slowest, updated_at) = (self.sales, self.slowest, self.updated_at);
        write!(f, "sales={sales} slowest={slowest} status={:?} updated_at={updated_at}", self.status)
    }
}
