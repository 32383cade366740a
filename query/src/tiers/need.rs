//! What a query asks of the windows of a table: how wide they may be, and over which time.

use super::zone::{ANY_ZONE_US, gcd, grain_us};
use crate::table::{COMPUTED, RollupTable};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use tidewatch_engine::rollup::{Measure, MeasureKind, WINDOW_START};
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Need {
    /// Windows of every width that divides this are good enough, microseconds; 0: all widths are. `None`:
    /// only the finest are.
    pub(super) grain_us: Option<i64>,
    /// Windows that start earlier are not asked for.
    pub(super) from: Option<i64>,
    /// Windows that start then or later are not asked for.
    pub(super) to: Option<i64>,
    /// Partials of one window give the same answer as the window: what is above merges states by keys that
    /// all of them share, and a merge of its own would only be work.
    pub(super) partials: bool,
}

/// Computes what is constant in one query.
pub(crate) struct Folding(ExprSimplifier);

impl Folding {
    pub(crate) fn new(config: &dyn OptimizerConfig) -> Self {
        let context = SimplifyContext::builder()
            .with_config_options(config.options())
            .with_query_execution_start_time(config.query_execution_start_time());
        Self(ExprSimplifier::new(context.build()))
    }

    /// The value of an expression without columns.
    pub(crate) fn constant(&self, expr: &Expr) -> Option<ScalarValue> {
        if let Expr::Literal(value, _) = expr {
            return Some(value.clone());
        }
        if expr.any_column_refs() || expr.is_volatile() {
            return None;
        }
        match self.0.simplify(expr.clone()).ok()? {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }

    /// A constant instant as whole microseconds and the nanoseconds that remain.
    fn instant(&self, expr: &Expr) -> Option<(i64, i64)> {
        let (value, per_second) = match self.constant(expr)? {
            ScalarValue::TimestampNanosecond(Some(v), Some(_)) => (v, 1_000_000_000),
            ScalarValue::TimestampMicrosecond(Some(v), Some(_)) => (v, 1_000_000),
            _ => return None,
        };
        let per_us = per_second / SECOND_US;
        Some((value.div_euclid(per_us), value.rem_euclid(per_us)))
    }
}

/// What an expression depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    /// Dimensions, constants and stretches of time that are at least as wide as the grain: equal for all
    /// rows that a wider window merges.
    Free,
    /// The start of the window itself, shown in this zone.
    Window(Zone),
    /// What clocks show at the start of the window, in zones that change by multiples of this.
    Local(i64),
    /// Anything else that all partials of a window share.
    Time,
    /// One column of the state of a measure, as it is.
    State(State),
    /// Anything else.
    Mixed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Zone {
    Utc,
    Named(String),
}

/// How a state column merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sum,
    Min,
    Max,
    Hdr,
    Distinct,
}

/// What a chain of nodes that ends in the scan of `table` asks of it. `top` is its upper end.
pub(super) fn need(top: &LogicalPlan, table: &RollupTable, folding: &Folding) -> Need {
    let mut analysis = Analysis { folding, grain_us: 0, is_understood: true, is_by_key: true, from: None, to: None };
    match top {
        LogicalPlan::Aggregate(aggregate) => {
            let classes = analysis.node(&aggregate.input, table);
            let schema = aggregate.input.schema();
            let scope = Scope { schema, classes: &classes };
            aggregate.group_expr.iter().for_each(|g| analysis.group(g, &scope));
            for aggregate in &aggregate.aggr_expr {
                let merges = analysis.merges(aggregate, &scope);
                analysis.is_understood &= merges;
                analysis.is_by_key &= merges;
            }
        }
        other => {
            analysis.node(other, table);
            // Rows that are not merged are seen as they are.
            analysis.is_understood = false;
            analysis.is_by_key = false;
        }
    }
    let grain_us = analysis.is_understood.then_some(analysis.grain_us);
    Need { grain_us, from: analysis.from, to: analysis.to, partials: analysis.is_by_key }
}

struct Scope<'a> {
    schema: &'a DFSchema,
    /// Of every column of the schema.
    classes: &'a [Class],
}

struct Analysis<'a> {
    folding: &'a Folding,
    grain_us: i64,
    /// Wider windows would do.
    is_understood: bool,
    /// Partials would do.
    is_by_key: bool,
    from: Option<i64>,
    to: Option<i64>,
}

