//! Turns an analysed query into a rollup, or says why its states could not be kept mergeable.

use super::statement::Statement;
use super::{DefinitionError, Dimension, DimensionType, Measure, MeasureKind, UPDATED_AT, ValueType, WINDOW_START};
use crate::functions::{HDR, LAST, SAMPLES, TUMBLE};
use crate::time::{PANE_MAX_US, PANE_MIN_US};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, Cast, Expr, ExprSchemable, LogicalPlan, Volatility, ident};
use std::collections::BTreeSet;

/// Envelope columns that order events for `last`.
const EVENT_TIME: &str = "event_time";
const SEQUENCE: &str = "sequence";
/// Columns that the store adds to windows.
const TIER_COLUMNS: [&str; 2] = ["tier", "rolled_up"];

/// One `SELECT` of a definition: expressions over the columns of its source, not yet compiled.
#[derive(Debug)]
pub(super) struct Validated {
    pub source: String,
    /// Width of a window in microseconds, `None` when rows are keyed by the dimensions alone.
    pub pane_us: Option<i64>,
    pub dimensions: Vec<(Dimension, Expr)>,
    pub measures: Vec<(Measure, ValidatedMeasure)>,
    /// Rows that count at all (`WHERE`).
    pub predicate: Option<Expr>,
}

/// Arguments and `FILTER` of a measure.
#[derive(Debug, Clone)]
pub(super) struct ValidatedMeasure {
    /// What the definition says; further ones (time and sequence of `last`) follow from the kind.
    pub arguments: Vec<Expr>,
    pub filter: Option<Expr>,
}

type Result<T> = std::result::Result<T, DefinitionError>;

/// The parts of the only plan shape a rollup may have.
struct Shape<'a> {
    outputs: &'a [Expr],
    aggregate: &'a Aggregate,
    predicate: Option<&'a Expr>,
    source: String,
    source_schema: &'a DFSchema,
}

pub(super) fn validate(statement: &Statement, plan: &LogicalPlan) -> Result<Validated> {
    let shape = shape(statement, plan)?;
    if shape.aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        return Err(statement
            .error("group", "ROLLUP, CUBE and GROUPING SETS are not possible in a rollup")
            .hint("group by all dimensions; coarser groups are merges of these, made by the query"));
    }
    for expr in
        shape.outputs.iter().chain(&shape.aggregate.group_expr).chain(&shape.aggregate.aggr_expr).chain(shape.predicate)
    {
        refuse_unfit(statement, expr)?;
    }
    let mut pane_us = None;
    let (mut dimensions, mut measures) = (Vec::new(), Vec::new());
    let mut selected = vec![false; shape.aggregate.group_expr.len()];
    for output in shape.outputs {
        let (name, inner) = output_name(output);
        let Some(index) = aggregate_index(shape.aggregate, inner) else {
            return Err(not_mergeable(statement, &name, inner));
        };
        match shape.aggregate.group_expr.get(index) {
            Some(group) => {
                selected[index] = true;
                if !is_tumble(group) {
                    dimensions.push((dimension(statement, &name, group, shape.source_schema)?, group.clone()));
                }
            }
            None => {
                let call = &shape.aggregate.aggr_expr[index - shape.aggregate.group_expr.len()];
                let (kind, measure) = measure(statement, &name, call, shape.source_schema)?;
                measures.push((Measure { name, kind }, measure));
            }
        }
    }
    for (group, selected) in shape.aggregate.group_expr.iter().zip(selected) {
        if is_tumble(group) {
            let width = pane(statement, group)?;
            if pane_us.replace(width).is_some() {
                return Err(statement.error(TUMBLE, "two windows in GROUP BY; a rollup has one"));
            }
        } else if !selected {
            let word = first_column(group);
            return Err(statement
                .error(&word, format!("`{group}` is grouped by but not selected, so its rows could not be told apart"))
                .hint(format!("add `{group}` to the SELECT list")));
        }
    }
    if measures.is_empty() {
        return Err(statement
            .error("select", "no aggregate, so there is nothing to keep")
            .hint("add count(*) AS events"));
    }
    if pane_us.is_none() {
        if dimensions.is_empty() {
            return Err(statement
                .error("group", "neither a window nor a key in GROUP BY")
                .hint("add tumble(INTERVAL '10 seconds') for windows, or the columns that one row each is kept for"));
        }
        if let Some((measure, _)) = measures.iter().find(|(m, _)| m.kind == MeasureKind::Samples) {
            return Err(statement
                .error(SAMPLES, format!("`{}` would grow without end: a keyed table has no windows", measure.name))
                .hint("add tumble(INTERVAL '15 minutes') to GROUP BY, or keep last(x)"));
        }
        measures.retain(|(m, _)| m.name != UPDATED_AT);
        measures.push(updated_at());
    }
    refuse_clashing_columns(statement, pane_us, &dimensions, &measures)?;
    Ok(Validated { source: shape.source, pane_us, dimensions, measures, predicate: shape.predicate.cloned() })
}

