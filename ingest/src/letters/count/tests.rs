//! From the journal into the tables, each row once into each table.

use super::super::testing::{ARRIVAL_US, catalog, click, entry, folder, id, pipeline};
use super::super::{Entry, Journal, LetterId, Letters};
use super::*;
use crate::source::JOURNAL_TOPIC;
use datafusion::prelude::SessionContext;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_storage::{Rows, Store, Table};

/// All partials of a table: how many events they count.
async fn sum(store: &Store, table: &str) -> i64 {
    let Some(table) = store.table(table).await.unwrap() else { return 0 };
    let context = SessionContext::new();
    context.register_table("t", table.provider().unwrap()).unwrap();
    let query = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) AS n FROM t";
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    super::super::rows::Longs::of(&batches[0], "n").unwrap().get(0)
}

async fn journal_of(store: &Store, pages: &[Option<&str>]) -> Journal {
    let mut journal = Journal::open(store).await.unwrap();
    let entries = pages.iter().enumerate().map(|(i, page)| entry(i as i64, *page)).collect();
    journal.append(entries, ARRIVAL_US).await.unwrap();
    journal
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_counted_once_however_often_it_is_asked() {
    let (_folder, store) = folder();
    let journal = journal_of(&store, &[Some("a"), Some("b"), None, Some("a")]).await;
    for _ in 0..2 {
        count_journal(&pipeline(&store), journal.reader()).await.unwrap();
        assert_eq!((sum(&store, "clicks").await, sum(&store, "sums").await), (3, 3));
    }
    // What is refused again is a letter of the journal, with the time of its record.
    let again = Letters::open(&store).await.unwrap().of(&LetterId::new(JOURNAL_TOPIC, 0, 2)).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].reason.as_str(), again[0].record_time_us), ("wrong_type", Some(ARRIVAL_US)));
    // Letters say nothing about how far event time has come.
    let mut table = store.table("clicks").await.unwrap().unwrap();
    assert_eq!(table.watermark(&journal_partition()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_stand_at_different_places_all_come_to_the_end() {
    let (_folder, store) = folder();
    let journal = journal_of(&store, &[Some("a"); 5]).await;
    // As after a crash between the commits of two tables: one has two rows of the journal already.
    let plan = catalog();
    crate::prepare(&store, &plan, 0).await.unwrap();
    let tables = plan.tables();
    let schema = tables.iter().find(|t| t.schema.name == "sums").unwrap().schema;
    let mut ahead = Table::open_rollup(&store, schema).await.unwrap();
    let range = OffsetRange { from: BEFORE_FIRST, to: 1 };
    let rows = Rows { ranges: BTreeMap::from([(journal_partition(), range)]), ..Rows::default() };
    ahead.append(&rows).await.unwrap();
    count_journal(&pipeline(&store), journal.reader()).await.unwrap();
    assert_eq!((sum(&store, "clicks").await, sum(&store, "sums").await), (5, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_count_at_the_same_time_count_once() {
    let (_folder, store) = folder();
    let mut journal = journal_of(&store, &[Some("a"), Some("b")]).await;
    let shorter = journal.reader().clone();
    journal.append((2..7).map(|i| entry(i, Some("c"))).collect(), ARRIVAL_US).await.unwrap();
    let (left, right) = (pipeline(&store), pipeline(&store));
    let (a, b) = tokio::join!(count_journal(&left, &shorter), count_journal(&right, journal.reader()));
    a.unwrap();
    b.unwrap();
    assert_eq!((sum(&store, "clicks").await, sum(&store, "sums").await), (7, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_refused_twice_is_still_read_as_a_record_of_its_topic() {
    let (_folder, store) = folder();
    let mut journal = journal_of(&store, &[None]).await;
    count_journal(&pipeline(&store), journal.reader()).await.unwrap();
    let repaired = Entry {
        id: LetterId::new(JOURNAL_TOPIC, 0, 0),
        payload: click(0, Some("a")).into_bytes(),
        is_repaired: true,
        ..entry(0, None)
    };
    journal.append(vec![repaired], ARRIVAL_US).await.unwrap();
    count_journal(&pipeline(&store), journal.reader()).await.unwrap();
    assert_eq!(sum(&store, "clicks").await, 1);
    assert!(journal.has(&id(0)));
    assert_eq!(journal.origin(&LetterId::new(JOURNAL_TOPIC, 0, 1)), TopicPartition::new("clicks", 0));
}
