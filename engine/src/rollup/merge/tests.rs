//! Merging stored rows: one row per key, sorted, whatever came in.

use super::*;
use crate::rollup::{Dimension, DimensionType, Measure, MeasureKind};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use std::sync::Arc;

fn schema() -> RollupSchema {
    let dimension = |name: &str, value| Dimension { name: name.to_owned(), value };
    let measure = |name: &str, kind| Measure { name: name.to_owned(), kind };
    RollupSchema {
        name: "r".to_owned(),
        sources: vec!["s".to_owned()],
        pane_us: Some(1),
        dimensions: vec![
            dimension("text", DimensionType::Utf8),
            dimension("number", DimensionType::Int64),
            dimension("flag", DimensionType::Boolean),
        ],
        measures: vec![
            measure("n", MeasureKind::Count),
            measure("mean", MeasureKind::Avg { scale: 0 }),
            measure("h", MeasureKind::Hdr { digits: 2 }),
        ],
        definition: String::new(),
        tiers: Vec::new(),
        retain_us: None,
    }
}

type Row = (i64, Option<&'static str>, Option<i64>, Option<bool>, i64);

/// Rows with `n` events each, that have a mean of `n` but no histogram.
fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| Some(r.0)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.3).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|r| Some(r.4)).collect::<Int64Array>()),
        Arc::new(
            rows.iter()
                .map(|r| Some(i128::from(r.4)))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(38, 0)
                .unwrap(),
        ),
        Arc::new(rows.iter().map(|_| Some(1)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|_| None::<&[u8]>).collect::<BinaryArray>()),
    ];
    RecordBatch::try_new(schema().arrow_schema(), columns).unwrap()
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    let cell = |column: &ArrayRef, row: usize| match column.is_null(row) {
        true => "-".to_owned(),
        false => array_value_to_string(column, row)
            .unwrap()
            .replace("1970-01-01T00:00:00.00000", "")
            .replace("1970-01-01T00:00:00", "0"),
    };
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|c| cell(c, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn rows_of_equal_key_become_one_and_keys_are_sorted_nulls_first() {
    let first = batch(&[
        (2, Some("b"), Some(1), Some(true), 10),
        (1, None, None, None, 20),
        (2, Some("b"), Some(1), Some(true), 30),
    ]);
    let second = batch(&[
        (1, None, None, None, 1),
        (2, Some("a"), Some(-1), Some(false), 2),
        (2, Some("a"), Some(-1), None, 3),
        (2, Some(""), None, None, 4),
    ]);
    let merged = merge_batches(&schema(), &[first, second]).unwrap();
    assert_eq!(
        lines(&merged),
        [
            "1Z - - - 21 21 2 -",
            "2Z  - - 4 4 1 -",
            "2Z a -1 - 3 3 1 -",
            "2Z a -1 false 2 2 1 -",
            "2Z b 1 true 40 40 2 -",
        ]
    );
    assert_eq!(
        merge_batches(&schema(), std::slice::from_ref(&merged)).unwrap(),
        merged,
        "merging again changes nothing"
    );
}

#[test]
fn nothing_merges_to_nothing() {
    for batches in [vec![], vec![batch(&[])], vec![batch(&[]), batch(&[])]] {
        let merged = merge_batches(&schema(), &batches).unwrap();
        assert_eq!((merged.num_rows(), merged.schema()), (0, schema().arrow_schema()));
    }
}

#[test]
fn sorting_moves_whole_rows() {
    let rows = batch(&[(3, Some("c"), None, None, 33), (1, Some("a"), None, None, 11), (2, Some("b"), None, None, 22)]);
    assert_eq!(
        lines(&merge_batches(&schema(), &[rows]).unwrap()),
        ["1Z a - - 11 11 1 -", "2Z b - - 22 22 1 -", "3Z c - - 33 33 1 -"]
    );
}

#[test]
fn damaged_states_are_an_error() {
    let mut columns = batch(&[(1, None, None, None, 1)]).columns().to_vec();
    columns[7] = Arc::new(BinaryArray::from(vec![b"junk".as_slice()]));
    let damaged = RecordBatch::try_new(schema().arrow_schema(), columns).unwrap();
    assert!(matches!(merge_batches(&schema(), &[damaged]), Err(AggregateError::Sketch(_))));
}

proptest! {
    #[test]
    fn the_order_and_the_cutting_of_rows_do_not_show(
        rows in prop::collection::vec((0i64..3, 0usize..3, 0i64..3, 0usize..3, 0i64..1000), 1..60),
        cut in any::<usize>(),
        seed in any::<u64>(),
    ) {
        let rows: Vec<Row> = rows.iter().map(|&(w, t, n, f, c)| {
            (w, [None, Some("a"), Some("b")][t], (n > 0).then_some(n), [None, Some(true), Some(false)][f], c)
        }).collect();
        let whole = merge_batches(&schema(), &[batch(&rows)]).unwrap();
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|r| xxhash_rust::xxh3::xxh3_64_with_seed(format!("{r:?}").as_bytes(), seed));
        let cut = cut % (shuffled.len() + 1);
        let parts = [batch(&shuffled[..cut]), merge_batches(&schema(), &[batch(&shuffled[cut..])]).unwrap()];
        let merged = merge_batches(&schema(), &parts).unwrap();
        prop_assert_eq!(&merged, &whole);
        let total: i64 = merged.column(4).as_primitive::<arrow::datatypes::Int64Type>().values().iter().sum();
        prop_assert_eq!(total, rows.iter().map(|r| r.4).sum::<i64>());
    }
}
