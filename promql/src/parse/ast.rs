//! The syntax tree of a query.

use crate::matcher::Matcher;
use crate::position::Span;

use super::functions::Function;

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands in the query.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number; `duration` when written as a duration, which then stands for its seconds.
    Number {
        /// The number.
        value: f64,
        /// Whether it was written as a duration.
        duration: bool,
    },
    /// A string.
    String(Text),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Range {
        /// Which series.
        selector: Selector,
        /// How far back, above zero.
        range_ms: i64,
    },
    /// A range vector made by evaluating an expression at regular times.
    Subquery(Box<Subquery>),
    /// `-x` or `+x`.
    Unary {
        /// Whether the sign is a minus.
        negate: bool,
        /// The operand.
        expr: Box<Expr>,
    },
    /// An expression in parentheses.
    Paren(Box<Expr>),
    /// Two operands.
    Binary(Box<Binary>),
    /// An aggregation over series.
    Aggregate(Box<Aggregate>),
    /// A function's call.
    Call {
        /// Which function.
        function: &'static Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
}

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, with replacement characters where the bytes are no UTF-8.
    pub text: String,
    /// When the bytes are no UTF-8: the literal as Go's `%q` would write it.
    pub broken: Option<String>,
}

/// Which series, seen from when.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric's name when it was written in front of the braces or alone in quotes within them.
    pub name: Option<String>,
    /// All conditions, the name's among them.
    pub matchers: Vec<Matcher>,
    /// How far in the past to look, negative for the future.
    pub offset_ms: i64,
    /// The instant to look at instead of the evaluation time.
    pub at: Option<At>,
    /// Number of the selector within the query, counted from 0 in the order of the text.
    pub id: usize,
}

/// The instant of an `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// The start of the query.
    Start,
    /// The end of the query.
    End,
}

/// `expr[range:step]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// How far back, above zero.
    pub range_ms: i64,
    /// Between two evaluations; `None` for the engine's default.
    pub step_ms: Option<i64>,
    /// How far in the past to look, negative for the future.
    pub offset_ms: i64,
    /// The instant to look at instead of the evaluation time.
    pub at: Option<At>,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// The operator as written in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// Whether it is one of `== != < <= > >=`.
    pub fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
    }

    /// Whether it is one of `and or unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

/// A binary expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series of both sides find each other.
    pub matching: Matching,
    /// Where the operator stands.
    pub op_span: Span,
}

/// How series of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// `on` (true) or `ignoring` (false), `None` when neither is written.
    pub on: Option<bool>,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Which side may have several series for one of the other.
    pub group: Option<Group>,
    /// Labels taken over from the other side.
    pub include: Vec<String>,
}

/// The side with many series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `group_left`
    Left,
    /// `group_right`
    Right,
}

/// An aggregation's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
    LimitK,
    LimitRatio,
}

impl AggregateOp {
    pub(super) const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Count,
        AggregateOp::Group,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::TopK,
        AggregateOp::BottomK,
        AggregateOp::Quantile,
        AggregateOp::CountValues,
        AggregateOp::LimitK,
        AggregateOp::LimitRatio,
    ];

    /// The operator as written in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Count => "count",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::TopK => "topk",
            AggregateOp::BottomK => "bottomk",
            AggregateOp::Quantile => "quantile",
            AggregateOp::CountValues => "count_values",
            AggregateOp::LimitK => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before the vector.
    pub fn has_parameter(self) -> bool {
        matches!(
            self,
            AggregateOp::TopK
                | AggregateOp::BottomK
                | AggregateOp::Quantile
                | AggregateOp::CountValues
                | AggregateOp::LimitK
                | AggregateOp::LimitRatio
        )
    }

    /// Whether Prometheus hides it behind a feature flag.
    pub fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::LimitK | AggregateOp::LimitRatio)
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `quantile` and the like.
    pub param: Option<Expr>,
    /// What makes a group.
    pub grouping: Grouping,
}

/// What makes a group of an aggregation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grouping {
    /// `without` (true) or `by` (false; also when neither is written, then with no labels).
    pub without: bool,
    /// The labels of `by` or `without`.
    pub labels: Vec<String>,
}

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// A string.
    String,
    /// At most one sample per series and step.
    Vector,
    /// Several samples per series.
    Matrix,
}

impl ValueType {
    /// The name that messages use.
    pub fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        }
    }
}

impl Expr {
    /// The type of the expression's value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number { .. } => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Range { .. } | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Unary { expr, .. } => expr.value_type(),
            ExprKind::Paren(expr) => expr.value_type(),
            ExprKind::Binary(binary) => match (binary.left.value_type(), binary.right.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            ExprKind::Call { function, .. } => function.returns,
        }
    }

    /// The expression within any parentheses around it.
    pub fn unwrapped(&self) -> &Expr {
        match &self.kind {
            ExprKind::Paren(inner) => inner.unwrapped(),
            _ => self,
        }
    }

    /// Calls `visit` for this expression and all within it, outer ones first, in the order of the text.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match &self.kind {
            ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Range { .. } => {}
            ExprKind::Subquery(subquery) => subquery.expr.walk(visit),
            ExprKind::Unary { expr, .. } => expr.walk(visit),
            ExprKind::Paren(expr) => expr.walk(visit),
            ExprKind::Binary(binary) => {
                binary.left.walk(visit);
                binary.right.walk(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    param.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(|arg| arg.walk(visit)),
        }
    }
}
