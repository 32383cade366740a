use super::keys::Groups;
use super::runs::KeyValues;
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, DictionaryArray, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType};
use std::collections::HashMap;
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;

fn of_rows(groups: &mut Groups, keys: &[ArrayRef], rows: usize, of_rows: &mut Vec<usize>) {
    let keys: Vec<KeyValues> = keys.iter().cloned().map(KeyValues::from).collect();
    groups.of_rows(&keys, rows, of_rows).unwrap();
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn coded(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>())
}

fn times(us: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(us.to_vec()).with_timezone("UTC"))
}

#[test]
fn rows_of_equal_keys_are_one_group_however_their_texts_are_kept() {
    let types = [timestamp_type(), DataType::Utf8];
    let mut groups = Groups::new(&types);
    let mut rows = Vec::new();
    of_rows(&mut groups, &[times(&[1, 1, 2, 1]), coded(&[Some("a"), None, Some("a"), Some("a")])], 4, &mut rows);
    assert_eq!(rows, [0, 1, 2, 0]);
    // Another dictionary, and none.
    of_rows(&mut groups, &[times(&[2, 1]), coded(&[Some("b"), Some("a")])], 2, &mut rows);
    assert_eq!(rows, [3, 0]);
    of_rows(&mut groups, &[times(&[1, 2, 3]), texts(&[None, Some("b"), Some("")])], 3, &mut rows);
    assert_eq!(rows, [1, 3, 4]);
    assert_eq!(groups.count(), 5);
    let columns = groups.columns(types.iter()).unwrap();
    assert_eq!(columns[0].as_primitive::<TimestampMicrosecondType>().values(), &[1, 1, 2, 2, 3]);
    assert_eq!(columns[0].data_type(), &timestamp_type());
    let found: Vec<Option<&str>> = columns[1].as_string::<i32>().iter().collect();
    assert_eq!(found, [Some("a"), None, Some("a"), Some("b"), Some("")]);
}

#[test]
fn a_run_of_rows_has_one_group_and_every_type_comes_back() {
    let types = [DataType::Int32, DataType::Date32, DataType::Utf8];
    let mut groups = Groups::new(&types);
    let run = |values: ArrayRef, ends: &[usize]| KeyValues { values, ends: Some(ends.to_vec()) };
    let hours = run(Arc::new(Int32Array::from(vec![Some(7), None, Some(-1), Some(7)])), &[2, 3, 4, 6]);
    let days = run(Arc::new(Date32Array::from(vec![20_000, 20_001])), &[5, 6]);
    let shops = KeyValues::from(texts(&[Some("a"), Some("b"), Some("a"), Some("a"), Some("b"), Some("a")]));
    let mut rows = Vec::new();
    groups.of_rows(&[hours, days, shops], 6, &mut rows).unwrap();
    assert_eq!(rows, [0, 1, 2, 3, 1, 4]);
    let columns = groups.columns(types.iter()).unwrap();
    let expected: [ArrayRef; 3] = [
        Arc::new(Int32Array::from(vec![Some(7), Some(7), None, Some(-1), Some(7)])),
        Arc::new(Date32Array::from(vec![20_000, 20_000, 20_000, 20_000, 20_001])),
        texts(&[Some("a"), Some("b"), Some("a"), Some("a"), Some("a")]),
    ];
    assert_eq!(columns, expected);
}

#[test]
fn without_keys_there_is_one_group() {
    let mut groups = Groups::new(std::iter::empty());
    let mut rows = Vec::new();
    of_rows(&mut groups, &[], 3, &mut rows);
    assert_eq!((rows, groups.count()), (vec![0, 0, 0], 1));
}

/// Against a plain map, with few and many values of each key.
#[test]
fn many_groups_are_those_of_a_map() {
    for (first, second, third) in [(3, 5, 2), (1000, 7, 3), (10, 900, 2), (400, 400, 1)] {
        let types = [DataType::Int64, DataType::Utf8, DataType::Utf8];
        let mut groups = Groups::new(&types);
        let mut expected: HashMap<(i64, String, Option<String>), usize> = HashMap::new();
        let mut rows = Vec::new();
        for batch in 0..20_u64 {
            let row = |row: u64, below: u64, salt: u64| {
                let mixed = (batch * 1000 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ salt;
                (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % below
            };
            let a: Vec<i64> = (0..1000).map(|r| row(r, first, 1) as i64).collect();
            let b: Vec<String> = (0..1000).map(|r| format!("b{}", row(r, second, 2))).collect();
            let c: Vec<Option<String>> =
                (0..1000).map(|r| row(r, third, 3)).map(|n| (n > 0).then(|| n.to_string())).collect();
            let columns: [ArrayRef; 3] = [
                Arc::new(Int64Array::from(a.clone())),
                Arc::new(b.iter().map(|b| Some(b.as_str())).collect::<DictionaryArray<Int32Type>>()),
                Arc::new(StringArray::from(c.clone())),
            ];
            of_rows(&mut groups, &columns, 1000, &mut rows);
            for (row, group) in rows.iter().enumerate() {
                let next = expected.len();
                let key = (a[row], b[row].clone(), c[row].clone());
                assert_eq!(*expected.entry(key).or_insert(next), *group);
            }
        }
        assert_eq!(groups.count(), expected.len());
        assert!(groups.size_bytes() < expected.len() * 1000 + 1_000_000);
        let columns = groups.columns(types.iter()).unwrap();
        let a = cast(&columns[0], &DataType::Utf8).unwrap();
        for group in 0..groups.count() {
            let text = |column: &ArrayRef| {
                let column = column.as_string::<i32>();
                column.is_valid(group).then(|| column.value(group).to_owned())
            };
            let key = (text(&a).unwrap().parse().unwrap(), text(&columns[1]).unwrap(), text(&columns[2]));
            assert_eq!(expected.get(&key), Some(&group));
        }
    }
}