impl Analysis<'_> {
    /// The classes of a node's columns.
    fn node(&mut self, plan: &LogicalPlan, table: &RollupTable) -> Vec<Class> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let names = scan.projected_schema.fields().iter();
                let classes: Vec<Class> = names.map(|f| class_of(table, f.name())).collect();
                let scope = Scope { schema: &scan.projected_schema, classes: &classes };
                for filter in &scan.filters {
                    self.filter(filter, &scope);
                }
                self.is_understood &= scan.fetch.is_none();
                self.is_by_key &= scan.fetch.is_none();
                classes
            }
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input, table),
            LogicalPlan::Filter(filter) => {
                let classes = self.node(&filter.input, table);
                let scope = Scope { schema: filter.input.schema(), classes: &classes };
                self.filter(&filter.predicate, &scope);
                classes
            }
            LogicalPlan::Projection(projection) => {
                let classes = self.node(&projection.input, table);
                let scope = Scope { schema: projection.input.schema(), classes: &classes };
                projection.expr.iter().map(|e| self.class(e, &scope)).collect()
            }
            _ => {
                self.is_understood = false;
                self.is_by_key = false;
                vec![Class::Mixed; plan.schema().fields().len()]
            }
        }
    }

    fn filter(&mut self, predicate: &Expr, scope: &Scope<'_>) {
        for part in split_conjunction(predicate) {
            if !self.range(part, scope) {
                self.key(part, scope);
            }
        }
    }

    /// Takes a comparison of the window with a constant into the range. False when it is none.
    fn range(&mut self, part: &Expr, scope: &Scope<'_>) -> bool {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (op, constant) = match (self.is_window(left, scope), self.is_window(right, scope)) {
                    (true, false) => (Some(*op), right),
                    (false, true) => (op.swap(), left),
                    _ => return false,
                };
                match (op, self.folding.instant(constant)) {
                    (Some(op), Some(instant)) => self.compare(op, instant),
                    _ => false,
                }
            }
            Expr::Between(between) if !between.negated && self.is_window(&between.expr, scope) => {
                match (self.folding.instant(&between.low), self.folding.instant(&between.high)) {
                    (Some(low), Some(high)) => self.compare(Operator::GtEq, low) && self.compare(Operator::LtEq, high),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn compare(&mut self, op: Operator, (us, rest): (i64, i64)) -> bool {
        // Windows start at whole microseconds: the first that is not before the instant, and the one after it.
        let (at_or_after, after) = (us + i64::from(rest > 0), us + 1);
        let mut from = |at: i64| self.from = Some(self.from.map_or(at, |f| f.max(at)));
        match op {
            Operator::GtEq => from(at_or_after),
            Operator::Gt => from(after),
            Operator::Eq if rest == 0 => from(us),
            Operator::Lt | Operator::LtEq => {}
            _ => return false,
        }
        let mut to = |at: i64| self.to = Some(self.to.map_or(at, |t| t.min(at)));
        match op {
            Operator::Lt => to(at_or_after),
            Operator::LtEq | Operator::Eq => to(after),
            _ => {}
        }
        true
    }

    fn is_window(&mut self, expr: &Expr, scope: &Scope<'_>) -> bool {
        matches!(expr, Expr::Column(_) | Expr::Cast(_)) && matches!(self.class(expr, scope), Class::Window(_))
    }

    fn group(&mut self, expr: &Expr, scope: &Scope<'_>) {
        match expr {
            Expr::GroupingSet(sets) => sets.distinct_expr().into_iter().for_each(|e| self.group(e, scope)),
            expr => self.key(expr, scope),
        }
    }

    /// Something by which rows are kept apart.
    fn key(&mut self, expr: &Expr, scope: &Scope<'_>) {
        let class = self.class(expr, scope);
        self.is_understood &= class == Class::Free;
        self.is_by_key &= matches!(class, Class::Free | Class::Window(_) | Class::Local(_) | Class::Time);
    }

    /// Is the aggregate the same over rows as over their merge?
    fn merges(&mut self, expr: &Expr, scope: &Scope<'_>) -> bool {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = without_alias(expr) else { return false };
        let filter = params.filter.as_ref().is_none_or(|f| self.class(f, scope) == Class::Free);
        if !filter || !params.order_by.is_empty() || params.null_treatment.is_some() {
            return false;
        }
        let classes: Vec<Class> = params.args.iter().map(|a| self.class(a, scope)).collect();
        if let ("top_k", [Class::Free, Class::State(State::Sum), Class::Free]) = (func.name(), classes.as_slice()) {
            return !params.distinct;
        }
        let Some((first, others)) = classes.split_first() else { return false };
        if others.iter().any(|c| *c != Class::Free) {
            return false;
        }
        match (func.name(), first) {
            ("sum", Class::State(State::Sum))
            | ("min", Class::State(State::Min))
            | ("max", Class::State(State::Max)) => !params.distinct,
            ("quantile" | "quantiles" | "hdr_merge" | "fraction_below", Class::State(State::Hdr)) => !params.distinct,
            ("approx_distinct" | "distinct_merge", Class::State(State::Distinct)) => !params.distinct,
            ("min" | "max", Class::Free) => true,
            ("count", Class::Free) => params.distinct,
            _ => false,
        }
    }

    fn class(&mut self, expr: &Expr, scope: &Scope<'_>) -> Class {
        match expr {
            Expr::Alias(alias) => self.class(&alias.expr, scope),
            Expr::Column(column) => column_class(column, scope),
            Expr::Literal(..) => Class::Free,
            Expr::Cast(inner) => match self.class(&inner.expr, scope) {
                Class::Window(zone) => self.cast_window(zone, inner.field.data_type()),
                Class::Local(grain) if matches!(inner.field.data_type(), DataType::Date32) => self.wide(grain),
                Class::Local(grain) if matches!(inner.field.data_type(), DataType::Timestamp(_, None)) => {
                    Class::Local(grain)
                }
                Class::Free => Class::Free,
                Class::Local(_) | Class::Time => Class::Time,
                Class::State(_) | Class::Mixed => Class::Mixed,
            },
            Expr::ScalarFunction(function) => {
                let of_time = match function.func.name() {
                    "date_bin" | "date_trunc" => self.bin(function, scope),
                    "time_bucket" => self.bucket(function, scope),
                    "local_time" => self.local(function, scope),
                    _ => None,
                };
                of_time.unwrap_or_else(|| self.generic(expr, scope))
            }
            _ => self.generic(expr, scope),
        }
    }

    /// Free when everything in it is; of the window when it has nothing of the measures.
    fn generic(&mut self, expr: &Expr, scope: &Scope<'_>) -> Class {
        use Expr::{AggregateFunction, Exists, InSubquery, OuterReferenceColumn, ScalarSubquery, SetComparison};
        let is_opaque = matches!(
            expr,
            AggregateFunction(_)
                | Exists(_)
                | InSubquery(_)
                | OuterReferenceColumn(..)
                | ScalarSubquery(_)
                | SetComparison(_)
                | Expr::WindowFunction(_)
                | Expr::Unnest(_)
                | Expr::Placeholder(_)
        );
        if is_opaque || expr.is_volatile_node() {
            return Class::Mixed;
        }
        let (mut is_free, mut is_time) = (true, true);
        let applied = datafusion::common::tree_node::TreeNode::apply_children(expr, |child| {
            match self.class(child, scope) {
                Class::Free => {}
                Class::Window(_) | Class::Local(_) | Class::Time => is_free = false,
                Class::State(_) | Class::Mixed => is_time = false,
            }
            Ok(TreeNodeRecursion::Continue)
        });
        match (applied.is_ok() && is_time, is_free) {
            (true, true) => Class::Free,
            (true, false) => Class::Time,
            (false, _) => Class::Mixed,
        }
    }

    fn cast_window(&mut self, zone: Zone, to: &DataType) -> Class {
        match (to, zone) {
            (DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(zone)), _) => {
                Class::Window(zone_of(zone))
            }
            (DataType::Date32, Zone::Utc) => self.wide(DAY_US),
            _ => Class::Time,
        }
    }

    /// Stretches of time that the window lies in. `None`: not of the window.
    fn bin(&mut self, function: &ScalarFunction, scope: &Scope<'_>) -> Option<Class> {
        let [unit, source, origin @ ..] = function.args.as_slice() else { return None };
        let unit = self.folding.constant(unit)?;
        let zone = match self.class(source, scope) {
            Class::Window(zone) => zone,
            Class::Local(grain) if function.func.name() == "date_trunc" => {
                return Some(self.wide(gcd(trunc_us(unit.try_as_str()??)?, grain)));
            }
            _ => return None,
        };
        let grain = match (function.func.name(), zone) {
            ("date_bin", Zone::Utc) => {
                let origin = match origin {
                    [] => 0,
                    [origin] => self.folding.instant(origin).filter(|o| o.1 == 0)?.0,
                    _ => return None,
                };
                gcd(interval_us(&unit)?, origin.checked_abs()?)
            }
            ("date_trunc", zone) => {
                let unit = trunc_us(unit.try_as_str()??)?;
                match zone {
                    Zone::Utc => unit,
                    Zone::Named(zone) => gcd(unit, grain_us(&zone)?),
                }
            }
            _ => return None,
        };
        Some(self.wide(grain))
    }

    /// `time_bucket(width, window [, zone])`.
    fn bucket(&mut self, function: &ScalarFunction, scope: &Scope<'_>) -> Option<Class> {
        let [width, window, zone @ ..] = function.args.as_slice() else { return None };
        let Class::Window(_) = self.class(window, scope) else { return None };
        let width = match self.folding.constant(width)? {
            ScalarValue::IntervalMonthDayNano(Some(v)) if v.months > 0 || v.days > 0 => DAY_US,
            other => interval_us(&other)?,
        };
        let zone = match zone {
            [] => DAY_US,
            [zone] => self.zone_grain(zone, scope)?,
            _ => return None,
        };
        // In UTC, widths that do not divide a day count from the epoch.
        let grain = if zone == DAY_US { width } else { gcd(width, zone) };
        Some(self.wide(grain))
    }

    /// `local_time(window, zone)`.
    fn local(&mut self, function: &ScalarFunction, scope: &Scope<'_>) -> Option<Class> {
        let [window, zone] = function.args.as_slice() else { return None };
        let Class::Window(_) = self.class(window, scope) else { return None };
        Some(Class::Local(self.zone_grain(zone, scope)?))
    }

    /// Of a zone that is written in the query, or that rows say themselves.
    fn zone_grain(&mut self, zone: &Expr, scope: &Scope<'_>) -> Option<i64> {
        if let Some(zone) = self.folding.constant(zone) {
            return match zone.try_as_str()? {
                Some(zone) => grain_us(zone),
                None => Some(DAY_US),
            };
        }
        (self.class(zone, scope) == Class::Free).then_some(ANY_ZONE_US)
    }

    fn wide(&mut self, grain_us: i64) -> Class {
        self.grain_us = gcd(grain_us, self.grain_us);
        Class::Free
    }
}

