//! From a query and its times to the samples it needs, and from these to the answer.

use std::sync::Arc;

use crate::error::QueryError;
use crate::eval;
use crate::parse::ast::{At, Expr, ExprKind, Grouping, Selector, Subquery, ValueType};
use crate::parse::functions::Func;
use crate::parse::{self, Grammar, pretty};
use crate::series::Series;
use crate::storage::{SelectHints, Selection, Storage};
use crate::value::Answer;

/// A parsed query, evaluated as often as wanted. Cloning shares the tree.
#[derive(Debug, Clone)]
pub struct Query {
    text: Arc<str>,
    expr: Arc<Expr>,
}

/// How queries are evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How long a sample stands for its series, in milliseconds; Prometheus' default is 5 minutes.
    pub lookback_ms: i64,
    /// Step of a subquery that names none, in milliseconds: Prometheus takes the evaluation interval of rules.
    pub subquery_step_ms: i64,
    /// When the metric's name goes away: with each function that changes the meaning of the values (Prometheus'
    /// default), or only in the answer (its feature `promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { lookback_ms: 300_000, subquery_step_ms: 60_000, delayed_name_removal: false }
    }
}

/// Why an evaluation must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It took too long.
    Timeout,
    /// Whoever asked went away.
    Canceled,
}

/// Bounds of one evaluation.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Most cells (series times steps) of all vectors that exist at one time, samples of subqueries included.
    pub samples_max: usize,
    /// Asked once per series and operation; it should not take longer than reading a clock.
    pub interrupt: &'a dyn Fn() -> Option<Interrupt>,
}

impl Limits<'_> {
    /// No bounds.
    pub fn none() -> Limits<'static> {
        Limits { samples_max: usize::MAX, interrupt: &|| None }
    }
}

impl std::fmt::Debug for Limits<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Limits").field("samples_max", &self.samples_max).finish_non_exhaustive()
    }
}

/// Evenly spaced instants: `start_ms`, `start_ms + step_ms`, … , `len` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// First instant, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Between two instants, above zero.
    pub step_ms: i64,
    /// Number of instants.
    pub len: usize,
}

impl Grid {
    /// One instant.
    pub fn instant(time_ms: i64) -> Grid {
        Grid { start_ms: time_ms, step_ms: 1, len: 1 }
    }

    /// From `start_ms` to at most `end_ms`, both inclusive; empty when the end lies before the start.
    pub fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Grid {
        let step_ms = step_ms.max(1);
        let len = if end_ms < start_ms { 0 } else { (end_ms.saturating_sub(start_ms) / step_ms) as usize + 1 };
        Grid { start_ms, step_ms, len }
    }

    /// Instant number `at`.
    #[inline]
    pub fn time(&self, at: usize) -> i64 {
        self.start_ms + self.step_ms * at as i64
    }

    /// Last instant; the first one when there is none.
    pub fn end_ms(&self) -> i64 {
        self.time(self.len.saturating_sub(1))
    }
}

/// The times of a whole query: what `start()`, `end()`, `range()` and `step()` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Start of the query.
    pub start_ms: i64,
    /// End of the query, not necessarily an instant of evaluation.
    pub end_ms: i64,
    /// Between two evaluations, 0 for an instant query.
    pub step_ms: i64,
}

impl Times {
    /// The instant that an `@` modifier means.
    pub fn at(&self, at: At) -> i64 {
        match at {
            At::Time(milliseconds) => milliseconds,
            At::Start => self.start_ms,
            At::End => self.end_ms,
        }
    }
}

/// The instants at which a subquery's expression is evaluated, for a query evaluated on `outer`: multiples of
/// the step, so that moving the query does not move them.
pub(crate) fn subquery_grid(subquery: &Subquery, outer: Grid, times: &Times, options: &Options) -> Grid {
    let step_ms = subquery.step_ms.unwrap_or(options.subquery_step_ms).max(1);
    let (first, last) = match subquery.at {
        Some(at) => (times.at(at), times.at(at)),
        None => (outer.start_ms, outer.end_ms()),
    };
    let left_ms = first.saturating_sub(subquery.offset_ms).saturating_sub(subquery.range_ms);
    let start_ms = (left_ms.div_euclid(step_ms) + 1).saturating_mul(step_ms);
    Grid::range(start_ms, last.saturating_sub(subquery.offset_ms), step_ms)
}

impl Query {
    /// Parses and checks a query.
    ///
    /// # Errors
    /// [`QueryError::Parse`].
    pub fn parse(text: &str, grammar: Grammar) -> Result<Query, QueryError> {
        let expr = parse::parse(text, grammar)?;
        Ok(Query { text: text.into(), expr: Arc::new(expr) })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The syntax tree.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The query as `/api/v1/format_query` gives it.
    pub fn format(&self) -> String {
        pretty::pretty(&self.expr)
    }

    /// The plan of the query at one instant.
    pub fn instant(&self, time_ms: i64, options: &Options) -> Plan {
        let times = Times { start_ms: time_ms, end_ms: time_ms, step_ms: 0 };
        Plan::new(self.clone(), Grid::instant(time_ms), times, true, options)
    }

    /// The plan of the query at `start_ms`, `start_ms + step_ms`, … up to `end_ms`, inclusive.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when the query's type has no range, the step is not above zero or the end lies
    /// before the start.
    pub fn range(&self, start_ms: i64, end_ms: i64, step_ms: i64, options: &Options) -> Result<Plan, QueryError> {
        let kind = self.expr.value_type();
        if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
            let kind = kind.documented();
            let message = format!("invalid expression type {kind:?} for range query, must be Scalar or instant Vector");
            return Err(QueryError::BadData(message));
        }
        if step_ms <= 0 {
            let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(QueryError::BadData(message.to_string()));
        }
        if end_ms < start_ms {
            return Err(QueryError::BadData("end timestamp must not be before start time".to_string()));
        }
        let times = Times { start_ms, end_ms, step_ms };
        Ok(Plan::new(self.clone(), Grid::range(start_ms, end_ms, step_ms), times, false, options))
    }
}