/// What every keyed table holds besides its own measures.
fn updated_at() -> (Measure, ValidatedMeasure) {
    let kind = MeasureKind::Max { value: ValueType::Timestamp };
    let measure = ValidatedMeasure { arguments: vec![ident(EVENT_TIME)], filter: None };
    (Measure { name: UPDATED_AT.to_owned(), kind }, measure)
}

fn shape<'a>(statement: &Statement, plan: &'a LogicalPlan) -> Result<Shape<'a>> {
    let refuse = |node: &LogicalPlan| {
        let (what, word) = match node {
            LogicalPlan::Join(_) => ("a join", "join"),
            LogicalPlan::Sort(_) => ("ORDER BY", "order"),
            LogicalPlan::Limit(_) => ("LIMIT", "limit"),
            LogicalPlan::Filter(_) => ("HAVING", "having"),
            LogicalPlan::Window(_) => ("a window function", "over"),
            LogicalPlan::Distinct(_) => ("DISTINCT", "distinct"),
            LogicalPlan::Union(_) => ("UNION other than UNION ALL BY NAME", "union"),
            LogicalPlan::Unnest(_) => ("UNNEST", "unnest"),
            LogicalPlan::Subquery(_) | LogicalPlan::SubqueryAlias(_) => {
                ("a subquery or an alias of the source", "from")
            }
            _ => ("this shape of query", "select"),
        };
        statement.error(word, format!("{what} is not possible in a rollup"))
            .hint("a rollup is SELECT dimensions, aggregates FROM one source [WHERE …] GROUP BY [tumble(…),] dimensions [UNION ALL BY NAME SELECT …]; everything else belongs into a view or a query over it")
    };
    let LogicalPlan::Projection(projection) = plan else { return Err(refuse(plan)) };
    let LogicalPlan::Aggregate(aggregate) = projection.input.as_ref() else {
        return Err(match projection.input.as_ref() {
            LogicalPlan::TableScan(_) => statement
                .error("select", "no GROUP BY")
                .hint("add GROUP BY tumble(INTERVAL '10 seconds') and the dimensions; without tumble(…) one row is kept per key"),
            other => refuse(other),
        });
    };
    let (predicate, input) = match aggregate.input.as_ref() {
        LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
        other => (None, other),
    };
    let LogicalPlan::TableScan(scan) = input else { return Err(refuse(input)) };
    Ok(Shape {
        outputs: &projection.expr,
        aggregate,
        predicate,
        source: scan.table_name.table().to_owned(),
        source_schema: scan.projected_schema.as_ref(),
    })
}

fn output_name(output: &Expr) -> (String, &Expr) {
    let mut inner = output;
    while let Expr::Alias(alias) = inner {
        inner = &alias.expr;
    }
    let name = match output {
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    };
    (name, inner)
}

/// Which group or aggregate expression a column of the projection stands for.
fn aggregate_index(aggregate: &Aggregate, expr: &Expr) -> Option<usize> {
    let Expr::Column(column) = expr else { return None };
    aggregate.schema.maybe_index_of_column(column)
}

fn is_tumble(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if f.name() == TUMBLE)
}

fn pane(statement: &Statement, tumble: &Expr) -> Result<i64> {
    let argument = match tumble {
        Expr::ScalarFunction(f) => f.args.first(),
        _ => None,
    };
    let micros = match argument {
        Some(Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _))
            if i.months == 0 && i.nanoseconds % 1000 == 0 =>
        {
            i64::from(i.days).checked_mul(86_400_000_000).and_then(|d| d.checked_add(i.nanoseconds / 1000))
        }
        Some(Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _)) => {
            Some(i64::from(i.days) * 86_400_000_000 + i64::from(i.milliseconds) * 1000)
        }
        _ => None,
    };
    let Some(micros) = micros else {
        return Err(statement
            .error(TUMBLE, "the window must be a literal interval of days or less")
            .hint("as in tumble(INTERVAL '10 seconds')"));
    };
    if !(PANE_MIN_US..=PANE_MAX_US).contains(&micros) || PANE_DIVIDES % micros != 0 {
        return Err(statement.error(TUMBLE, format!("a window of {} s is not possible", micros as f64 / 1e6))
            .hint("between 1 second and 15 minutes, in whole parts of an hour; wider windows are merges of these, made by the query"));
    }
    Ok(micros)
}

