//! `top_k(label, weight, k)`: the labels with the greatest sums of weights, exactly.
//!
//! Every label of a group is kept until the end: a sketch of heavy hitters would depend on the order of
//! merging. The memory counts against that of the query.

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Names of the fields of an entry.
const VALUE: &str = "value";
const WEIGHT: &str = "weight";
/// Entries that one call may ask for.
const K_MAX: i64 = 10_000;
const DECIMAL_DIGITS: u8 = 38;

pub(super) fn top_k() -> AggregateUDF {
    AggregateUDF::from(TopK { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TopK {
    signature: Signature,
}

/// How weights add up: integers and decimals exactly.
fn weight_type(weight: &DataType) -> Option<DataType> {
    match weight {
        DataType::Decimal128(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal32(_, scale) => {
            Some(DataType::Decimal128(DECIMAL_DIGITS, *scale))
        }
        integer if integer.is_integer() || integer.is_null() => Some(DataType::Int64),
        float if float.is_floating() => Some(DataType::Float64),
        _ => None,
    }
}

fn label_type(label: &DataType) -> DataType {
    match label {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::Dictionary(_, value) => label_type(value),
        other => other.clone(),
    }
}

fn entry(label: &DataType, weight: &DataType) -> Fields {
    Fields::from(vec![Field::new(VALUE, label.clone(), true), Field::new(WEIGHT, weight.clone(), false)])
}

fn list_of(item: DataType) -> DataType {
    DataType::new_list(item, true)
}

impl AggregateUDFImpl for TopK {
    fn name(&self) -> &str {
        "top_k"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let usage = "top_k takes a label, a number to add up and how many, as in top_k(provider, requests, 5)";
        let [label, weight, k] = arguments else { return plan_err!("{usage}") };
        match weight_type(weight) {
            Some(weight) if k.is_integer() && !label.is_nested() => {
                Ok(vec![label_type(label), weight, DataType::Int64])
            }
            _ => plan_err!("{usage}"),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [label, weight, ..] = arguments else { return plan_err!("top_k takes three arguments") };
        Ok(list_of(DataType::Struct(entry(label, weight))))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let of = |at: usize, name: &str| {
            let item = args.input_fields.get(at).map_or(DataType::Null, |f| f.data_type().clone());
            Arc::new(Field::new(format!("{}[{name}]", args.name), list_of(item), true))
        };
        Ok(vec![of(0, "labels"), of(1, "weights")])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let k = args.exprs.get(2).and_then(|e| e.downcast_ref::<Literal>()).map(Literal::value);
        let Some(ScalarValue::Int64(Some(k @ 1..=K_MAX))) = k else {
            return plan_err!("top_k: how many is a constant from 1 to {K_MAX}, as in top_k(provider, requests, 5)");
        };
        let of = |at: usize| args.expr_fields.get(at).map_or(DataType::Null, |f| f.data_type().clone());
        let (label, weight) = (of(0), of(1));
        Ok(Box::new(Sums { k: *k as usize, label, weight, sums: HashMap::new(), bytes: 0 }))
    }
}

/// A sum of weights.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weight {
    Exact(i128),
    Float(f64),
}

impl Weight {
    fn add(&mut self, other: Self) -> Result<()> {
        *self = match (*self, other) {
            (Self::Exact(a), Self::Exact(b)) => {
                Self::Exact(a.checked_add(b).ok_or_else(|| exec_datafusion_err!("top_k: a sum is too large"))?)
            }
            (Self::Float(a), Self::Float(b)) => Self::Float(a + b),
            _ => return exec_err!("top_k: weights of two types"),
        };
        Ok(())
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(&b),
            _ => Ordering::Equal,
        }
    }
}

/// The sums of one group.
#[derive(Debug)]
struct Sums {
    k: usize,
    label: DataType,
    weight: DataType,
    sums: HashMap<ScalarValue, Weight>,
    bytes: usize,
}

impl Sums {
    fn add(&mut self, labels: &ArrayRef, weights: &ArrayRef) -> Result<()> {
        let of = weights_of(weights)?;
        for row in (0..labels.len()).filter(|&row| weights.is_valid(row)) {
            let label = ScalarValue::try_from_array(labels, row)?;
            match self.sums.get_mut(&label) {
                Some(sum) => sum.add(of(row))?,
                None => {
                    self.bytes += label.size() + size_of::<Weight>();
                    self.sums.insert(label, of(row));
                }
            }
        }
        Ok(())
    }

    /// Labels with their sums, greatest first, equal ones by label.
    fn ordered(&self) -> Vec<(&ScalarValue, Weight)> {
        let mut all: Vec<_> = self.sums.iter().map(|(label, &weight)| (label, weight)).collect();
        all.sort_by(|a, b| b.1.compare(a.1).then_with(|| by_label(a.0, b.0)));
        all
    }

    fn columns(&self, entries: &[(&ScalarValue, Weight)]) -> Result<(ArrayRef, ArrayRef)> {
        let labels = match entries.is_empty() {
            true => arrow::array::new_empty_array(&self.label),
            false => ScalarValue::iter_to_array(entries.iter().map(|e| e.0.clone()))?,
        };
        Ok((cast(&labels, &self.label)?, weights_to(&self.weight, entries.iter().map(|e| e.1))?))
    }
}

/// Null after everything else.
fn by_label(a: &ScalarValue, b: &ScalarValue) -> Ordering {
    a.is_null().cmp(&b.is_null()).then_with(|| a.partial_cmp(b).unwrap_or(Ordering::Equal))
}

fn weights_of(column: &ArrayRef) -> Result<Box<dyn Fn(usize) -> Weight + '_>> {
    if let Some(whole) = column.as_primitive_opt::<Int64Type>() {
        return Ok(Box::new(|row| Weight::Exact(i128::from(whole.value(row)))));
    }
    if let Some(decimals) = column.as_primitive_opt::<Decimal128Type>() {
        return Ok(Box::new(|row| Weight::Exact(decimals.value(row))));
    }
    match column.as_primitive_opt::<Float64Type>() {
        Some(floats) => Ok(Box::new(|row| Weight::Float(floats.value(row)))),
        None => exec_err!("top_k: a weight is a number, found {}", column.data_type()),
    }
}

fn weights_to(to: &DataType, weights: impl Iterator<Item = Weight>) -> Result<ArrayRef> {
    let exact = |w: Weight| match w {
        Weight::Exact(sum) => Ok(sum),
        Weight::Float(_) => exec_err!("top_k: weights of two types"),
    };
    Ok(match to {
        DataType::Int64 => {
            let too_large =
                |_| exec_datafusion_err!("top_k: a sum is larger than a bigint; cast the weight to decimal");
            let sums = weights.map(|w| i64::try_from(exact(w)?).map_err(too_large));
            Arc::new(sums.collect::<Result<Vec<_>>>().map(Int64Array::from)?)
        }
        DataType::Decimal128(precision, scale) => {
            let sums = weights.map(exact).collect::<Result<Vec<_>>>()?;
            Arc::new(Decimal128Array::from(sums).with_precision_and_scale(*precision, *scale)?)
        }
        _ => Arc::new(Float64Array::from_iter_values(weights.map(|w| match w {
            Weight::Float(sum) => sum,
            Weight::Exact(sum) => sum as f64,
        }))),
    })
}

fn one_list(items: ArrayRef) -> Result<ScalarValue> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([items.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, items, None)?)))
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [labels, weights, ..] => self.add(labels, weights),
            _ => exec_err!("top_k takes a label and a weight"),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [labels, weights] = states else { return exec_err!("top_k: a state is two lists") };
        let (labels, weights) = (labels.as_list_opt::<i32>(), weights.as_list_opt::<i32>());
        let (Some(labels), Some(weights)) = (labels, weights) else { return exec_err!("top_k: a state is two lists") };
        for row in (0..labels.len()).filter(|&row| labels.is_valid(row)) {
            self.add(&labels.value(row), &weights.value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (labels, weights) = self.columns(&self.ordered())?;
        Ok(vec![one_list(labels)?, one_list(weights)?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut entries = self.ordered();
        entries.truncate(self.k);
        let (labels, weights) = self.columns(&entries)?;
        let entries = StructArray::try_new(entry(&self.label, &self.weight), vec![labels, weights], None)?;
        one_list(Arc::new(entries))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}