fn column_class(column: &Column, scope: &Scope<'_>) -> Class {
    let index = scope.schema.maybe_index_of_column(column);
    index.and_then(|i| scope.classes.get(i).cloned()).unwrap_or(Class::Mixed)
}

fn class_of(table: &RollupTable, column: &str) -> Class {
    let rollup = table.rollup();
    if column == WINDOW_START {
        return Class::Window(Zone::Utc);
    }
    if rollup.dimensions.iter().any(|d| d.name == column) {
        return Class::Free;
    }
    if COMPUTED.contains(&column) {
        return Class::Time;
    }
    let part = |measure: &Measure| match measure.kind {
        MeasureKind::Avg { .. } => {
            let rest = column.strip_prefix(measure.name.as_str())?;
            (rest == Measure::SUM_SUFFIX || rest == Measure::COUNT_SUFFIX).then_some(State::Sum)
        }
        _ if measure.name != column => None,
        MeasureKind::Count | MeasureKind::Sum { .. } => Some(State::Sum),
        MeasureKind::Min { .. } => Some(State::Min),
        MeasureKind::Max { .. } => Some(State::Max),
        MeasureKind::Hdr { .. } => Some(State::Hdr),
        MeasureKind::Distinct => Some(State::Distinct),
        MeasureKind::Last { .. } | MeasureKind::Samples => None,
    };
    rollup.measures.iter().find_map(part).map_or(Class::Mixed, Class::State)
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        expr => expr,
    }
}

fn zone_of(zone: &str) -> Zone {
    match zone {
        "UTC" | "Z" | "+00:00" => Zone::Utc,
        zone => Zone::Named(zone.to_owned()),
    }
}

/// Whole microseconds of an interval without months.
fn interval_us(interval: &ScalarValue) -> Option<i64> {
    let us = match interval {
        ScalarValue::IntervalMonthDayNano(Some(v)) if v.months == 0 && v.nanoseconds % 1000 == 0 => {
            i64::from(v.days).checked_mul(DAY_US)?.checked_add(v.nanoseconds / 1000)?
        }
        ScalarValue::IntervalDayTime(Some(v)) => {
            i64::from(v.days).checked_mul(DAY_US)?.checked_add(i64::from(v.milliseconds) * 1000)?
        }
        _ => return None,
    };
    (us > 0).then_some(us)
}

/// Everything from a day on is made of days.
fn trunc_us(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "second" => SECOND_US,
        "minute" => MINUTE_US,
        "hour" => HOUR_US,
        "day" | "week" | "month" | "quarter" | "year" => DAY_US,
        _ => return None,
    })
}