/// Panes must tile the hour, so that hours and days are merges of whole panes.
const PANE_DIVIDES: i64 = 3_600_000_000;

fn dimension(statement: &Statement, name: &str, expr: &Expr, schema: &DFSchema) -> Result<Dimension> {
    let data_type = expr.get_type(schema).map_err(|e| statement.error(name, e.strip_backtrace()))?;
    let value = match &data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DimensionType::Utf8,
        DataType::Boolean => DimensionType::Boolean,
        DataType::Timestamp(_, _) => DimensionType::Timestamp,
        t if t.is_integer() => DimensionType::Int64,
        t => {
            return Err(statement.error(name, format!("dimension `{name}` has type {t}"))
                .hint("dimensions are text, integers, booleans or timestamps; a number can be cut into classes with CASE or a cast"));
        }
    };
    Ok(Dimension { name: name.to_owned(), value })
}

fn measure(
    statement: &Statement,
    name: &str,
    expr: &Expr,
    schema: &DFSchema,
) -> Result<(MeasureKind, ValidatedMeasure)> {
    let mut inner = expr;
    while let Expr::Alias(alias) = inner {
        inner = &alias.expr;
    }
    let Expr::AggregateFunction(AggregateFunction { func, params }) = inner else {
        return Err(statement.error(name, format!("`{inner}` is not an aggregate")));
    };
    let function = func.name();
    let AggregateFunctionParams { args, distinct, filter, order_by, .. } = params;
    if *distinct {
        return Err(statement
            .error("distinct", format!("{function}(DISTINCT …) cannot be merged from parts"))
            .hint("use approx_distinct(x): exact up to 1024 values per window, within about 1 % beyond"));
    }
    if !order_by.is_empty() {
        return Err(statement.error(function, "ORDER BY inside an aggregate depends on the order of events"));
    }
    if function == "count" && args.len() > 1 {
        return Err(statement
            .error(function, "count of several columns is not kept")
            .hint("count one column, with FILTER (WHERE other IS NOT NULL) for the others"));
    }
    let filter = filter.as_deref().cloned();
    let argument = args.first().map(|arg| strip_float_cast(function, arg, schema));
    let kind = match function {
        "count" => MeasureKind::Count,
        "sum" => MeasureKind::Sum { scale: exact_scale(statement, function, argument.as_ref(), schema)? },
        "avg" => MeasureKind::Avg { scale: exact_scale(statement, function, argument.as_ref(), schema)? },
        "min" => MeasureKind::Min { value: value_type(statement, function, argument.as_ref(), schema)? },
        "max" => MeasureKind::Max { value: value_type(statement, function, argument.as_ref(), schema)? },
        HDR => MeasureKind::Hdr { digits: digits(statement, args.get(1))? },
        SAMPLES => samples_kind(statement, argument.as_ref(), schema)?,
        LAST => MeasureKind::Last { value: last_type(statement, argument.as_ref(), schema)? },
        "approx_distinct" => MeasureKind::Distinct,
        other => return Err(unknown_aggregate(statement, other)),
    };
    // `count(*)` and `count(1)` count rows: a literal is never null.
    let argument = argument.filter(|a| !matches!((kind, a), (MeasureKind::Count, Expr::Literal(v, _)) if !v.is_null()));
    let mut arguments: Vec<Expr> = argument.map(|a| cast_argument(kind, a, schema)).into_iter().collect();
    match kind {
        MeasureKind::Last { .. } => arguments.extend([ident(EVENT_TIME), ident(SEQUENCE)]),
        MeasureKind::Samples => arguments.push(ident(EVENT_TIME)),
        _ => {}
    }
    Ok((kind, ValidatedMeasure { arguments, filter }))
}

/// DataFusion widens the argument of `avg` to a float; the exact value is underneath.
fn strip_float_cast(function: &str, argument: &Expr, schema: &DFSchema) -> Expr {
    match argument {
        Expr::Cast(Cast { expr, field, .. })
            if function == "avg"
                && *field.data_type() == DataType::Float64
                && expr.get_type(schema).is_ok_and(|t| t.is_integer()) =>
        {
            expr.as_ref().clone()
        }
        other => other.clone(),
    }
}

