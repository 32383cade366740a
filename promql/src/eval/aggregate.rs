//! Aggregations over series: groups are made once per query, cells are folded row by row.

mod folds;
mod values;

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::labels::{Labels, METRIC_NAME};
use crate::parse::ast::{Aggregate, AggregateOp, Grouping};
use crate::plan::Grid;

use super::Evaluator;
use super::rows::{Cells, Row};
use folds::{Count, Extreme, Fold, Ones, Spread, Total};

/// The groups that an aggregation makes of its rows.
pub struct Groups {
    /// Labels of each group, in order of first appearance.
    pub labels: Vec<Labels>,
    /// For each row the number of its group.
    pub of_row: Vec<usize>,
}

impl Groups {
    pub fn new(rows: &[Row], grouping: &Grouping) -> Groups {
        let mut number_of: HashMap<Labels, usize> = HashMap::new();
        let mut groups = Groups { labels: Vec::new(), of_row: Vec::with_capacity(rows.len()) };
        for row in rows {
            let labels = group_labels(&row.labels, grouping);
            let number = *number_of.entry(labels).or_insert_with_key(|labels| {
                groups.labels.push(labels.clone());
                groups.labels.len() - 1
            });
            groups.of_row.push(number);
        }
        groups
    }

    /// For each group whether its name goes away in the answer: when that of some row does.
    pub fn drop_names(&self, rows: &[Row]) -> Vec<bool> {
        let mut drops = vec![false; self.labels.len()];
        for (row, group) in rows.iter().zip(&self.of_row) {
            drops[*group] |= row.drop_name;
        }
        drops
    }

    /// For each group the numbers of its rows.
    pub fn rows(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.labels.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            rows[*group].push(row);
        }
        rows
    }
}

/// The labels of the group that a series with `labels` belongs to.
pub fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    let named = |name: &str| grouping.labels.iter().any(|label| label == name);
    if grouping.without {
        labels.filter(|name| name != METRIC_NAME && !named(name))
    } else if grouping.labels.is_empty() {
        Labels::empty()
    } else {
        labels.filter(named)
    }
}

impl Evaluator<'_> {
    pub fn aggregate(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>, QueryError> {
        match aggregate.op {
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
                return self.choose(aggregate, grid);
            }
            AggregateOp::Quantile => return self.quantile(aggregate, grid),
            AggregateOp::CountValues => return self.count_values(aggregate, grid),
            _ => {}
        }
        let rows = self.vector(&aggregate.expr, grid)?;
        let groups = Groups::new(&rows, &aggregate.grouping);
        let len = grid.len;
        match aggregate.op {
            AggregateOp::Sum => self.fold(aggregate, rows, &groups, || Total::new(len, false)),
            AggregateOp::Avg => self.fold(aggregate, rows, &groups, || Total::new(len, true)),
            AggregateOp::Min => self.fold(aggregate, rows, &groups, || Extreme::new(len, |value, best| value < best)),
            AggregateOp::Max => self.fold(aggregate, rows, &groups, || Extreme::new(len, |value, best| value > best)),
            AggregateOp::Stddev => self.fold(aggregate, rows, &groups, || Spread::new(len, f64::sqrt)),
            AggregateOp::Stdvar => self.fold(aggregate, rows, &groups, || Spread::new(len, |variance| variance)),
            AggregateOp::Group => self.fold(aggregate, rows, &groups, || Ones::new(len)),
            _ => self.fold(aggregate, rows, &groups, || Count::new(len)),
        }
    }

    fn fold<F: Fold>(
        &mut self,
        aggregate: &Aggregate,
        rows: Vec<Row>,
        groups: &Groups,
        new: impl Fn() -> F,
    ) -> Result<Vec<Row>, QueryError> {
        let span = aggregate.expr.span;
        let mut folds: Vec<F> = groups.labels.iter().map(|_| new()).collect();
        for (row, group) in rows.iter().zip(&groups.of_row) {
            self.check()?;
            let fold = &mut folds[*group];
            fold.floats(&row.cells.floats);
            if let Some(histograms) = &row.cells.histograms {
                let mut ignored = false;
                for (step, histogram) in histograms.iter().enumerate() {
                    if let Some(histogram) = histogram {
                        ignored |= !fold.histogram(step, histogram, row, span, &mut self.annotations);
                    }
                }
                if ignored {
                    self.annotations.ignored_in_aggregation(aggregate.op.as_str(), span);
                }
            }
        }
        let mut result = Vec::with_capacity(folds.len());
        let drops_name = groups.drop_names(&rows);
        for ((fold, labels), drop_name) in folds.into_iter().zip(&groups.labels).zip(drops_name) {
            let cells: Cells = fold.finish(span, &mut self.annotations);
            if !cells.is_all_absent() {
                result.push(Row { labels: labels.clone(), drop_name, cells });
            }
        }
        Ok(result)
    }
}
