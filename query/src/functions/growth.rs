//! How much more than before: `change`, `growth`, `growth_points`, `trend_label`.
//!
//! From 0 to 0 nothing has grown; from 0 to anything else is new, which is no number. A ratio grows in two
//! ways, which are never mixed: by a fraction of itself (`growth`) and by percentage points
//! (`growth_points`).

use arrow::array::{Array, AsArray, Float64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// A change of less than half a percent is none to speak of.
const FLAT_BELOW: f64 = 0.005;

pub(super) fn all() -> Vec<ScalarUDF> {
    let of =
        |name, role| ScalarUDF::from(Compare { name, role, signature: Signature::user_defined(Volatility::Immutable) });
    vec![
        of("change", Role::Change),
        of("growth", Role::Growth),
        of("growth_points", Role::Points),
        of("trend_label", Role::Label),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Change,
    Growth,
    Points,
    Label,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Compare {
    name: &'static str,
    role: Role,
    signature: Signature,
}

impl ScalarUDFImpl for Compare {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let numbers = |types: &[DataType]| types.iter().all(|t| t.is_numeric() || t.is_null());
        let text = |t: &DataType| t.is_string() || t.is_null();
        match (self.role, arguments) {
            (Role::Label, [cur, prev, period]) if numbers(&[cur.clone(), prev.clone()]) && text(period) => {
                Ok(vec![DataType::Float64, DataType::Float64, DataType::Utf8])
            }
            (Role::Label, _) => plan_err!(
                "trend_label takes two numbers and the name of the period, as in trend_label(orders, orders_before, 'month')"
            ),
            (_, [_, _]) if numbers(arguments) => Ok(vec![DataType::Float64, DataType::Float64]),
            _ => plan_err!(
                "{0} takes two numbers, the present and the previous one, as in {0}(orders, orders_before)",
                self.name
            ),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(if self.role == Role::Label { DataType::Utf8 } else { DataType::Float64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = ColumnarValue::values_to_arrays(&args.args)?;
        let column = |at: usize| arguments.get(at).and_then(|a| a.as_primitive_opt::<Float64Type>());
        let (Some(cur), Some(prev)) = (column(0), column(1)) else {
            return exec_err!("{} takes two numbers", self.name);
        };
        if self.role == Role::Label {
            let Some(periods) = arguments.get(2).and_then(|p| p.as_string_opt::<i32>()) else {
                return exec_err!("trend_label takes the name of a period");
            };
            let label = |row: usize| {
                let number = |of: &Float64Array| of.is_valid(row).then(|| of.value(row));
                let period = periods.is_valid(row).then(|| periods.value(row));
                period.map(|period| label(number(cur), number(prev), period))
            };
            let labels: StringArray = (0..cur.len()).map(label).collect();
            return Ok(ColumnarValue::Array(Arc::new(labels)));
        }
        let of = |(cur, prev): (Option<f64>, Option<f64>)| {
            let (cur, prev) = (cur?, prev?);
            match self.role {
                Role::Growth => growth(cur, prev),
                Role::Points => Some((cur - prev) * 100.0),
                Role::Change | Role::Label => Some(cur - prev),
            }
        };
        Ok(ColumnarValue::Array(Arc::new(cur.iter().zip(prev.iter()).map(of).collect::<Float64Array>())))
    }
}

/// (cur − prev) / |prev|. From nothing to something is new, which is no number.
pub(super) fn growth(cur: f64, prev: f64) -> Option<f64> {
    match (cur == 0.0, prev == 0.0) {
        (true, true) => Some(0.0),
        (false, true) => None,
        _ => Some((cur - prev) / prev.abs()),
    }
}

/// `+12.5 % from last month`, with one decimal at most.
fn label(cur: Option<f64>, prev: Option<f64>, period: &str) -> String {
    let (Some(cur), Some(prev)) = (cur, prev) else { return "no comparison".to_owned() };
    match growth(cur, prev) {
        None => format!("new since last {period}"),
        Some(growth) if growth.abs() < FLAT_BELOW => format!("flat from last {period}"),
        Some(growth) => {
            let percent = format!("{:+.1}", growth * 100.0);
            format!("{} % from last {period}", percent.strip_suffix(".0").unwrap_or(&percent))
        }
    }
}
