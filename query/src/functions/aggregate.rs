//! The aggregate functions: their names, types and mistakes.

use super::sketch::{
    Bytes, Distinct, Estimate, Finish, FractionBelow, Hdr, Input, Quantile, Quantiles, Samples, Sketch,
    SketchAccumulator, Stored, Values,
};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::approx_distinct::approx_distinct_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use std::sync::{Arc, LazyLock};

/// Significant digits of `hdr(x)`, as in rollups.
const DIGITS: u8 = 2;

static HDR_MERGE: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| SketchAggregate::udf("hdr_merge", Role::HdrMerge));
static DISTINCT_MERGE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| SketchAggregate::udf("distinct_merge", Role::DistinctMerge));
static SAMPLES_MERGE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| SketchAggregate::udf("samples_merge", Role::SamplesMerge));

pub(super) fn all() -> Vec<AggregateUDF> {
    let quantile = SketchAggregate::udf("quantile", Role::Quantile);
    let quantiles = SketchAggregate::udf("quantiles", Role::Quantiles);
    let distinct = SketchAggregate::udf("approx_distinct", Role::Distinct);
    let hdr = SketchAggregate::udf("hdr", Role::Hdr);
    let fraction = SketchAggregate::udf("fraction_below", Role::FractionBelow);
    let distinct = Arc::new(Arc::unwrap_or_clone(distinct).with_aliases(["distinct"]));
    let merges = [&HDR_MERGE, &DISTINCT_MERGE, &SAMPLES_MERGE].map(|merge| Arc::clone(merge));
    let all = [quantile, quantiles, fraction, distinct, hdr].into_iter().chain(merges);
    all.map(Arc::unwrap_or_clone).collect()
}

/// `hdr_merge(sketch)` as an expression.
pub fn hdr_merge(sketch: Expr) -> Expr {
    HDR_MERGE.call(vec![sketch])
}

/// `distinct_merge(sketch)` as an expression.
pub fn distinct_merge(sketch: Expr) -> Expr {
    DISTINCT_MERGE.call(vec![sketch])
}

