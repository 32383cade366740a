//! A letter has one row, whoever appends.

use super::super::testing::{ARRIVAL_US, entry, folder, id};
use super::*;

async fn numbers(journal: &Journal) -> Vec<(i64, String)> {
    let rows = journal.reader().read(BEFORE_FIRST, journal.reader().end()).await.unwrap();
    rows.into_iter().map(|r| (r.sequence, String::from_utf8(r.payload).unwrap())).collect()
}

#[tokio::test]
async fn rows_are_numbered_through_and_a_letter_enters_once() {
    let (_folder, store) = folder();
    let mut journal = Journal::open(&store).await.unwrap();
    assert_eq!(journal.reader().end(), BEFORE_FIRST);
    let twice = vec![entry(5, Some("a")), entry(6, Some("b")), entry(5, Some("c"))];
    assert_eq!(journal.append(twice, ARRIVAL_US).await.unwrap(), Some(OffsetRange { from: -1, to: 1 }));
    assert_eq!(journal.append(vec![entry(6, Some("z"))], ARRIVAL_US).await.unwrap(), None);
    assert_eq!(
        journal.append(vec![entry(6, Some("z")), entry(7, Some("d"))], ARRIVAL_US).await.unwrap(),
        Some(OffsetRange { from: 1, to: 2 })
    );
    let expected: Vec<(i64, String)> = [(0, entry(5, Some("a"))), (1, entry(6, Some("b"))), (2, entry(7, Some("d")))]
        .into_iter()
        .map(|(n, e)| (n, String::from_utf8(e.payload).unwrap()))
        .collect();
    assert_eq!(numbers(&journal).await, expected);
    let again = Journal::open(&store).await.unwrap();
    assert!(again.has(&id(5)) && again.has(&id(7)) && !again.has(&id(8)));
    assert_eq!(again.reader().read(1, 2).await.unwrap()[0].record_time_us, Some(ARRIVAL_US));
}

#[tokio::test]
async fn two_at_the_same_time_append_each_letter_once() {
    let (_folder, store) = folder();
    // Both know the journal as it is now: empty.
    let (mut first, mut second) = (Journal::open(&store).await.unwrap(), Journal::open(&store).await.unwrap());
    let letters = |offsets: std::ops::Range<i64>| offsets.map(|o| entry(o, Some("a"))).collect::<Vec<_>>();
    let (a, b) = tokio::join!(first.append(letters(0..20), 1), second.append(letters(10..30), 2));
    let appended: i64 = [a.unwrap(), b.unwrap()].into_iter().flatten().map(|r| r.to - r.from).sum();
    assert_eq!(appended, 30);
    first.refresh().await.unwrap();
    assert_eq!(first.reader().end(), 29);
    let payloads: std::collections::BTreeSet<String> = numbers(&first).await.into_iter().map(|(_, p)| p).collect();
    assert_eq!(payloads.len(), 30);
}

#[tokio::test]
async fn ranges_of_equal_length_are_not_taken_for_one_s_own() {
    let (_folder, store) = folder();
    let (mut first, mut second) = (Journal::open(&store).await.unwrap(), Journal::open(&store).await.unwrap());
    for round in 0..5 {
        let (mine, other) = (entry(round, Some("a")), entry(100 + round, Some("b")));
        let (a, b) = tokio::join!(first.append(vec![mine], 1), second.append(vec![other], 2));
        let mut ends = [a.unwrap().unwrap().to, b.unwrap().unwrap().to];
        ends.sort();
        assert_eq!(ends, [2 * round, 2 * round + 1]);
    }
}

#[tokio::test]
async fn the_origin_of_a_letter_that_was_put_back_is_that_of_its_record() {
    let (_folder, store) = folder();
    let mut journal = Journal::open(&store).await.unwrap();
    let again = |sequence| LetterId::new(JOURNAL_TOPIC, 0, sequence);
    let with = |id: LetterId| Entry { id, ..entry(0, Some("a")) };
    journal.append(vec![with(LetterId::new("clicks", 3, 8))], 1).await.unwrap();
    journal.append(vec![with(again(0))], 1).await.unwrap();
    journal.append(vec![with(again(1)), with(LetterId::new("file:x", 1, 0))], 1).await.unwrap();
    let origins: Vec<String> =
        journal.reader().read(-1, 3).await.unwrap().iter().map(|r| r.origin.to_string()).collect();
    assert_eq!(origins, ["clicks/3", "clicks/3", "clicks/3", "file:x/1"]);
    let routes = ["clicks/3", "file:x/1"].map(|o| {
        let (topic, partition) = o.rsplit_once('/').unwrap();
        routing_topic(&TopicPartition::new(topic, partition.parse().unwrap())).map(str::to_owned)
    });
    assert_eq!(routes, [Some("clicks".to_owned()), None]);
}
