//! Every measure is a commutative monoid: however events are cut into batches, slots and partials, and
//! in whatever order these are merged, the stored bytes are the same.

use super::*;
use crate::rollup::{SUM_PRECISION, ValueType, timestamp_type};
use crate::sketch::{DistinctSketch, HdrSketch};
use arrow::array::{
    AsArray, Decimal128Array, Float64Array, Int64Array, NullArray, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Decimal128Type, Int64Type};
use proptest::prelude::*;
use std::sync::Arc;

/// Where the values of a measure come from.
#[derive(Debug, Clone, Copy)]
enum Input {
    None,
    Int64,
    Float64,
    Timestamp,
    Decimal,
    Utf8,
    Boolean,
    /// A value with an event time that is a function of the value, with many ties.
    Timed,
    /// A value with an event time and a sequence, both functions of the value with many ties.
    Ordered(Ordered),
}

#[derive(Debug, Clone, Copy)]
enum Ordered {
    Int64,
    Utf8,
    Boolean,
    Float64,
}

const KINDS: &[(MeasureKind, Input)] = &[
    (MeasureKind::Count, Input::None),
    (MeasureKind::Count, Input::Utf8),
    (MeasureKind::Sum { scale: 0 }, Input::Int64),
    (MeasureKind::Sum { scale: 2 }, Input::Decimal),
    (MeasureKind::Avg { scale: 0 }, Input::Int64),
    (MeasureKind::Avg { scale: 2 }, Input::Decimal),
    (MeasureKind::Min { value: ValueType::Int64 }, Input::Int64),
    (MeasureKind::Max { value: ValueType::Int64 }, Input::Int64),
    (MeasureKind::Min { value: ValueType::Float64 }, Input::Float64),
    (MeasureKind::Max { value: ValueType::Float64 }, Input::Float64),
    (MeasureKind::Min { value: ValueType::Timestamp }, Input::Timestamp),
    (MeasureKind::Max { value: ValueType::Decimal { scale: 2 } }, Input::Decimal),
    (MeasureKind::Hdr { digits: 1 }, Input::Int64),
    (MeasureKind::Hdr { digits: 2 }, Input::Int64),
    (MeasureKind::Hdr { digits: 3 }, Input::Int64),
    (MeasureKind::Distinct, Input::Utf8),
    (MeasureKind::Distinct, Input::Int64),
    (MeasureKind::Min { value: ValueType::Utf8 }, Input::Utf8),
    (MeasureKind::Max { value: ValueType::Boolean }, Input::Boolean),
    (MeasureKind::Samples, Input::Timed),
    (MeasureKind::Last { value: ValueType::Int64 }, Input::Ordered(Ordered::Int64)),
    (MeasureKind::Last { value: ValueType::Utf8 }, Input::Ordered(Ordered::Utf8)),
    (MeasureKind::Last { value: ValueType::Boolean }, Input::Ordered(Ordered::Boolean)),
    (MeasureKind::Last { value: ValueType::Float64 }, Input::Ordered(Ordered::Float64)),
];

/// One event: its group, its value, and whether it passes the measure's filter.
#[derive(Debug, Clone, Copy)]
struct Event {
    group: u32,
    value: Option<i64>,
    passes: Option<bool>,
}

const GROUPS: u32 = 3;

fn values(input: Input, events: &[Event]) -> Vec<ArrayRef> {
    if let Input::Timed = input {
        let times =
            events.iter().map(|e| e.value.map(|v| v.rem_euclid(5) * 1000)).collect::<TimestampMicrosecondArray>();
        return vec![column(Input::Float64, events).unwrap(), Arc::new(times.with_timezone("UTC"))];
    }
    let Input::Ordered(ordered) = input else { return column(input, events).into_iter().collect() };
    let value = match ordered {
        Ordered::Int64 => column(Input::Int64, events),
        Ordered::Utf8 => column(Input::Utf8, events),
        Ordered::Boolean => column(Input::Boolean, events),
        Ordered::Float64 => column(Input::Float64, events),
    };
    let of = |f: fn(i64) -> Option<i64>| events.iter().map(move |e| e.value.and_then(f));
    let times = of(|v| Some(v.rem_euclid(4))).collect::<TimestampMicrosecondArray>();
    let sequences = of(|v| (v % 3 != 0).then(|| v.rem_euclid(5))).collect::<Int64Array>();
    vec![value.unwrap(), Arc::new(times.with_timezone("UTC")), Arc::new(sequences)]
}

