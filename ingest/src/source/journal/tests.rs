//! Rows become records of their original topic, in order, from any position.

use super::*;
use crate::letters::testing::{ARRIVAL_US, entry, folder};
use crate::letters::{Entry, Journal, LetterId};

fn drive(source: &mut JournalSource) -> Vec<(i64, Option<String>, Option<i64>)> {
    let mut records = Vec::new();
    let mut sink = |r: &SourceRecord<'_>| {
        records.push((r.offset, r.raw.topic.map(str::to_owned), r.raw.timestamp_us));
    };
    while source.poll(100, Duration::ZERO, &mut sink).unwrap() != Polled::Event(SourceEvent::Finished) {}
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_read_from_any_position_to_the_end() {
    let (_folder, store) = folder();
    let mut journal = Journal::open(&store).await.unwrap();
    // More than is held in memory at a time.
    journal.append((0..600).map(|i| entry(i, Some("a"))).collect(), 1).await.unwrap();
    let of_a_file = Entry { id: LetterId::new("file:x", 0, 0), record_time_us: None, ..entry(0, Some("a")) };
    journal.append(vec![of_a_file], 1).await.unwrap();
    let mut source = JournalSource::new(journal.reader().clone(), Handle::current());
    let end = journal.reader().end();
    // A worker's thread has no runtime of its own, and must not have one here either.
    let check = move || {
        let assigned = source.poll(1, Duration::ZERO, &mut |_| panic!("a record before the answer")).unwrap();
        assert_eq!(assigned, Polled::Event(SourceEvent::Assigned(vec![journal_partition()])));
        for position in [-1, 254, 255, 256, 599, end] {
            source.start_after(&BTreeMap::from([(journal_partition(), position)])).unwrap();
            let records = drive(&mut source);
            let offsets: Vec<i64> = records.iter().map(|r| r.0).collect();
            assert_eq!(offsets, (position + 1..=end).collect::<Vec<_>>());
            for (offset, topic, time) in records {
                match offset {
                    600 => assert_eq!((topic, time), (None, None)),
                    _ => assert_eq!((topic.as_deref(), time), (Some("clicks"), Some(ARRIVAL_US))),
                }
            }
        }
    };
    std::thread::spawn(check).join().unwrap();
}