fn argument_type(argument: Option<&Expr>, schema: &DFSchema) -> DataType {
    argument.and_then(|a| a.get_type(schema).ok()).unwrap_or(DataType::Null)
}

fn exact_scale(statement: &Statement, function: &str, argument: Option<&Expr>, schema: &DFSchema) -> Result<i8> {
    match argument_type(argument, schema) {
        t if t.is_integer() => Ok(0),
        DataType::Decimal128(_, scale) => Ok(scale),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => Ok(scale),
        t if t.is_floating() => Err(statement
            .error(
                function,
                format!(
                    "{function} of a float depends on the order of events, so replay would not give the same number"
                ),
            )
            .hint("declare the field as int64 in the smallest unit (minor units, milliseconds) or as decimal(SCALE)")),
        t => Err(statement.error(function, format!("{function} of {t} is not possible"))),
    }
}

fn value_type(statement: &Statement, function: &str, argument: Option<&Expr>, schema: &DFSchema) -> Result<ValueType> {
    match argument_type(argument, schema) {
        t if t.is_integer() => Ok(ValueType::Int64),
        t if t.is_floating() => Ok(ValueType::Float64),
        DataType::Timestamp(_, _) => Ok(ValueType::Timestamp),
        DataType::Decimal128(_, scale) | DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
            Ok(ValueType::Decimal { scale })
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Ok(ValueType::Utf8),
        t => Err(statement
            .error(function, format!("{function} of {t} is not kept"))
            .hint("numbers, timestamps and texts have a smallest and a largest value")),
    }
}

fn last_type(statement: &Statement, argument: Option<&Expr>, schema: &DFSchema) -> Result<ValueType> {
    match argument_type(argument, schema) {
        DataType::Boolean => Ok(ValueType::Boolean),
        _ => value_type(statement, LAST, argument, schema),
    }
}

fn samples_kind(statement: &Statement, argument: Option<&Expr>, schema: &DFSchema) -> Result<MeasureKind> {
    match argument_type(argument, schema) {
        t if t.is_numeric() => Ok(MeasureKind::Samples),
        DataType::Binary => Ok(MeasureKind::Samples),
        t => Err(statement
            .error(SAMPLES, format!("samples of {t} are not kept"))
            .hint("samples are numbers, as in samples(celsius)")),
    }
}

fn digits(statement: &Statement, argument: Option<&Expr>) -> Result<u8> {
    match argument {
        None => Ok(2),
        Some(Expr::Literal(ScalarValue::Int64(Some(digits @ 1..=3)), _)) => Ok(*digits as u8),
        Some(Expr::Literal(digits, _)) => Err(statement
            .error(HDR, format!("{digits} significant digits are not possible"))
            .hint("1, 2 (the default) or 3, as in hdr(duration_ms, 3)")),
        Some(other) => Err(statement
            .error(HDR, format!("`{other}` is not a number of significant digits"))
            .hint("1, 2 (the default) or 3, as in hdr(duration_ms, 3)")),
    }
}

/// Brings the argument to the one Arrow type that the aggregate's states read.
fn cast_argument(kind: MeasureKind, argument: Expr, schema: &DFSchema) -> Expr {
    let from = argument_type(Some(&argument), schema);
    let to = match kind {
        MeasureKind::Count => return argument,
        MeasureKind::Sum { scale } | MeasureKind::Avg { scale } if from.is_decimal() => {
            DataType::Decimal128(super::SUM_PRECISION, scale)
        }
        MeasureKind::Sum { .. } | MeasureKind::Avg { .. } | MeasureKind::Hdr { .. } => DataType::Int64,
        MeasureKind::Min { value } | MeasureKind::Max { value } | MeasureKind::Last { value } => value.data_type(),
        MeasureKind::Distinct if from.is_integer() => DataType::Int64,
        MeasureKind::Distinct => DataType::Utf8,
        MeasureKind::Samples if from == DataType::Binary => return argument,
        MeasureKind::Samples => DataType::Float64,
    };
    if from == to { argument } else { datafusion::logical_expr::cast(argument, to) }
}

