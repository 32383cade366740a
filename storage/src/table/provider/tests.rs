use super::*;
use crate::{Part, ROLLED_UP, Replacement, Rows, Store, TIER};
use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::HashMap;
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind, RollupSchema, Tier};

const HOUR_US: i64 = 3_600_000_000;

fn rollup() -> RollupSchema {
    RollupSchema {
        name: "calls".into(),
        sources: vec!["call".into()],
        pane_us: Some(10_000_000),
        dimensions: vec![Dimension { name: "api".into(), value: DimensionType::Utf8 }],
        measures: vec![Measure { name: "requests".into(), kind: MeasureKind::Count }],
        definition: "from call".into(),
        tiers: [10_000_000, HOUR_US].map(|pane_us| Tier { pane_us, retain_us: None }).into(),
        retain_us: None,
    }
}

fn rows(start_us: i64, apis: &[&str]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(vec![start_us; apis.len()]).with_timezone("UTC")),
        Arc::new(StringArray::from(apis.to_vec())),
        Arc::new(Int64Array::from(vec![1; apis.len()])),
    ];
    RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap()
}

/// Three hours of which the first is rolled up.
async fn table(store: &Store) -> Table {
    let mut table = Table::open_rollup(store, &rollup()).await.unwrap();
    let part = |tier: &str, rolled_up, batch| Part { tier: Some(tier.to_owned()), rolled_up, batch };
    let add = vec![part("10s", true, rows(0, &["a", "b"])), part("1h", false, rows(0, &["a", "b"]))];
    table.replace(&Replacement { add, ..Replacement::default() }).await.unwrap();
    for hour in 1..3 {
        table.append(&Rows { batch: Some(rows(hour * HOUR_US, &["c", "d"])), ..Rows::default() }).await.unwrap();
    }
    table
}

fn instant(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())))
}

#[tokio::test]
async fn files_that_cannot_hold_what_is_asked_for_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    let files = table(&store).await.table_files().unwrap();
    let state = SessionContext::new().state();
    let count = |filters: &[Expr]| files.chosen(&state, filters).unwrap().len();
    assert_eq!(count(&[]), 4);
    assert_eq!(count(&[col(TIER).eq(lit("1h"))]), 1);
    assert_eq!(count(&[col(TIER).eq(lit("1h")).or(col(ROLLED_UP).eq(lit(false)).and(col(TIER).eq(lit("10s"))))]), 3);
    assert_eq!(count(&[col("window_start").gt_eq(instant(HOUR_US))]), 2);
    assert_eq!(count(&[col("window_start").lt(instant(HOUR_US)), col(TIER).eq(lit("10s"))]), 1);
    assert_eq!(count(&[col("api").eq(lit("d"))]), 2);
    assert_eq!(count(&[col("requests").gt(lit(5_i64))]), 4, "nothing is known of measures");
    let supported = files.supports_filters_pushdown(&[&col(TIER).eq(lit("1h")), &col("api").eq(col(TIER))]).unwrap();
    assert_eq!(supported, [TableProviderFilterPushDown::Exact, TableProviderFilterPushDown::Inexact]);
}

#[tokio::test]
async fn every_row_is_read_once_on_any_number_of_processors() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    let mut table = table(&store).await;
    for processors in [1, 2, 8] {
        let config = SessionConfig::new().with_target_partitions(processors);
        let context = SessionContext::new_with_config(config);
        context.register_table("calls", table.provider().unwrap()).unwrap();
        let count = async |sql: &str| {
            let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
            batches[0].column(0).as_primitive::<Int64Type>().value(0)
        };
        assert_eq!(count("SELECT count(*) FROM calls").await, 8);
        assert_eq!(count("SELECT count(*) FROM calls WHERE api < 'c'").await, 4);
        assert_eq!(count("SELECT count(*) FROM calls WHERE tier = '10s' AND NOT rolled_up").await, 4);
        assert_eq!(count("SELECT sum(requests) FROM calls WHERE api = 'd' AND tier = '10s'").await, 2);
    }
    // What was remembered is of the version before.
    table.append(&Rows { batch: Some(rows(5 * HOUR_US, &["e"])), ..Rows::default() }).await.unwrap();
    assert_eq!(table.table_files().unwrap().files.len(), 5);
    let (old, new) = (table.provider().unwrap(), table.clone().provider().unwrap());
    assert!(Arc::ptr_eq(&old, &new), "clones of one version share what they know");
}

#[test]
fn groups_are_of_about_equal_size() {
    let file = |at: usize, kib: u64| PartitionedFile::new(format!("{at}.parquet"), kib * 1024);
    let sizes = |files: &[u64], count_max| -> Vec<u64> {
        let files = files.iter().enumerate().map(|(at, kib)| file(at, *kib)).collect();
        groups(files, count_max).iter().map(|g| g.iter().map(|f| f.object_meta.size).sum::<u64>() / 1024).collect()
    };
    assert_eq!(sizes(&[1000, 300, 400, 350], 2), [1000, 1050]);
    assert_eq!(sizes(&[10, 20, 30], 8), [60], "small ones are not worth several processors");
    assert_eq!(sizes(&[], 8), [0]);
}

#[test]
fn the_largest_time_of_a_file_is_not_cut_off() {
    let time = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
    assert_eq!(rounded_up(time(5_000)), time(5_999));
    assert_eq!(rounded_up(ScalarValue::from("x")), ScalarValue::from("x"));
}
