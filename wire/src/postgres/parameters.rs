//! Values in the place of `$1`, `$2`: which types they have, and what clients sent for them.
//!
//! The plan of a statement knows the type of a placeholder that stands beside a column or in a cast. For
//! others, such as an argument of a function, the client's type counts, and text where it names none.

use super::errors::{error, state};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue, plan_err};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::stmt::StoredStatement;
use datafusion_postgres::pgwire::error::PgWireResult;
use std::collections::BTreeMap;
use std::sync::Arc;

/// As many as the protocol can count.
const PARAMETERS_MAX: usize = 65_535;

/// The type of one placeholder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// What the plan takes; `None` when it takes anything.
    pub planned: Option<DataType>,
    /// What the client is told.
    pub told: Type,
}

/// The types of all placeholders of a plan, by number. The client may have named some.
pub(crate) fn parameters(plan: &LogicalPlan, named: &[Option<Type>]) -> PlanResult<Vec<Parameter>> {
    let mut found = plan.get_parameter_types()?;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    let known = found.entry(placeholder.id.clone()).or_default();
                    known.get_or_insert_with(|| cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let numbers = found.keys().filter_map(|id| id.strip_prefix('$')?.parse::<usize>().ok());
    let count = numbers.max().unwrap_or(0).max(named.len());
    if count > PARAMETERS_MAX {
        return plan_err!("${count}: there are at most {PARAMETERS_MAX} parameters");
    }
    let parameter = |number: usize| {
        let planned = found.remove(&format!("${number}")).flatten().filter(|t| *t != DataType::Null);
        let named = named.get(number - 1).cloned().flatten();
        let told = named.or_else(|| planned.as_ref().and_then(|t| into_pg_type(t).ok())).unwrap_or(Type::TEXT);
        Parameter { planned, told }
    };
    Ok((1..=count).map(parameter).collect())
}

/// Types for the placeholders whose type the plan does not know: what they are cast to when it is made anew.
pub(crate) fn casts(parameters: &[Parameter]) -> BTreeMap<String, SqlType> {
    let unknown = parameters.iter().enumerate().filter(|(_, p)| p.planned.is_none());
    unknown.filter_map(|(at, p)| Some((format!("${}", at + 1), sql_type(&p.told)?))).collect()
}

/// The same for a statement that cannot be planned without types.
pub(crate) fn named_casts(named: &[Option<Type>]) -> BTreeMap<String, SqlType> {
    let named = named.iter().enumerate().filter_map(|(at, t)| Some((at, t.as_ref()?)));
    named.filter_map(|(at, t)| Some((format!("${}", at + 1), sql_type(t)?))).collect()
}

/// `TEXT[]`.
pub(crate) fn text_array() -> SqlType {
    SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(SqlType::Text), None))
}

fn sql_type(pg: &Type) -> Option<SqlType> {
    let list = |of: SqlType| SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(of), None));
    Some(match *pg {
        Type::BOOL => SqlType::Boolean,
        Type::INT2 => SqlType::SmallInt(None),
        Type::INT4 => SqlType::Integer(None),
        Type::INT8 | Type::OID => SqlType::BigInt(None),
        Type::FLOAT4 => SqlType::Real,
        Type::FLOAT8 => SqlType::DoublePrecision,
        Type::NUMERIC => SqlType::Numeric(ExactNumberInfo::PrecisionAndScale(38, 10)),
        Type::TIMESTAMPTZ => SqlType::Timestamp(None, TimezoneInfo::WithTimeZone),
        Type::TIMESTAMP => SqlType::Timestamp(None, TimezoneInfo::None),
        Type::DATE => SqlType::Date,
        Type::BYTEA => SqlType::Bytea,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::UUID => SqlType::Text,
        Type::BOOL_ARRAY => list(SqlType::Boolean),
        Type::INT2_ARRAY | Type::INT4_ARRAY => list(SqlType::Integer(None)),
        Type::INT8_ARRAY => list(SqlType::BigInt(None)),
        Type::FLOAT8_ARRAY => list(SqlType::DoublePrecision),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => text_array(),
        _ => return None,
    })
}

