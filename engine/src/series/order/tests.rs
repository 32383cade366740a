use super::super::{Interner, KeyTable};
use crate::rollup::DimensionType;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take};
use proptest::prelude::*;
use std::sync::Arc;

type Row = (i64, Option<String>, Option<i64>, Option<bool>);

/// The rows of a table of such keys, as columns, in the order of their slots, and the order that is found.
fn ordered(rows: &[Row], by_parts: bool) -> (Vec<ArrayRef>, Vec<u32>) {
    let kinds = [DimensionType::Utf8, DimensionType::Int64, DimensionType::Boolean];
    let mut interners = kinds.map(Interner::new);
    let columns: [ArrayRef; 3] = [
        Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
    ];
    let mut lanes = [Vec::new(), Vec::new(), Vec::new()];
    for ((interner, column), lane) in interners.iter_mut().zip(&columns).zip(&mut lanes) {
        interner.intern(column, lane);
    }
    let windows: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let mut keys = KeyTable::new(kinds.len());
    let lanes: Vec<&[u32]> = lanes.iter().map(Vec::as_slice).collect();
    keys.assign(&windows, &lanes, &mut Vec::new(), &mut Vec::new(), |_, _| None);
    let places: Vec<Vec<u32>> = interners.iter().map(Interner::places).collect();
    let places: Vec<&[u32]> = places.iter().map(Vec::as_slice).collect();
    let order = if by_parts { keys.order_by_parts(&places) } else { keys.order(&places) };
    let mut columns: Vec<ArrayRef> = vec![keys.window_column()];
    columns.extend(interners.iter().enumerate().map(|(at, interner)| interner.resolve(keys.lane(at))));
    (columns, order)
}

fn row() -> impl Strategy<Value = Row> {
    let text = proptest::option::of("[a-c\u{0}é]{0,3}|prefixed[a-c]{0,3}");
    (-3_i64..3, text, proptest::option::of(-2_i64..3), any::<Option<bool>>())
}

proptest! {
    #[test]
    fn keys_are_ordered_as_arrow_sorts_their_values(rows in proptest::collection::vec(row(), 0..60)) {
        for by_parts in [false, true] {
            let (columns, order) = ordered(&rows, by_parts);
            let sorted: Vec<SortColumn> =
                columns.iter().map(|values| SortColumn { values: Arc::clone(values), options: None }).collect();
            let expected = lexsort_to_indices(&sorted, None).unwrap();
            // Keys are distinct, so there is one order.
            prop_assert_eq!(&UInt32Array::from(order), &expected);
        }
    }
}

#[test]
fn keys_that_no_number_holds_are_ordered_too() {
    // More dimensions than fit.
    let kinds = [DimensionType::Timestamp; 60];
    let mut interner = Interner::new(kinds[0]);
    let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![30, 10, 20]).with_timezone("UTC"));
    let mut lane = Vec::new();
    interner.intern(&column, &mut lane);
    let mut keys = KeyTable::new(kinds.len());
    let lanes = vec![lane.as_slice(); kinds.len()];
    keys.assign(&[0; 3], &lanes, &mut Vec::new(), &mut Vec::new(), |_, _| None);
    let places = interner.places();
    let order = UInt32Array::from(keys.order(&vec![places.as_slice(); kinds.len()]));
    let sorted = take(&column, &order, None).unwrap();
    assert_eq!(sorted.as_ref(), &TimestampMicrosecondArray::from(vec![10, 20, 30]).with_timezone("UTC"));
}