fn column(input: Input, events: &[Event]) -> Option<ArrayRef> {
    let values = events.iter().map(|e| e.value);
    let decimals = |v: i64| i128::from(v) * 1_000_003;
    Some(match input {
        Input::None | Input::Timed | Input::Ordered(_) => return None,
        Input::Boolean => Arc::new(values.map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        Input::Int64 => Arc::new(values.collect::<Int64Array>()),
        Input::Timestamp => Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Input::Decimal => Arc::new(
            values
                .map(|v| v.map(decimals))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(SUM_PRECISION, 2)
                .unwrap(),
        ),
        Input::Utf8 => Arc::new(values.map(|v| v.map(|v| v.to_string())).collect::<StringArray>()),
        // All the floats that compare oddly, among ordinary ones.
        Input::Float64 => Arc::new(
            values
                .map(|v| {
                    v.map(|v| match v % 7 {
                        0 => -0.0,
                        1 => 0.0,
                        2 => f64::NAN,
                        3 => -f64::NAN,
                        4 => f64::NEG_INFINITY,
                        _ => v as f64 / 3.0,
                    })
                })
                .collect::<Float64Array>(),
        ),
    })
}

fn update(
    states: &mut dyn States,
    input: Input,
    events: &[Event],
    slots: &[u32],
    slot_count: usize,
    filtered: bool,
) -> Result<(), AggregateError> {
    let filter: BooleanArray = events.iter().map(|e| e.passes).collect();
    let rows = Rows { slots, slot_count, filter: filtered.then_some(&filter) };
    states.update(&rows, &values(input, events))
}

/// The state columns after counting all events in one batch, one slot per group.
fn in_one_pass(kind: MeasureKind, input: Input, events: &[Event], filtered: bool) -> Vec<ArrayRef> {
    let mut states = new_states(kind);
    let slots: Vec<u32> = events.iter().map(|e| e.group).collect();
    update(states.as_mut(), input, events, &slots, GROUPS as usize, filtered).unwrap();
    states.state(GROUPS as usize).unwrap()
}

/// The same by way of partials: `cuts` end batches, every second batch ends a partial too; a partial
/// numbers its groups in its own order; the partials are merged in the order of `ranks`.
fn in_parts(
    kind: MeasureKind,
    input: Input,
    events: &[Event],
    filtered: bool,
    cuts: &[usize],
    ranks: &[u32],
) -> Vec<ArrayRef> {
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (events.len() + 1)).chain([0, events.len()]).collect();
    cuts.sort_unstable();
    let mut partials: Vec<(Vec<u32>, Vec<ArrayRef>)> = Vec::new();
    for batches in cuts.windows(2).collect::<Vec<_>>().chunks(2) {
        let (mut states, mut groups) = (new_states(kind), Vec::new());
        for batch in batches {
            let events = &events[batch[0]..batch[1]];
            let mut slots = Vec::new();
            for event in events {
                let known = groups.iter().position(|&g| g == event.group);
                slots.push(known.unwrap_or(groups.len()) as u32);
                if known.is_none() {
                    groups.push(event.group);
                }
            }
            update(states.as_mut(), input, events, &slots, groups.len(), filtered).unwrap();
        }
        let columns = states.state(groups.len()).unwrap();
        partials.push((groups, columns));
    }
    let mut order: Vec<usize> = (0..partials.len()).collect();
    order.sort_by_key(|&i| ranks[i % ranks.len()]);
    let mut merged = new_states(kind);
    for index in order {
        let (groups, columns) = &partials[index];
        merged.merge(&Rows { slots: groups, slot_count: GROUPS as usize, filter: None }, columns).unwrap();
    }
    merged.state(GROUPS as usize).unwrap()
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop_oneof![1 => Just(None), 8 => (0i64..1 << 40, 0u32..40).prop_map(|(v, shift)| Some(v >> shift)), 1 => (-50i64..0).prop_map(Some)];
    let passes = prop_oneof![1 => Just(None), 2 => Just(Some(false)), 5 => Just(Some(true))];
    (0..GROUPS, value, passes).prop_map(|(group, value, passes)| Event { group, value, passes })
}

