//! `quantile` and `count_values`: aggregations that look at all values of a step together.

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::labels::Labels;
use crate::number::plain;
use crate::parse::ast::{Aggregate, Grouping};
use crate::plan::Grid;

use super::super::Evaluator;
use super::super::elements::quantile_of;
use super::super::rows::{ABSENT, Cell, Cells, Row, Scalars, is_absent};
use super::{Groups, group_labels};

impl Evaluator<'_> {
    pub fn quantile(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>, QueryError> {
        let Some(param) = &aggregate.param else { return Ok(Vec::new()) };
        let q = self.scalar(param, grid)?;
        let rows = self.vector(&aggregate.expr, grid)?;
        if rows.iter().any(|row| row.cells.histograms.is_some()) {
            self.annotations.ignored_in_aggregation(aggregate.op.as_str(), aggregate.expr.span);
        }
        for step in 0..grid.len {
            if !(0.0..=1.0).contains(&q.at(step)) {
                self.annotations.invalid_quantile(q.at(step), param.unwrapped().span);
            }
        }
        let groups = Groups::new(&rows, &aggregate.grouping);
        let mut result = Vec::with_capacity(groups.labels.len());
        let drops_name = groups.drop_names(&rows);
        for ((members, labels), drop_name) in groups.rows().iter().zip(&groups.labels).zip(drops_name) {
            self.check()?;
            let cells = quantiles(members.iter().map(|member| &rows[*member]).collect(), &q, grid.len);
            if !cells.is_all_absent() {
                result.push(Row { labels: labels.clone(), drop_name, cells });
            }
        }
        Ok(result)
    }

    pub fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>, QueryError> {
        let Some(param) = &aggregate.param else { return Ok(Vec::new()) };
        let label = self.text(param)?;
        if label.broken.is_some() || label.text.is_empty() {
            let shown = label.broken.unwrap_or_else(|| "\"\"".to_string());
            return Err(QueryError::Execution(format!("invalid label name {shown}")));
        }
        let rows = self.vector(&aggregate.expr, grid)?;
        let mut counts = ValueCounts { label: &label.text, grid, place_of: HashMap::new(), rows: Vec::new() };
        for row in &rows {
            self.check()?;
            counts.add(row, &aggregate.grouping);
            // Each distinct value is a row of its own.
            if counts.rows.len().saturating_mul(grid.len) > self.limits.samples_max {
                return Err(QueryError::TooManySamples);
            }
        }
        Ok(counts.rows)
    }
}

fn quantiles(rows: Vec<&Row>, q: &Scalars, len: usize) -> Cells {
    let mut values = Vec::with_capacity(rows.len());
    let mut cells = Cells::absent(len);
    for step in 0..len {
        values.clear();
        values.extend(rows.iter().map(|row| row.cells.floats[step]).filter(|value| !is_absent(*value)));
        if !values.is_empty() {
            cells.floats[step] = quantile_of(q.at(step), &mut values);
        }
    }
    cells
}

struct ValueCounts<'a> {
    label: &'a str,
    grid: Grid,
    place_of: HashMap<Labels, usize>,
    rows: Vec<Row>,
}

impl ValueCounts<'_> {
    fn add(&mut self, row: &Row, grouping: &Grouping) {
        // Neighbouring steps mostly have the same value.
        let mut last: Option<(u64, usize)> = None;
        for step in 0..self.grid.len {
            let place = match row.cells.at(step) {
                Cell::Absent => continue,
                Cell::Float(value) => match last {
                    Some((bits, place)) if bits == value.to_bits() => place,
                    _ => {
                        let place = self.place(row, grouping, &plain(value));
                        last = Some((value.to_bits(), place));
                        place
                    }
                },
                Cell::Histogram(histogram) => self.place(row, grouping, &histogram.to_string()),
            };
            let count = &mut self.rows[place].cells.floats[step];
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }

    fn place(&mut self, row: &Row, grouping: &Grouping, value: &str) -> usize {
        let mut grouping = grouping.clone();
        if !grouping.without {
            grouping.labels.push(self.label.to_string());
        }
        let labels = group_labels(&row.labels.with(self.label, value), &grouping);
        *self.place_of.entry(labels).or_insert_with_key(|labels| {
            let cells = Cells { floats: vec![ABSENT; self.grid.len], histograms: None };
            self.rows.push(Row { labels: labels.clone(), drop_name: row.drop_name, cells });
            self.rows.len() - 1
        })
    }
}