/// A query with its times: what it reads, then what it answers.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) query: Query,
    pub(crate) grid: Grid,
    pub(crate) times: Times,
    pub(crate) is_instant: bool,
    pub(crate) options: Options,
    selections: Vec<Selection>,
    /// For each selector of the query, in the order of the text, its place in `selections`.
    pub(crate) selection_of: Vec<usize>,
}

impl Plan {
    fn new(query: Query, grid: Grid, times: Times, is_instant: bool, options: &Options) -> Plan {
        let mut collector = Collector { times, options, selections: Vec::new(), selection_of: Vec::new() };
        collector.collect(&query.expr, grid, None, None);
        let Collector { selections, selection_of, .. } = collector;
        Plan { query, grid, times, is_instant, options: options.clone(), selections, selection_of }
    }

    /// What must be read before [`Plan::evaluate`]. Selectors that read the same share one selection.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// Plans with the same text give the same answer over the same series.
    pub fn identity(&self) -> String {
        let Plan { query, grid, times, is_instant, options, .. } = self;
        format!("{times:?} {grid:?} {is_instant} {options:?} {}", query.text())
    }

    /// How long a sample stands for its series, in milliseconds.
    pub fn lookback_ms(&self) -> i64 {
        self.options.lookback_ms
    }

    /// Evaluates on what was read: one list of series per selection, in the same order.
    ///
    /// # Errors
    /// See [`QueryError`]; [`QueryError::BadData`] when a selection has no list.
    pub fn evaluate(&self, series: &[Vec<Series>], limits: &Limits<'_>) -> Result<Answer, QueryError> {
        if series.len() != self.selections.len() {
            let (wanted, found) = (self.selections.len(), series.len());
            let message = format!("the query reads {wanted} selections, but {found} lists of series were given");
            return Err(QueryError::BadData(message));
        }
        eval::evaluate(self, series, limits)
    }

    /// Reads from `storage` and evaluates.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn run(&self, storage: &dyn Storage, limits: &Limits<'_>) -> Result<Answer, QueryError> {
        let mut series = Vec::with_capacity(self.selections.len());
        for selection in &self.selections {
            series.push(storage.select(selection).map_err(|error| QueryError::Storage(error.to_string()))?);
        }
        self.evaluate(&series, limits)
    }
}

struct Collector<'a> {
    times: Times,
    options: &'a Options,
    selections: Vec<Selection>,
    selection_of: Vec<usize>,
}

impl Collector<'_> {
    fn collect(&mut self, expr: &Expr, grid: Grid, function: Option<Func>, grouping: Option<&Grouping>) {
        match &expr.kind {
            ExprKind::Number { .. } | ExprKind::String(_) => {}
            ExprKind::Selector(selector) => self.select(selector, grid, 0, function, grouping),
            ExprKind::Range { selector, range_ms } => self.select(selector, grid, *range_ms, function, grouping),
            ExprKind::Subquery(subquery) => {
                let inner = subquery_grid(subquery, grid, &self.times, self.options);
                self.collect(&subquery.expr, inner, None, None);
            }
            ExprKind::Unary { expr, .. } => self.collect(expr, grid, None, grouping),
            ExprKind::Paren(inner) => self.collect(inner, grid, function, grouping),
            ExprKind::Binary(binary) => {
                self.collect(&binary.left, grid, None, None);
                self.collect(&binary.right, grid, None, None);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.collect(param, grid, None, None);
                }
                self.collect(&aggregate.expr, grid, None, Some(&aggregate.grouping));
            }
            ExprKind::Call { function, args } => {
                // Bucket and relabelling functions look at labels that the grouping does not name.
                let plain = args.len() == 1 && !matches!(function.id, Func::Absent | Func::AbsentOverTime);
                let grouping = grouping.filter(|_| plain);
                args.iter().for_each(|arg| self.collect(arg, grid, Some(function.id), grouping));
            }
        }
    }

    fn select(
        &mut self,
        selector: &Selector,
        grid: Grid,
        range_ms: i64,
        function: Option<Func>,
        grouping: Option<&Grouping>,
    ) {
        let (first, last) = match selector.at {
            Some(at) => (self.times.at(at), self.times.at(at)),
            None => (grid.start_ms, grid.end_ms()),
        };
        let back_ms = if range_ms > 0 { range_ms } else { self.options.lookback_ms };
        let selection = Selection {
            matchers: selector.matchers.clone(),
            start_ms: first.saturating_sub(selector.offset_ms).saturating_sub(back_ms).saturating_add(1),
            end_ms: last.saturating_sub(selector.offset_ms),
            hints: SelectHints {
                step_ms: if grid.len > 1 { grid.step_ms } else { 0 },
                range_ms,
                function,
                grouping: grouping.cloned(),
            },
        };
        let known = self.selections.iter().position(|known| *known == selection);
        let place = known.unwrap_or_else(|| {
            self.selections.push(selection);
            self.selections.len() - 1
        });
        if self.selection_of.len() <= selector.id {
            self.selection_of.resize(selector.id + 1, usize::MAX);
        }
        self.selection_of[selector.id] = place;
    }
}

#[cfg(test)]
mod tests;
