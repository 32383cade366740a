//! Thresholds that PromQL cannot express: one per label match, and one more at which an alert resolves.

use std::collections::HashMap;

use tidewatch_promql::parse::ast::{BinaryOp, Expr, ExprKind, ValueType};
use tidewatch_promql::{
    Grammar, Labels, Limits, MatchOp, Matcher, Options, Query, Selection, Series, Storage, StorageError, Value,
};

/// On which side of the threshold the condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// `value > threshold`
    Above,
    /// `value >= threshold`
    AtLeast,
    /// `value < threshold`
    Below,
    /// `value <= threshold`
    AtMost,
}

impl Crossing {
    /// Reads the name used in rule files.
    pub fn named(name: &str) -> Option<Crossing> {
        Some(match name {
            "above" => Crossing::Above,
            "at_least" => Crossing::AtLeast,
            "below" => Crossing::Below,
            "at_most" => Crossing::AtMost,
            _ => return None,
        })
    }

    /// The operator.
    pub fn as_str(self) -> &'static str {
        match self {
            Crossing::Above => ">",
            Crossing::AtLeast => ">=",
            Crossing::Below => "<",
            Crossing::AtMost => "<=",
        }
    }

    /// Whether the condition holds.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Crossing::Above => value > threshold,
            Crossing::AtLeast => value >= threshold,
            Crossing::Below => value < threshold,
            Crossing::AtMost => value <= threshold,
        }
    }

    /// Whether higher values are the bad ones.
    pub fn is_upward(self) -> bool {
        matches!(self, Crossing::Above | Crossing::AtLeast)
    }
}

/// What a value says about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Holds,
    /// It does not, but the value has not come back far enough to resolve an alert that fires.
    Between,
    /// It does not.
    Clear,
}

/// The threshold of one alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Beyond this it fires.
    pub fire: f64,
    /// At this or on the good side of it, it resolves; `None`: as soon as the condition no longer holds.
    pub resolve: Option<f64>,
}

/// Thresholds by labels.
#[derive(Debug, Clone)]
pub struct Thresholds {
    default: Threshold,
    table: Vec<(Vec<Matcher>, Threshold)>,
    /// Places in `table` by a label and value that the entry's first equality asks for.
    by_label: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Places in `table` of entries without an equality.
    others: Vec<usize>,
}

impl Thresholds {
    /// The default and a table whose first match counts.
    pub fn new(default: Threshold, table: Vec<(Vec<Matcher>, Threshold)>) -> Thresholds {
        let mut by_label: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        let mut others = Vec::new();
        for (place, (matchers, _)) in table.iter().enumerate() {
            match matchers.iter().find(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty()) {
                Some(equal) => {
                    let values = by_label.entry(equal.name.clone()).or_default();
                    values.entry(equal.value.clone()).or_default().push(place);
                }
                None => others.push(place),
            }
        }
        Thresholds { default, table, by_label, others }
    }

    /// The threshold for `labels`: of the first entry that matches, or the default.
    pub fn of(&self, labels: &Labels) -> Threshold {
        let indexed = self.by_label.iter().filter_map(|(name, values)| values.get(labels.get(name))).flatten();
        let fits = |place: &usize| self.table[*place].0.iter().all(|matcher| matcher.matches_labels(labels));
        let first = indexed.chain(&self.others).copied().filter(fits).min();
        first.map_or(self.default, |place| self.table[place].1)
    }

    /// The threshold of labels that no entry matches.
    pub fn fallback(&self) -> Threshold {
        self.default
    }

    /// Number of entries of the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the default is all there is.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

/// A value, a side and thresholds.
#[derive(Debug, Clone)]
pub struct Level {
    /// The value that is compared.
    pub query: Query,
    /// On which side it fires.
    pub crossing: Crossing,
    /// With what it is compared.
    pub thresholds: Thresholds,
}

impl Level {
    /// What `value` says about the alert with the sample's `labels`.
    pub fn verdict(&self, labels: &Labels, value: f64) -> (Verdict, Threshold) {
        let threshold = self.thresholds.of(labels);
        (verdict(self.crossing, value, threshold), threshold)
    }
}

/// What `value` says against one threshold.
pub fn verdict(crossing: Crossing, value: f64, threshold: Threshold) -> Verdict {
    if crossing.holds(value, threshold.fire) {
        return Verdict::Holds;
    }
    let is_between =
        threshold.resolve.is_some_and(|resolve| if crossing.is_upward() { value > resolve } else { value < resolve });
    if is_between { Verdict::Between } else { Verdict::Clear }
}

/// Why a resolving threshold does not fit; it must lie on the good side of the firing one.
pub fn check_resolve(crossing: Crossing, threshold: Threshold) -> Result<(), String> {
    let Some(resolve) = threshold.resolve else { return Ok(()) };
    let fits = if crossing.is_upward() { resolve <= threshold.fire } else { resolve >= threshold.fire };
    if fits {
        return Ok(());
    }
    let (side, fire) = (if crossing.is_upward() { "below" } else { "above" }, threshold.fire);
    Err(format!(
        "an alert that fires at {} {fire} must resolve at or {side} {fire}, found {resolve}",
        crossing.as_str()
    ))
}

/// Takes `value > constant` apart. `None` when the expression is no such comparison.
pub fn split(query: &Query, grammar: Grammar) -> Option<(Query, Crossing, f64)> {
    let ExprKind::Binary(binary) = &query.expr().unwrapped().kind else { return None };
    let crossing = match binary.op {
        BinaryOp::Gt => Crossing::Above,
        BinaryOp::Ge => Crossing::AtLeast,
        BinaryOp::Lt => Crossing::Below,
        BinaryOp::Le => Crossing::AtMost,
        _ => return None,
    };
    let text = |expr: &Expr| query.text().get(expr.span.start..expr.span.end).map(str::to_string);
    if binary.return_bool || binary.left.value_type() != ValueType::Vector {
        return None;
    }
    let constant = constant(&text(&binary.right)?, grammar)?;
    let left = Query::parse(&text(&binary.left)?, grammar).ok()?;
    Some((left, crossing, constant))
}

/// Whether the expression gives only those samples that meet a comparison at its top.
pub fn is_comparison(query: &Query) -> bool {
    match &query.expr().unwrapped().kind {
        ExprKind::Binary(binary) => binary.op.is_comparison() && !binary.return_bool,
        _ => false,
    }
}

/// The value of an expression that reads neither samples nor the time.
fn constant(text: &str, grammar: Grammar) -> Option<f64> {
    struct Nothing;
    impl Storage for Nothing {
        fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
            Ok(Vec::new())
        }
    }
    let query = Query::parse(text, grammar).ok()?;
    let mut is_constant = query.expr().value_type() == ValueType::Scalar;
    query.expr().walk(&mut |expr| {
        is_constant &= !matches!(expr.kind, ExprKind::Call { .. } | ExprKind::Selector(_) | ExprKind::Range { .. });
    });
    if !is_constant {
        return None;
    }
    match query.instant(0, &Options::default()).run(&Nothing, &Limits::none()).ok()?.value {
        Value::Scalar { value, .. } => Some(value),
        _ => None,
    }
}
