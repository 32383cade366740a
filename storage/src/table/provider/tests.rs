use super::*;
use crate::{Part, ROLLED_UP, Replacement, Rows, Store, TIER};
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use datafusion::common::ScalarValue;
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
    let count = |filters: &[Expr]| {
        let (chosen, of_rows) = files.chosen(&state, filters).unwrap();
        let predicate = files.predicate(&state, &of_rows).unwrap();
        files.within_bounds(chosen, predicate.as_ref()).unwrap().len()
    };
    assert_eq!(count(&[]), 4);
    assert_eq!(count(&[col(TIER).eq(lit("1h"))]), 1);
    assert_eq!(count(&[col(TIER).eq(lit("1h")).or(col(ROLLED_UP).eq(lit(false)).and(col(TIER).eq(lit("10s"))))]), 3);
    assert_eq!(count(&[col("window_start").gt_eq(instant(HOUR_US))]), 2);
    assert_eq!(count(&[col("window_start").lt(instant(HOUR_US)), col(TIER).eq(lit("10s"))]), 1);
    assert_eq!(count(&[col("api").eq(lit("d"))]), 2);
    assert_eq!(count(&[col("requests").gt(lit(5_i64))]), 4, "nothing is known of measures");
    let supported = files.supports_filters_pushdown(&[&col(TIER).eq(lit("1h")), &col("api").eq(col(TIER))]).unwrap();
    assert_eq!(supported, [TableProviderFilterPushDown::Exact, TableProviderFilterPushDown::Exact]);
    let chance = datafusion::functions::expr_fn::random().lt(lit(0.5));
    assert_eq!(files.supports_filters_pushdown(&[&chance]).unwrap(), [TableProviderFilterPushDown::Unsupported]);
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

/// Every condition over several row groups, beside the same rows in memory: decoded, and then remembered.
#[tokio::test]
async fn conditions_find_the_rows_that_they_find_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    let rows = 5_500;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..rows).map(|r| r / 10 * 10_000_000)).with_timezone("UTC"),
        ),
        Arc::new(StringArray::from_iter((0..rows).map(|r| (r % 11 != 10).then(|| format!("api-{}", r * 7 % 10))))),
        Arc::new(Int64Array::from_iter_values(0..rows)),
    ];
    let batch = RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap();
    table.append(&Rows { batch: Some(batch.clone()), ..Rows::default() }).await.unwrap();
    let conditions = [
        "true",
        "api = 'api-3'",
        "api IN ('api-3', 'api-4', 'nowhere')",
        "api LIKE '%-7' AND requests > 1000",
        "api IS NULL",
        "api IS NOT NULL AND api <> 'api-1'",
        "coalesce(api, 'none') = 'none'",
        "api > 'api-5' OR requests < 10",
        "requests = 4321",
        "requests BETWEEN 990 AND 1010",
        "window_start >= '1970-01-01T01:00:00Z' AND window_start < '1970-01-01T01:10:00Z'",
        "window_start > '1970-01-02T00:00:00Z'",
        "tier = '10s' AND requests % 1000 = 999",
        "concat(tier, api) = '10sapi-2'",
        "tier = '1h'",
    ];
    for (batch_rows, processors) in [(100, 1), (8192, 4)] {
        let config = SessionConfig::new().with_batch_size(batch_rows).with_target_partitions(processors);
        let context = SessionContext::new_with_config(config);
        context.register_table("stored", table.provider().unwrap()).unwrap();
        let mut in_memory = context.read_batch(batch.clone()).unwrap();
        in_memory = in_memory.with_column(TIER, lit("10s")).unwrap();
        context.register_table("memory", in_memory.into_view()).unwrap();
        for condition in conditions {
            for columns in ["requests", "window_start, api, requests", "api", "count(*)"] {
                let mut answers = Vec::new();
                for from in ["memory", "stored", "stored"] {
                    let order = if columns == "count(*)" { "1" } else { "requests" };
                    let inner = format!("SELECT * FROM {from} WHERE {condition}");
                    let sql = match columns {
                        "count(*)" => format!("SELECT count(*) FROM {from} WHERE {condition}"),
                        _ => format!("SELECT {columns} FROM ({inner}) ORDER BY {order}"),
                    };
                    let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
                    answers.push(as_text(&batches));
                }
                assert_eq!(answers[0], answers[1], "{columns} where {condition}");
                assert_eq!(answers[1], answers[2], "{columns} where {condition}, remembered");
            }
        }
    }
}

fn as_text(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, row: usize| {
        let texts =
            batch.columns().iter().map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
        texts.collect::<Vec<_>>().join(" ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

#[tokio::test]
async fn row_groups_that_cannot_hold_what_is_asked_for_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..4000).map(|r| r * 10_000_000)).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values((0..4000).map(|r| format!("api-{}", r / 2000)))),
        Arc::new(Int64Array::from(vec![1; 4000])),
    ];
    let batch = RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap();
    table.append(&Rows { batch: Some(batch), ..Rows::default() }).await.unwrap();
    let files = table.table_files().unwrap();
    let state = SessionContext::new().state();
    let count = async |filters: &[Expr]| {
        let (chosen, of_rows) = files.chosen(&state, filters).unwrap();
        let predicate = files.predicate(&state, &of_rows).unwrap();
        files.pieces(chosen, predicate.as_ref()).await.unwrap().len()
    };
    assert_eq!(count(&[]).await, 4);
    assert_eq!(count(&[col("window_start").gt_eq(instant(25_000_000_000))]).await, 2);
    assert_eq!(count(&[col("window_start").lt(instant(5_000_000))]).await, 1);
    assert_eq!(count(&[col("api").eq(lit("api-1"))]).await, 2);
    assert_eq!(count(&[col("api").eq(lit("api-7"))]).await, 0);
}

#[test]
fn parts_are_of_about_equal_size() {
    let sizes = |rows: &[u64], count_max| -> Vec<u64> {
        let pieces = rows.iter().map(|rows| (*rows * 1024, *rows)).collect();
        parts(pieces, count_max).iter().map(|part| part.iter().sum::<u64>()).collect()
    };
    assert_eq!(sizes(&[1000, 300, 400, 350], 2), [1000, 1050]);
    assert_eq!(sizes(&[4, 5, 6], 8), [15], "few rows are not worth several processors");
    assert_eq!(sizes(&[], 8), [0]);
    assert_eq!(parts(vec![(5 << 20, 'a'), (6 << 20, 'b')], 1), [['a', 'b']], "in the order of the files");
}
