//! Holds a syntax tree to PromQL's types.

use crate::error::ParseError;
use crate::position::Span;

use super::ast::{Aggregate, AggregateOp, Binary, Expr, ExprKind, ValueType};
use super::functions::Function;

/// Checks the types of an expression and of everything in it.
///
/// # Errors
/// The first place where they do not fit, with Prometheus' sentence about it.
pub fn check(expr: &Expr, query: &str) -> Result<(), ParseError> {
    Checker { query }.expr(expr).map(|_| ())
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn fail(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, span, message)
    }

    fn expect(&self, expr: &Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        let found = self.expr(expr)?;
        if found == wanted {
            return Ok(());
        }
        let (wanted, found) = (wanted.documented(), found.documented());
        Err(self.fail(expr.span, format!("expected type {wanted} in {context}, got {found}")))
    }

    fn expr(&self, expr: &Expr) -> Result<ValueType, ParseError> {
        match &expr.kind {
            ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Range { .. } => {}
            ExprKind::Paren(inner) => drop(self.expr(inner)?),
            ExprKind::Subquery(subquery) => {
                let found = self.expr(&subquery.expr)?;
                if found != ValueType::Vector {
                    let message =
                        format!("subquery is only allowed on instant vector, got {} instead", found.documented());
                    return Err(self.fail(expr.span, message));
                }
            }
            ExprKind::Unary { expr: operand, .. } => {
                let found = self.expr(operand)?;
                if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        found.documented()
                    );
                    return Err(self.fail(expr.span, message));
                }
            }
            ExprKind::Binary(binary) => self.binary(binary)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            ExprKind::Call { function, args } => self.call(function, args, expr.span)?,
        }
        Ok(expr.value_type())
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), ParseError> {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        let Some(param) = &aggregate.param else { return Ok(()) };
        let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
        self.expect(param, wanted, "aggregation parameter")
    }

    fn binary(&self, binary: &Binary) -> Result<(), ParseError> {
        let (left, right) = (self.expr(&binary.left)?, self.expr(&binary.right)?);
        let both_scalar = left == ValueType::Scalar && right == ValueType::Scalar;
        let both_vector = left == ValueType::Vector && right == ValueType::Vector;
        if binary.return_bool && !binary.op.is_comparison() {
            return Err(self.fail(binary.op_span, "bool modifier can only be used on comparison operators"));
        }
        if binary.op.is_comparison() && !binary.return_bool && both_scalar {
            return Err(self.fail(binary.op_span, "comparisons between scalars must use BOOL modifier"));
        }
        for (side, found) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(self.fail(side.span, message));
            }
        }
        let matching = &binary.matching;
        if !both_vector {
            if !matching.labels.is_empty() || matching.group.is_some() {
                let message = "vector matching only allowed between instant vectors";
                return Err(self.fail(binary.left.span, message));
            }
            if binary.op.is_set() {
                let message = format!("set operator {:?} not allowed in binary scalar expression", binary.op.as_str());
                return Err(self.fail(binary.left.span, message));
            }
        }
        if matching.on == Some(true)
            && let Some(both) = matching.include.iter().find(|label| matching.labels.contains(label))
        {
            let message = format!("label {both:?} must not occur in ON and GROUP clause at once");
            return Err(self.fail(binary.op_span, message));
        }
        Ok(())
    }

    fn call(&self, function: &Function, args: &[Expr], span: Span) -> Result<(), ParseError> {
        let name = function.name;
        let (min, max) = (function.args_min(), function.args_max());
        if function.variadic == 0 {
            if args.len() != min {
                let message = format!("expected {min} argument(s) in call to {name:?}, got {}", args.len());
                return Err(self.fail(span, message));
            }
        } else if args.len() < min {
            let message = format!("expected at least {min} argument(s) in call to {name:?}, got {}", args.len());
            return Err(self.fail(span, message));
        } else if let Some(max) = max.filter(|max| args.len() > *max) {
            let message = format!("expected at most {max} argument(s) in call to {name:?}, got {}", args.len());
            return Err(self.fail(span, message));
        }
        for (at, arg) in args.iter().enumerate() {
            self.expect(arg, function.arg_type(at), &format!("call to function {name:?}"))?;
        }
        super::detectors::check(function, args).map_err(|(span, message)| self.fail(span, message))
    }
}
