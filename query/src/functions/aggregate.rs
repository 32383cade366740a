//! The aggregate functions: their names, types and mistakes.

use super::sketch::{Bytes, Distinct, Estimate, Finish, Hdr, Quantile, Sketch, SketchAccumulator};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::approx_distinct::approx_distinct_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use std::sync::{Arc, LazyLock};

static HDR_MERGE: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| SketchAggregate::udf("hdr_merge", Role::HdrMerge));
static DISTINCT_MERGE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| SketchAggregate::udf("distinct_merge", Role::DistinctMerge));

pub(super) fn all() -> Vec<AggregateUDF> {
    let quantile = SketchAggregate::udf("quantile", Role::Quantile);
    let distinct = SketchAggregate::udf("approx_distinct", Role::Distinct);
    [quantile, distinct, Arc::clone(&HDR_MERGE), Arc::clone(&DISTINCT_MERGE)].map(Arc::unwrap_or_clone).into()
}

/// `hdr_merge(sketch)` as an expression.
pub fn hdr_merge(sketch: Expr) -> Expr {
    HDR_MERGE.call(vec![sketch])
}

/// `distinct_merge(sketch)` as an expression.
pub fn distinct_merge(sketch: Expr) -> Expr {
    DISTINCT_MERGE.call(vec![sketch])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Quantile,
    HdrMerge,
    Distinct,
    DistinctMerge,
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
            (Role::Quantile, [sketch, q]) if is_binary(sketch) && (q.is_numeric() || q.is_null()) => {
                Ok(vec![DataType::Binary, DataType::Float64])
            }
            (Role::Quantile, [other, _]) if !is_binary(other) => plan_err!(
                "quantile takes a histogram column, found {other}; percentiles are merged from histograms, never \
                 averaged or taken of percentiles: use the hdr(…) column of a rollup, as in quantile(duration_ms, 0.95)"
            ),
            (Role::Quantile, _) => {
                plan_err!("quantile takes a histogram column and a number, as in quantile(duration_ms, 0.95)")
            }
            (Role::HdrMerge | Role::DistinctMerge, [sketch]) if is_binary(sketch) => Ok(vec![DataType::Binary]),
            (Role::HdrMerge, _) => plan_err!("hdr_merge takes one histogram column"),
            (Role::DistinctMerge, _) => {
                plan_err!("distinct_merge takes one column made by approx_distinct(…) in a rollup")
            }
            (Role::Distinct, [sketch]) if is_binary(sketch) => Ok(vec![DataType::Binary]),
            (Role::Distinct, [other]) => Ok(vec![other.clone()]),
            (Role::Distinct, _) => plan_err!("approx_distinct takes one column"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.role {
            Role::Quantile => DataType::Float64,
            Role::Distinct => DataType::UInt64,
            Role::HdrMerge | Role::DistinctMerge => DataType::Binary,
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
        Role::HdrMerge => Boxed::make::<Hdr, _>(Bytes),
        Role::DistinctMerge => Boxed::make::<Distinct, _>(Bytes),
        Role::Distinct => Boxed::make::<Distinct, _>(Estimate),
        Role::Quantile => Boxed::make::<Hdr, _>(Quantile(constant_quantile(args)?)),
    })
}

trait Make<A: ?Sized> {
    fn make<S: Sketch, F: Finish<S>>(finish: F) -> Box<A>;
}

impl Make<dyn Accumulator> for Boxed {
    fn make<S: Sketch, F: Finish<S>>(finish: F) -> Box<dyn Accumulator> {
        Box::new(SketchAccumulator::<S, F>::new(finish))
    }
}

impl Make<dyn GroupsAccumulator> for Boxed {
    fn make<S: Sketch, F: Finish<S>>(finish: F) -> Box<dyn GroupsAccumulator> {
        Box::new(SketchAccumulator::<S, F>::new(finish))
    }
}

fn constant_quantile(args: &AccumulatorArgs) -> Result<f64> {
    let literal = args.exprs.get(1).and_then(|e| e.downcast_ref::<Literal>());
    match literal.map(Literal::value) {
        Some(ScalarValue::Float64(Some(q))) if (0.0..=1.0).contains(q) => Ok(*q),
        Some(ScalarValue::Float64(Some(q))) => {
            plan_err!("quantile: q lies between 0 and 1, found {q}; the 95th percentile is 0.95")
        }
        _ => plan_err!("quantile: q is a constant between 0 and 1, as in quantile(duration_ms, 0.95)"),
    }
}
