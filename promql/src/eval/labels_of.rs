//! `label_replace` and `label_join`.

use crate::error::QueryError;
use crate::labels::METRIC_NAME;
use crate::matcher::anchored;
use crate::parse::ast::{Expr, Text};
use crate::plan::Grid;

use super::rows::{Row, merge_rows};
use super::{Evaluator, Operand};

impl Evaluator<'_> {
    pub fn label_replace(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let target = label_name(self.text(&args[1])?, "destination label name in label_replace()")?;
        let (replacement, source) = (self.text(&args[2])?.text, self.text(&args[3])?.text);
        let pattern = self.text(&args[4])?.text;
        let regex = anchored(&pattern)
            .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        let mut rows = self.vector(&args[0], grid)?;
        for row in &mut rows {
            let value = row.labels.get(&source);
            let Some(captures) = regex.captures(value) else { continue };
            let mut text = String::new();
            captures.expand(&replacement, &mut text);
            relabel(row, &target, &text);
        }
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }

    pub fn label_join(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let separator = self.text(&args[2])?.text;
        let mut sources = Vec::with_capacity(args.len());
        for arg in &args[3..] {
            sources.push(label_name(self.text(arg)?, "source label name in label_join()")?);
        }
        let target = label_name(self.text(&args[1])?, "destination label name in label_join()")?;
        let mut rows = self.vector(&args[0], grid)?;
        for row in &mut rows {
            let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
            let text = values.join(&separator);
            relabel(row, &target, &text);
        }
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }
}

fn relabel(row: &mut Row, name: &str, value: &str) {
    row.labels = row.labels.with(name, value);
    if name == METRIC_NAME {
        row.drop_name = false;
    }
}

/// A label name may be any text that is not empty.
fn label_name(text: Text, what: &str) -> Result<String, QueryError> {
    let shown = match text.broken {
        Some(broken) => broken,
        None if text.text.is_empty() => String::new(),
        None => return Ok(text.text),
    };
    Err(QueryError::Execution(format!("invalid {what}: {shown}")))
}