fn unknown_aggregate(statement: &Statement, function: &str) -> DefinitionError {
    let reason = match function {
        "median" | "approx_median" | "percentile_cont" | "approx_percentile_cont" | "quantile_cont" => {
            return statement
                .error(
                    function,
                    format!("{function} cannot be merged from parts: a percentile of percentiles is not a percentile"),
                )
                .hint("keep hdr(x) and ask for quantile(x, 0.5) when reading");
        }
        "first_value" | "last_value" => {
            return statement
                .error(function, format!("{function} depends on the order of events"))
                .hint("last(x) keeps the value of the newest event, by sequence and event time");
        }
        "array_agg" | "string_agg" | "nth_value" => "depends on the order of events",
        "stddev" | "stddev_pop" | "var" | "var_pop" | "corr" | "covar_samp" | "covar_pop" => {
            "is kept in floats whose sum depends on the order of events"
        }
        _ => "has no mergeable state here",
    };
    statement.error(function, format!("{function} {reason}")).hint(
        "a rollup keeps count, sum, min, max, avg, hdr, approx_distinct, last and samples, each with an optional FILTER (WHERE …)",
    )
}

fn not_mergeable(statement: &Statement, name: &str, expr: &Expr) -> DefinitionError {
    statement
        .error(name, format!("`{expr}` is computed from aggregates and cannot be merged from parts"))
        .hint("keep the parts as measures of their own and put the expression into a view or a query")
}

/// Refuses what has no value, or not the same one each time, when events are counted.
fn refuse_unfit(statement: &Statement, expr: &Expr) -> Result<()> {
    let mut found = None;
    let walked = expr.apply(|node| {
        found = match node {
            // The window itself is the group expression; anywhere else it would be a value.
            Expr::ScalarFunction(f) if f.name() == TUMBLE && !std::ptr::eq(node, expr) => Some(
                statement
                    .error(TUMBLE, "tumble names the window and has no value of its own")
                    .hint("it stands in GROUP BY, alone; event_time is the time of the event"),
            ),
            Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => Some(
                statement
                    .error(
                        f.name(),
                        format!(
                            "`{}` gives another answer each time, so replay would not give the same number",
                            f.name()
                        ),
                    )
                    .hint("use the columns of the event, such as event_time"),
            ),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => Some(
                statement
                    .error("where", "a subquery is not possible in a rollup")
                    .hint("an event counts by its own columns alone; join or compare in a view or a query"),
            ),
            Expr::Placeholder(p) => Some(
                statement
                    .error("select", format!("the placeholder `{}` has no value", p.id))
                    .hint("write the value itself"),
            ),
            _ => None,
        };
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walked, found) {
        (Err(error), _) => Err(statement.error("select", error.strip_backtrace())),
        (_, Some(error)) => Err(error),
        _ => Ok(()),
    }
}

fn refuse_clashing_columns(
    statement: &Statement,
    pane_us: Option<i64>,
    dimensions: &[(Dimension, Expr)],
    measures: &[(Measure, ValidatedMeasure)],
) -> Result<()> {
    let window = pane_us.map(|_| WINDOW_START.to_owned());
    let states = measures.iter().flat_map(|(m, _)| m.state_fields()).map(|f| f.name().clone());
    let columns = window.into_iter().chain(dimensions.iter().map(|(d, _)| d.name.clone())).chain(states);
    let mut seen: BTreeSet<String> = TIER_COLUMNS.map(str::to_owned).into();
    for name in columns {
        let name = name.as_str();
        if !seen.insert(name.to_lowercase()) {
            return Err(statement
                .error(name, format!("two columns would be named `{name}`"))
                .hint("avg(x) AS name is stored as name_sum and name_count, last(x) AS name also as name_at and name_seq; window_start is the window, tier and rolled_up say how wide it is"));
        }
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !plain {
            return Err(statement
                .error(name, format!("column `{name}` needs a plain name"))
                .hint("give it one with AS: letters, digits and underscores"));
        }
    }
    Ok(())
}

fn first_column(expr: &Expr) -> String {
    expr.column_refs().iter().map(|c| c.name.clone()).min().unwrap_or_else(|| "group".to_owned())
}

/// Text that is equal for branches that count equally, whatever their layout.
pub(super) fn canonical(branch: &Validated) -> String {
    let text = |e: Option<&Expr>| e.map(|e| e.to_string()).unwrap_or_default();
    let pane = branch.pane_us.map(|p| format!(" pane_us {p}")).unwrap_or_default();
    let mut lines = vec![format!("from {}{pane} where {}", branch.source, text(branch.predicate.as_ref()))];
    lines.extend(branch.dimensions.iter().map(|(d, e)| format!("{} = {e}", d.name)));
    lines.extend(branch.measures.iter().map(|(m, v)| {
        format!("{} = {:?}({}) filter {}", m.name, m.kind, text(v.arguments.first()), text(v.filter.as_ref()))
    }));
    lines.join("\n")
}
