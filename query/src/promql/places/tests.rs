use super::*;
use arrow::array::StringArray;
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use std::collections::HashMap as Oracle;

type Row = (Option<&'static str>, Option<&'static str>);

const LONG: &str = "a text that does not fit into its view";

fn columns(rows: &[Row]) -> Vec<StringViewArray> {
    vec![rows.iter().map(|row| row.0).collect(), rows.iter().map(|row| row.1).collect()]
}

/// What `places` says of batches, and what a map of texts says.
fn compared(places: &mut Places, oracle: &mut Oracle<(String, String), usize>, labels: &[StringViewArray]) {
    let text = |column: &StringViewArray, row| if column.is_valid(row) { column.value(row) } else { "" }.to_owned();
    let rows = labels[0].len();
    let mut next = oracle.len();
    let found = places.of_batch(labels, rows, |_| {
        next += 1;
        Some(next - 1)
    });
    for (row, place) in found.into_iter().enumerate() {
        let count = oracle.len();
        let key = (text(&labels[0], row), text(&labels[1], row));
        assert_eq!(place, Some(*oracle.entry(key).or_insert(count)), "row {row}");
    }
    assert_eq!(next, oracle.len(), "each was new once");
}

#[test]
fn rows_of_equal_texts_have_one_place_in_all_batches() {
    let (mut places, mut oracle) = (Places::default(), Oracle::new());
    let rows: Vec<Row> = vec![
        (Some("ups"), Some(LONG)),
        (Some("dhl"), Some(LONG)),
        (Some("ups"), Some(LONG)),
        (None, Some("ups")),
        (Some("ups"), None),
        (Some(""), Some("ups")),
        (Some("up"), Some("s")),
        (Some("u"), Some("ps")),
    ];
    compared(&mut places, &mut oracle, &columns(&rows));
    // Other buffers, other order.
    let turned: Vec<Row> = rows.iter().rev().copied().chain([(Some(LONG), Some("dhl"))]).collect();
    compared(&mut places, &mut oracle, &columns(&turned));
    assert_eq!(oracle.len(), 7);
}

#[test]
fn views_of_a_dictionary_and_of_nulls_with_bytes_below() {
    let (mut places, mut oracle) = (Places::default(), Oracle::new());
    let texts = StringArray::from(vec![Some(LONG), Some("x"), None, Some(LONG), Some("x"), None]);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let encoded = cast(&cast(&texts, &dictionary).unwrap(), &DataType::Utf8View).unwrap();
    let encoded = arrow::array::AsArray::as_string_view(&encoded).clone();
    let nulls = arrow::buffer::NullBuffer::from(vec![true, true, false, true, false, false]);
    let hidden = StringViewArray::try_new(encoded.views().clone(), encoded.data_buffers().to_vec(), Some(nulls));
    compared(&mut places, &mut oracle, &[encoded.clone(), hidden.unwrap()]);
    let some = take(&encoded, &arrow::array::UInt32Array::from(vec![3, 0, 1]), None).unwrap();
    let some = arrow::array::AsArray::as_string_view(&some).clone();
    compared(&mut places, &mut oracle, &[some.clone(), some]);
}

#[test]
fn what_fits_no_matcher_is_asked_for_once() {
    let mut places = Places::default();
    let mut asked = 0;
    let mut none = |_| {
        asked += 1;
        None
    };
    let labels = columns(&[(Some("a"), None), (Some("a"), None)]);
    assert_eq!(places.of_batch(&labels, 2, &mut none), [None, None]);
    assert_eq!(places.of_batch(&labels, 2, &mut none), [None, None]);
    assert_eq!(places.of_batch(&[], 3, &mut none), [None; 3], "a metric without labels is one series");
    assert_eq!(asked, 2);
}