/// The values that a client has bound.
pub(crate) fn values<S: Clone>(portal: &Portal<S>, parameters: &[Parameter]) -> PgWireResult<Vec<ScalarValue>> {
    if portal.parameter_len() != parameters.len() {
        let message = format!(
            "bind message supplies {} parameters, but the statement requires {}",
            portal.parameter_len(),
            parameters.len()
        );
        return Err(error(state::PROTOCOL, message));
    }
    if let Format::Individual(formats) = &portal.parameter_format
        && formats.len() != parameters.len()
    {
        return Err(error(state::PROTOCOL, format!("{} formats for {} parameters", formats.len(), parameters.len())));
    }
    parameters.iter().enumerate().map(|(at, parameter)| value(portal, at, parameter)).collect()
}

fn value<S: Clone>(portal: &Portal<S>, at: usize, parameter: &Parameter) -> PgWireResult<ScalarValue> {
    let bytes = portal.parameters.get(at).cloned().flatten();
    let wanted = parameter.planned.clone().unwrap_or_else(|| natural(&parameter.told));
    let refused = |why: String| error("22P02", format!("invalid value for parameter ${}: {why}", at + 1));
    let Some(bytes) = bytes else { return ScalarValue::try_from(&wanted).map_err(|e| refused(e.to_string())) };
    let found = match portal.parameter_format.is_text(at) && !parameter.told.name().starts_with('_') {
        true => {
            let text = std::str::from_utf8(&bytes).map_err(|e| refused(e.to_string()))?;
            of_text(text, &parameter.told)
        }
        false => of_binary(portal, at, &parameter.told)?,
    };
    found.cast_to(&wanted).map_err(|e| refused(e.to_string()))
}

/// Text that Arrow's casts read: Postgres writes truth values and bytes in its own way.
fn of_text(text: &str, told: &Type) -> ScalarValue {
    if *told == Type::BYTEA
        && let Some(hex) = text.strip_prefix("\\x")
    {
        let pairs = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        return ScalarValue::Binary(pairs.map(byte).collect());
    }
    if *told == Type::BOOL {
        let is_true = matches!(text.to_ascii_lowercase().as_str(), "t" | "true" | "on" | "yes" | "y" | "1");
        return ScalarValue::Boolean(Some(is_true));
    }
    ScalarValue::Utf8(Some(text.to_owned()))
}

/// One parameter by itself: the library reads all of a portal, or none.
fn of_binary<S: Clone>(portal: &Portal<S>, at: usize, told: &Type) -> PgWireResult<ScalarValue> {
    let statement = StoredStatement::new(String::new(), (), vec![Some(told.clone())]);
    let mut single = Portal::new_cursor(String::new(), Arc::new(statement));
    single.parameters = vec![portal.parameters.get(at).cloned().flatten()];
    single.parameter_format = match portal.parameter_format.is_binary(at) {
        true => Format::UnifiedBinary,
        false => Format::UnifiedText,
    };
    let decimal = DataType::Decimal128(38, 10);
    let inferred = (*told == Type::NUMERIC).then_some(&decimal);
    match deserialize_parameters(&single, &[inferred])? {
        ParamValues::List(mut values) if !values.is_empty() => Ok(values.swap_remove(0).value),
        _ => Err(error(state::INVALID_PARAMETER, format!("parameter ${} cannot be read", at + 1))),
    }
}

/// The type of a value of which only Postgres' type is known.
fn natural(told: &Type) -> DataType {
    match *told {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::DATE => DataType::Date32,
        Type::BYTEA => DataType::Binary,
        Type::INT4_ARRAY => DataType::new_list(DataType::Int32, true),
        Type::INT8_ARRAY => DataType::new_list(DataType::Int64, true),
        Type::FLOAT8_ARRAY => DataType::new_list(DataType::Float64, true),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => DataType::new_list(DataType::Utf8, true),
        _ => DataType::Utf8,
    }
}