/// `samples_merge(samples)` as an expression.
pub fn samples_merge(samples: Expr) -> Expr {
    SAMPLES_MERGE.call(vec![samples])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Quantile,
    Quantiles,
    FractionBelow,
    Hdr,
    HdrMerge,
    Distinct,
    DistinctMerge,
    SamplesMerge,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchAggregate {
    name: &'static str,
    role: Role,
    signature: Signature,
}

/// Boxes an accumulator in either of DataFusion's two shapes.
struct Boxed;

impl SketchAggregate {
    fn udf(name: &'static str, role: Role) -> Arc<AggregateUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Self { name, role, signature }))
    }

    fn is_plain_distinct(&self, argument: Option<&DataType>) -> bool {
        self.role == Role::Distinct && argument != Some(&DataType::Binary)
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null()
}

/// What `quantiles` takes and gives.
fn list_of_numbers() -> DataType {
    DataType::new_list(DataType::Float64, true)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::Null)
}

impl AggregateUDFImpl for SketchAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match (self.role, arguments) {
            (Role::Quantile | Role::FractionBelow, [sketch, x]) if is_binary(sketch) && is_number(x) => {
                Ok(vec![DataType::Binary, DataType::Float64])
            }
            (
                Role::Quantiles,
                [sketch, DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _)],
            ) if is_binary(sketch) && is_number(of.data_type()) => Ok(vec![DataType::Binary, list_of_numbers()]),
            (Role::Quantiles, [other, ..]) if !is_binary(other) => plan_err!(
                "quantiles takes a histogram column, found {other}; percentiles are merged from histograms, never \
                 averaged or taken of percentiles: use the hdr(…) column of a rollup, as in \
                 quantiles(duration_ms, [0.5, 0.99])"
            ),
            (Role::Quantiles, _) => plan_err!(
                "quantiles takes a histogram column and a list of numbers, as in quantiles(duration_ms, [0.5, 0.99])"
            ),
            (Role::Hdr, [x]) if x.is_integer() || x.is_null() => Ok(vec![DataType::Int64]),
            (Role::Hdr, [x, digits]) if (x.is_integer() || x.is_null()) && digits.is_integer() => {
                Ok(vec![DataType::Int64, DataType::Int64])
            }
            (Role::Hdr, [other] | [other, _]) if is_binary(other) => {
                plan_err!("hdr counts plain integers; histograms of a rollup are merged by hdr_merge(column)")
            }
            (Role::Hdr, [other] | [other, _]) if !other.is_integer() => {
                plan_err!("hdr counts integers, found {other}; round and cast it, as in hdr(CAST(round(x) AS BIGINT))")
            }
            (Role::Hdr, _) => plan_err!("hdr takes integers and the number of digits, 1 to 3, as in hdr(age_s, 2)"),
            (Role::FractionBelow, _) => plan_err!(
                "fraction_below takes a histogram column and a number, as in fraction_below(duration_ms, 250)"
            ),
            (Role::Quantile, [other, _]) if !is_binary(other) => plan_err!(
                "quantile takes a histogram column, found {other}; percentiles are merged from histograms, never \
                 averaged or taken of percentiles: use the hdr(…) column of a rollup, as in quantile(duration_ms, 0.95)"
            ),
            (Role::Quantile, _) => {
                plan_err!("quantile takes a histogram column and a number, as in quantile(duration_ms, 0.95)")
            }
            (Role::HdrMerge | Role::DistinctMerge | Role::SamplesMerge, [sketch]) if is_binary(sketch) => {
                Ok(vec![DataType::Binary])
            }
            (Role::HdrMerge, _) => plan_err!("hdr_merge takes one histogram column"),
            (Role::DistinctMerge, _) => {
                plan_err!("distinct_merge takes one column made by approx_distinct(…) in a rollup")
            }
            (Role::SamplesMerge, _) => plan_err!("samples_merge takes one column made by samples(…) in a rollup"),
            (Role::Distinct, [sketch]) if is_binary(sketch) => Ok(vec![DataType::Binary]),
            (Role::Distinct, [other]) => Ok(vec![other.clone()]),
            (Role::Distinct, _) => plan_err!("approx_distinct takes one column"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.role {
            Role::Quantile | Role::FractionBelow => DataType::Float64,
            Role::Quantiles => list_of_numbers(),
            Role::Distinct => DataType::UInt64,
            Role::Hdr | Role::HdrMerge | Role::DistinctMerge | Role::SamplesMerge => DataType::Binary,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if self.is_plain_distinct(args.input_fields.first().map(|f| f.data_type())) {
            return approx_distinct_udaf().state_fields(args);
        }
        Ok(vec![Arc::new(Field::new(format!("{}[sketch]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if self.is_plain_distinct(args.expr_fields.first().map(|f| f.data_type())) {
            return approx_distinct_udaf().accumulator(args);
        }
        build(self.role, &args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if self.is_plain_distinct(args.expr_fields.first().map(|f| f.data_type())) {
            return approx_distinct_udaf().groups_accumulator_supported(args);
        }
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if self.is_plain_distinct(args.expr_fields.first().map(|f| f.data_type())) {
            return approx_distinct_udaf().create_groups_accumulator(args);
        }
        build(self.role, &args)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match self.role {
            Role::Distinct => Ok(ScalarValue::UInt64(Some(0))),
            _ => ScalarValue::try_from(data_type),
        }
    }
}

fn build<A: ?Sized>(role: Role, args: &AccumulatorArgs) -> Result<Box<A>>
where
    Boxed: Make<A>,
{
    Ok(match role {
        Role::HdrMerge => Boxed::make::<Hdr, _, _>(Stored, Bytes),
        Role::Hdr => Boxed::make::<Hdr, _, _>(Values { digits: constant_digits(args)? }, Bytes),
        Role::DistinctMerge => Boxed::make::<Distinct, _, _>(Stored, Bytes),
        Role::SamplesMerge => Boxed::make::<Samples, _, _>(Stored, Bytes),
        Role::Distinct => Boxed::make::<Distinct, _, _>(Stored, Estimate),
        Role::Quantile => Boxed::make::<Hdr, _, _>(Stored, Quantile(constant_quantile(args)?)),
        Role::Quantiles => Boxed::make::<Hdr, _, _>(Stored, constant_quantiles(args)?),
        Role::FractionBelow => Boxed::make::<Hdr, _, _>(Stored, FractionBelow(constant_bound(args)?)),
    })
}

trait Make<A: ?Sized> {
    fn make<S: Sketch, I: Input<S>, F: Finish<S>>(input: I, finish: F) -> Box<A>;
}

impl Make<dyn Accumulator> for Boxed {
    fn make<S: Sketch, I: Input<S>, F: Finish<S>>(input: I, finish: F) -> Box<dyn Accumulator> {
        Box::new(SketchAccumulator::<S, I, F>::new(input, finish))
    }
}

impl Make<dyn GroupsAccumulator> for Boxed {
    fn make<S: Sketch, I: Input<S>, F: Finish<S>>(input: I, finish: F) -> Box<dyn GroupsAccumulator> {
        Box::new(SketchAccumulator::<S, I, F>::new(input, finish))
    }
}

/// The second argument when it is a constant.
fn second<'a>(args: &'a AccumulatorArgs) -> Option<&'a ScalarValue> {
    args.exprs.get(1).and_then(|e| e.downcast_ref::<Literal>()).map(Literal::value)
}

fn constant_bound(args: &AccumulatorArgs) -> Result<f64> {
    match second(args) {
        Some(ScalarValue::Float64(Some(x))) if !x.is_nan() => Ok(*x),
        _ => plan_err!("fraction_below: the bound is a constant number, as in fraction_below(duration_ms, 250)"),
    }
}

fn constant_digits(args: &AccumulatorArgs) -> Result<u8> {
    match second(args) {
        None if args.exprs.len() < 2 => Ok(DIGITS),
        Some(ScalarValue::Int64(Some(digits @ 1..=3))) => Ok(*digits as u8),
        _ => plan_err!("hdr: the number of significant digits is a constant from 1 to 3, as in hdr(age_s, 2)"),
    }
}

fn constant_quantile(args: &AccumulatorArgs) -> Result<f64> {
    match second(args) {
        Some(ScalarValue::Float64(Some(q))) if (0.0..=1.0).contains(q) => Ok(*q),
        Some(ScalarValue::Float64(Some(q))) => {
            plan_err!("quantile: q lies between 0 and 1, found {q}; the 95th percentile is 0.95")
        }
        _ => plan_err!("quantile: q is a constant between 0 and 1, as in quantile(duration_ms, 0.95)"),
    }
}

fn constant_quantiles(args: &AccumulatorArgs) -> Result<Quantiles> {
    let bad = "quantiles: the list is a constant of 1 to 16 numbers between 0 and 1, as in quantiles(duration_ms, [0.5, 0.99])";
    let Some(ScalarValue::List(list)) = second(args) else { return plan_err!("{bad}") };
    let values = list.values();
    let Some(values) = values.as_primitive_opt::<Float64Type>() else { return plan_err!("{bad}") };
    let all: Option<Vec<f64>> = values.iter().map(|q| q.filter(|q| (0.0..=1.0).contains(q))).collect();
    match all.as_deref().and_then(Quantiles::of) {
        Some(quantiles) => Ok(quantiles),
        None => plan_err!("{bad}"),
    }
}
