//! What is written is found again, by every filter.

use super::super::testing::{ARRIVAL_US, TOPIC, click, entry, folder, id, write_letters};
use super::super::{Journal, Letters};
use super::*;
use crate::decode::Reason;

async fn some_letters() -> (tempfile::TempDir, Store) {
    let (folder, store) = folder();
    let (good, wrong) = (click(1, Some("a")), click(2, None));
    let letters = [
        (Reason::BrokenJson, "{"),
        (Reason::WrongType, wrong.as_str()),
        (Reason::WrongType, &good),
        (Reason::BadTimestamp, ""),
    ];
    write_letters(&store, TOPIC, &letters).await;
    write_letters(&store, "file:b/c.ndjson", &[(Reason::BrokenJson, "x")]).await;
    (folder, store)
}

async fn found(letters: &Letters, filter: LetterFilter) -> Vec<String> {
    letters.ids(&filter).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_store_without_letters_has_none() {
    let (_folder, store) = folder();
    let letters = Letters::open(&store).await.unwrap();
    assert_eq!(letters.count(&LetterFilter::default()).await.unwrap(), 0);
    assert_eq!(letters.newest(&LetterFilter::default(), 5).await.unwrap().schema.fields().len(), 12);
    assert!(letters.of(&id(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_filter_finds_what_it_names() {
    let (_folder, store) = some_letters().await;
    let letters = Letters::open(&store).await.unwrap();
    let all = LetterFilter::default;
    assert_eq!(letters.count(&all()).await.unwrap(), 5);
    let wrong = LetterFilter { reasons: vec!["wrong_type".to_owned(), "bad_timestamp".to_owned()], ..all() };
    assert_eq!(found(&letters, wrong).await, ["clicks/0/1", "clicks/0/2", "clicks/0/3"]);
    assert_eq!(
        found(&letters, LetterFilter { topic: Some("file:b/c.ndjson".to_owned()), ..all() }).await,
        ["file:b/c.ndjson/0/0"]
    );
    let since = LetterFilter { since_us: Some(ARRIVAL_US + 2_000_000), ..all() };
    assert_eq!(found(&letters, since).await, ["clicks/0/2", "clicks/0/3"]);
    for (event_type, expected) in [("test.click", 5), ("com.example.test.click", 5), ("est.click", 0), ("test", 0)] {
        let filter = LetterFilter { event_type: Some(event_type.to_owned()), ..all() };
        assert_eq!(found(&letters, filter).await.len(), expected, "{event_type}");
    }
    assert_eq!(found(&letters, LetterFilter { disposition: Some("kept_as_other"), ..all() }).await.len(), 0);
    let ids = LetterFilter::of_ids([id(0), id(3), LetterId::new("file:b/c.ndjson", 0, 9)]);
    assert_eq!(found(&letters, ids.clone()).await, ["clicks/0/0", "clicks/0/3"], "not those in between");
    assert_eq!(found(&letters, LetterFilter { after_offset: Some(2), ..all() }).await, ["clicks/0/3"]);
    let mut stream = letters.stream(&ids).await.unwrap();
    let mut streamed = Vec::new();
    while let Some(some) = stream.next().await.unwrap() {
        streamed.extend(some.into_iter().map(|l| (l.id.offset, l.payload)));
    }
    streamed.sort();
    assert_eq!(streamed, [(0, b"{".to_vec()), (3, Vec::new())]);
}

#[tokio::test]
async fn the_newest_come_first_and_what_was_put_back_says_so() {
    let (_folder, store) = some_letters().await;
    Journal::open(&store).await.unwrap().append(vec![entry(2, Some("a"))], ARRIVAL_US + 7).await.unwrap();
    let letters = Letters::open(&store).await.unwrap();
    let page = letters.newest_in_short(&LetterFilter::default(), 3).await.unwrap();
    let names: Vec<String> = page
        .batches
        .iter()
        .flat_map(|b| {
            let names = Texts::of(b, "letter").unwrap();
            (0..b.num_rows()).map(|r| names.text(r).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(names, ["clicks/0/3", "clicks/0/2", "clicks/0/1"]);
    let one = &letters.of(&id(2)).await.unwrap()[0];
    assert_eq!(one.redriven, Some((ARRIVAL_US + 7, 0)));
    assert_eq!((one.arrival_time_us, one.record_time_us), (ARRIVAL_US + 2_000_000, Some(ARRIVAL_US)));
    assert_eq!(one.event_type.as_deref(), Some("com.example.test.click"));
    assert!(!one.is_cut_off());

    let summary = letters.summary(&LetterFilter::default()).await.unwrap();
    let mut lines = Vec::new();
    for batch in &summary.batches {
        let (reasons, topics) = (Texts::of(batch, "reason").unwrap(), Texts::of(batch, "topic").unwrap());
        let (counts, redriven) = (Longs::of(batch, "letters").unwrap(), Longs::of(batch, "redriven").unwrap());
        lines.extend(
            (0..batch.num_rows())
                .map(|r| format!("{} {} {} {}", reasons.text(r), topics.text(r), counts.get(r), redriven.get(r))),
        );
    }
    let expected = [
        "wrong_type clicks 2 1",
        "bad_timestamp clicks 1 0",
        "broken_json clicks 1 0",
        "broken_json file:b/c.ndjson 1 0",
    ];
    assert_eq!(lines, expected);
}