proptest! {
    #[test]
    fn batches_slots_and_order_of_merging_do_not_show(
        events in prop::collection::vec(event(), 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        ranks in prop::collection::vec(any::<u32>(), 8),
        filtered in any::<bool>(),
    ) {
        for &(kind, input) in KINDS {
            let whole = in_one_pass(kind, input, &events, filtered);
            let parts = in_parts(kind, input, &events, filtered, &cuts, &ranks);
            for (whole, parts) in whole.iter().zip(&parts) {
                prop_assert_eq!(whole.to_data(), parts.to_data(), "{:?}", kind);
            }
        }
    }

    #[test]
    fn distinct_values_beyond_the_exact_set_merge_to_equal_registers(
        sizes in prop::collection::vec(0i64..1500, 1..5),
        ranks in prop::collection::vec(any::<u32>(), 8),
    ) {
        let mut next = 0;
        let mut cuts = Vec::new();
        let mut events = Vec::new();
        for size in sizes {
            // Neighbouring partials overlap by a third.
            events.extend((next - size / 3..next + size).map(|v| Event { group: 0, value: Some(v), passes: None }));
            next += size;
            cuts.push(events.len());
        }
        let whole = in_one_pass(MeasureKind::Distinct, Input::Int64, &events, false);
        let parts = in_parts(MeasureKind::Distinct, Input::Int64, &events, false, &cuts, &ranks);
        prop_assert_eq!(whole[0].to_data(), parts[0].to_data());
    }
}

fn events(values: &[Option<i64>]) -> Vec<Event> {
    values.iter().map(|&value| Event { group: 0, value, passes: None }).collect()
}

#[test]
fn state_columns_have_the_types_of_the_table() {
    for &(kind, input) in KINDS {
        let fields = crate::rollup::Measure { name: "m".to_owned(), kind }.state_fields();
        for events in [events(&[]), events(&[Some(5), None])] {
            let columns = in_one_pass(kind, input, &events, false);
            assert_eq!(columns.len(), fields.len());
            for (column, field) in columns.iter().zip(&fields) {
                assert_eq!((column.data_type(), column.len()), (field.data_type(), GROUPS as usize), "{kind:?}");
                assert!(field.is_nullable() || column.null_count() == 0, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_slot_that_saw_no_value_is_null_and_its_count_zero() {
    for &(kind, input) in KINDS {
        let columns = in_one_pass(kind, input, &events(&[None, None]), false);
        match (kind, input) {
            (MeasureKind::Count, Input::None) => assert_eq!(columns[0].as_primitive::<Int64Type>().value(0), 2),
            (MeasureKind::Count, _) => assert_eq!(columns[0].as_primitive::<Int64Type>().value(0), 0),
            _ => assert!(columns[0].is_null(0), "{kind:?}"),
        }
        if matches!(kind, MeasureKind::Avg { .. }) {
            assert_eq!(columns[1].as_primitive::<Int64Type>().value(0), 0);
        }
    }
}

#[test]
fn count_of_a_column_of_type_null_is_zero() {
    let mut states = new_states(MeasureKind::Count);
    let column: ArrayRef = Arc::new(NullArray::new(3));
    states.update(&Rows { slots: &[0, 0, 0], slot_count: 1, filter: None }, &[column]).unwrap();
    assert_eq!(states.state(1).unwrap()[0].as_primitive::<Int64Type>().value(0), 0);
}

#[test]
fn known_answers() {
    let events = events(&[Some(5), None, Some(-3), Some(5), Some(1_000_000)]);
    let of = |kind, input| in_one_pass(kind, input, &events, false);
    assert_eq!(of(MeasureKind::Sum { scale: 0 }, Input::Int64)[0].as_primitive::<Decimal128Type>().value(0), 1_000_007);
    let mean = of(MeasureKind::Avg { scale: 0 }, Input::Int64);
    assert_eq!(
        (mean[0].as_primitive::<Decimal128Type>().value(0), mean[1].as_primitive::<Int64Type>().value(0)),
        (1_000_007, 4)
    );
    assert_eq!(
        of(MeasureKind::Min { value: ValueType::Int64 }, Input::Int64)[0].as_primitive::<Int64Type>().value(0),
        -3
    );
    let histogram = of(MeasureKind::Hdr { digits: 2 }, Input::Int64);
    let histogram = HdrSketch::from_v2(histogram[0].as_binary::<i32>().value(0)).unwrap();
    assert_eq!((histogram.count(), histogram.quantile(0.5)), (3, Some(5)), "the negative value is refused");
    let distinct = of(MeasureKind::Distinct, Input::Utf8);
    assert_eq!(DistinctSketch::from_bytes(distinct[0].as_binary::<i32>().value(0)).unwrap().estimate(), 3);
    assert_eq!(
        of(MeasureKind::Min { value: ValueType::Timestamp }, Input::Timestamp)[0].data_type(),
        &timestamp_type()
    );
}

#[test]
fn the_bytes_on_the_format_page_are_ours() {
    let page = include_str!("../../FORMAT.md");
    let is_hex = |line: &&str| {
        line.starts_with(|c: char| c.is_ascii_digit()) && line.chars().all(|c| c.is_ascii_hexdigit() || c == ' ')
    };
    let examples: Vec<String> = page.lines().filter(is_hex).map(|line| line.replace(' ', "")).collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut histogram = HdrSketch::new(2);
    [1, 2, 2, 2, 4, 300, 300].iter().for_each(|&v| histogram.record_n(v, 1));
    let mut distinct = DistinctSketch::new();
    distinct.insert_hash(crate::sketch::distinct::hash_value(b"a"));
    distinct.insert_hash(crate::sketch::distinct::hash_value(&5i64.to_le_bytes()));
    let mut samples = crate::samples::SampleSet::new();
    for (time_ms, value) in [(1000, 1.0), (2000, 2.5), (3500, f64::from_bits(crate::samples::STALE_BITS))] {
        samples.insert(time_ms, value);
    }
    assert_eq!(examples, [hex(&histogram.to_v2()), hex(&distinct.to_bytes()), hex(&samples.to_bytes())]);
}

#[test]
fn refused_values_are_counted_once_and_a_filter_spares_them() {
    let mut states = new_states(MeasureKind::Hdr { digits: 2 });
    let mut values = events(&[Some(-1), Some(-2), Some(3), Some(-4)]);
    values[3].passes = Some(true);
    update(states.as_mut(), Input::Int64, &values, &[0; 4], 1, false).unwrap();
    assert_eq!((states.take_refused(), states.take_refused()), (3, 0));
    update(states.as_mut(), Input::Int64, &values, &[0; 4], 1, true).unwrap();
    assert_eq!(states.take_refused(), 1);
}

#[test]
fn a_sum_that_leaves_38_digits_is_an_error_not_a_wrong_number() {
    let most = 10i128.pow(38) - 1;
    let decimals = |values: &[i128]| -> ArrayRef {
        Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(SUM_PRECISION, 0).unwrap())
    };
    for kind in [MeasureKind::Sum { scale: 0 }, MeasureKind::Avg { scale: 0 }] {
        for (values, fits) in [
            (vec![most], true),
            (vec![most, -1, 1], true),
            (vec![most, 1], false),
            (vec![-most, -most], false),
            (vec![-most, i128::MIN + most], false),
        ] {
            let slots = vec![0; values.len()];
            let result =
                new_states(kind).update(&Rows { slots: &slots, slot_count: 1, filter: None }, &[decimals(&values)]);
            assert_eq!(result.is_ok(), fits, "{values:?}");
            assert!(fits || matches!(result, Err(AggregateError::Overflow)));
        }
    }
    let mut merged = new_states(MeasureKind::Sum { scale: 0 });
    let rows = Rows { slots: &[0, 0], slot_count: 1, filter: None };
    assert!(matches!(merged.merge(&rows, &[decimals(&[most, most])]), Err(AggregateError::Overflow)));
}

#[test]
fn columns_of_another_type_and_damaged_sketches_are_errors() {
    let rows = Rows { slots: &[0], slot_count: 1, filter: None };
    let wrong: ArrayRef = Arc::new(arrow::array::Int8Array::from(vec![1]));
    let damaged: ArrayRef = Arc::new(arrow::array::BinaryArray::from(vec![b"junk".as_slice()]));
    for &(kind, input) in KINDS {
        let mut states = new_states(kind);
        if !matches!(kind, MeasureKind::Count) {
            assert!(
                matches!(states.update(&rows, &[Arc::clone(&wrong)]), Err(AggregateError::Type { .. })),
                "{kind:?} {input:?}"
            );
            assert!(matches!(states.update(&rows, &[]), Err(AggregateError::Type { .. })), "{kind:?}");
        }
        assert!(states.merge(&rows, &[wrong.clone(), wrong.clone()]).is_err(), "{kind:?}");
        assert!(states.merge(&rows, &[]).is_err(), "{kind:?}");
        if matches!(kind, MeasureKind::Hdr { .. } | MeasureKind::Distinct | MeasureKind::Samples) {
            assert!(
                matches!(states.merge(&rows, std::slice::from_ref(&damaged)), Err(AggregateError::Sketch(_))),
                "{kind:?}"
            );
        }
    }
    let other_scale: ArrayRef =
        Arc::new(Decimal128Array::from(vec![1]).with_precision_and_scale(SUM_PRECISION, 3).unwrap());
    assert!(new_states(MeasureKind::Sum { scale: 2 }).update(&rows, &[other_scale]).is_err());
}

#[test]
fn memory_in_use_is_told() {
    for &(kind, input) in KINDS {
        let mut states = new_states(kind);
        assert_eq!(states.size_bytes(), 0, "{kind:?}");
        update(states.as_mut(), input, &events(&[Some(1), Some(2)]), &[0, 1], 2, false).unwrap();
        assert!(states.size_bytes() >= 16, "{kind:?}");
    }
}
