//! What would become of a letter, without changing anything.

use super::super::testing::{ARRIVAL_US, TOPIC, catalog, click, entry, folder, id, letter, settings};
use super::*;
use crate::event_ids::{EVENT_IDS, NewIds, batch, event_ids_schema};
use std::collections::BTreeMap;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::dedupe::{DedupeSettings, NewId, event_hash};
use tidewatch_storage::{Rows, Table};

const NOW_US: i64 = ARRIVAL_US + 3_600_000_000;

#[tokio::test]
async fn each_letter_meets_its_fate() {
    let (_folder, store) = folder();
    let mut journal = Journal::open(&store).await.unwrap();
    journal.append(vec![entry(1, Some("a"))], 1).await.unwrap();
    let mut judge = Judge::open(&store, &catalog(), &settings()).await.unwrap();
    let good = click(2, Some("a"));
    let repairs =
        Repairs::parse(&format!(r#"{{"topic":"clicks","partition":0,"offset":9,"payload":{good}}}"#)).unwrap();
    let mut fate = |letter: StoredLetter| judge.judge(letter, &repairs, &journal, NOW_US);

    let Fate::Counts { entry, event_time_us, sources } = fate(letter(2, &good)) else { panic!("it counts") };
    assert_eq!((entry.id, entry.payload, entry.is_repaired), (id(2), good.clone().into_bytes(), false));
    assert_eq!((event_time_us, sources), (1_773_489_602_000_000, vec!["click".to_owned()]));
    assert_eq!(fate(letter(1, &good)), Fate::AlreadyRedriven);
    let notice = StoredLetter { disposition: "kept_as_other".to_owned(), ..letter(3, &good) };
    assert_eq!(fate(notice), Fate::CountsAlready);
    let Fate::Refused(reject) = fate(letter(4, &click(4, None))) else { panic!("its page is no text") };
    assert_eq!(reject.reason.as_str(), "wrong_type");
    let other = good.replace("test.click", "test.scroll");
    assert_eq!(fate(letter(5, &other)), Fate::Ignored { declared: false });
    let elsewhere = StoredLetter { id: LetterId::new("scrolls", 0, 5), ..letter(5, &good) };
    assert_eq!(fate(elsewhere), Fate::Ignored { declared: false }, "a type counts in its own topic only");
    let of_a_file = StoredLetter { id: LetterId::new("file:x", 0, 5), ..letter(5, &good) };
    assert!(matches!(fate(of_a_file), Fate::Counts { .. }));

    let cut = |offset| StoredLetter { payload_bytes: 5000, ..letter(offset, &good[..20]) };
    assert_eq!(fate(cut(8)), Fate::CutOff { kept: 20, payload_bytes: 5000 });
    let Fate::Counts { entry, .. } = fate(cut(9)) else { panic!("a repair brings all bytes") };
    assert_eq!((entry.payload, entry.is_repaired), (good.into_bytes(), true));
}

#[tokio::test]
async fn the_time_of_the_record_decides_about_the_future_as_at_first() {
    let (_folder, store) = folder();
    let journal = Journal::open(&store).await.unwrap();
    let mut judge = Judge::open(&store, &catalog(), &settings()).await.unwrap();
    // An hour later the event lies in the past, but it lay ahead of its record.
    let ahead = click(0, Some("a")).replace("12:00:00Z", "18:20:00Z");
    let fate = judge.judge(letter(0, &ahead), &Repairs::default(), &journal, NOW_US);
    let Fate::Refused(reject) = fate else { panic!("{fate:?}") };
    assert_eq!(reject.reason.as_str(), "future_timestamp");
}

#[tokio::test]
async fn an_event_that_was_counted_from_another_record_is_a_copy() {
    let (_folder, store) = folder();
    // The producer has sent the event e2 again, and it was counted.
    let partition = TopicPartition::new(TOPIC, 0);
    let hash = event_hash("t", "e2", &mut Vec::new());
    let ids = vec![NewId { hash, offset: 70 }];
    let new = NewIds { partition: partition.clone(), pane_start_us: ARRIVAL_US, ids };
    let mut table = Table::open_or_create(&store, EVENT_IDS, &event_ids_schema(), &[]).await.unwrap();
    let ranges = BTreeMap::from([(partition, OffsetRange { from: -1, to: 80 })]);
    let rows = Rows { batch: batch([&new]).unwrap(), ranges, watermarks: BTreeMap::new() };
    table.append(&rows).await.unwrap();

    let journal = Journal::open(&store).await.unwrap();
    let letters = [letter(2, &click(2, Some("a"))), letter(3, &click(3, Some("a"))), letter(4, &click(3, Some("b")))];
    for (horizon_us, expected) in [(86_400_000_000, ["copy", "counts", "copy"]), (0, ["counts"; 3])] {
        let settings = WorkerSettings { dedupe: DedupeSettings { horizon_us, ids_max: 1000 }, ..settings() };
        let mut judge = Judge::open(&store, &catalog(), &settings).await.unwrap();
        judge.prepare(&letters, &journal).await.unwrap();
        let fates = letters.clone().map(|l| match judge.judge(l, &Repairs::default(), &journal, NOW_US) {
            Fate::Copy => "copy",
            Fate::Counts { .. } => "counts",
            other => panic!("{other:?}"),
        });
        assert_eq!(fates, expected, "horizon {horizon_us}");
    }
}

#[test]
fn letters_that_do_not_exist_are_named() {
    let found = [id(1), id(2)].into();
    assert_eq!(missing(&[id(1), id(3)], &found), [&id(3)]);
}
