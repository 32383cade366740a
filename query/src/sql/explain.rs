//! `EXPLAIN`: before the plan, which files of which width a query reads.

use super::{Answer, SqlEngine, SqlError};
use crate::snapshot::Snapshot;
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::DataFrame;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use tidewatch_storage::{DataFile, FilesExec};

/// What stands in the first column of an explanation, beside `logical_plan` and `physical_plan`.
const READS: &str = "reads";

/// The plan that an `EXPLAIN` or `EXPLAIN ANALYZE` is about.
fn explained(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Explain(explain) => Some(&explain.plan),
        LogicalPlan::Analyze(analyze) => Some(&analyze.input),
        _ => None,
    }
}

impl SqlEngine {
    /// The answer of an explanation; `None`: the query is none.
    pub(super) async fn explanation(&self, frame: &DataFrame, snapshot: &Snapshot) -> Result<Option<Answer>, SqlError> {
        let Some(inner) = explained(frame.logical_plan()) else { return Ok(None) };
        let (state, _) = frame.clone().into_parts();
        let planned = DataFrame::new(state, inner.clone()).create_physical_plan().await;
        let planned = planned.map_err(|e| self.explain(e, &[]))?;
        let reads = reads(&planned, snapshot)?;
        let answer = self.collect(frame.clone(), self.limits.rows_max).await?;
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let first = RecordBatch::try_new(Arc::clone(&answer.schema), vec![text(READS), text(&reads)]);
        let first = first.map_err(|e| SqlError::Execution(e.to_string()))?;
        let batches = std::iter::once(first).chain(answer.batches).collect();
        Ok(Some(Answer { schema: answer.schema, batches }))
    }
}

/// Files of one width of one table.
#[derive(Debug, Default)]
struct Touched {
    paths: BTreeSet<String>,
    bytes: u64,
    rows: u64,
}

/// A line per table and width: what is read of what there is.
fn reads(plan: &Arc<dyn ExecutionPlan>, snapshot: &Snapshot) -> Result<String, SqlError> {
    let mut known: HashMap<String, (&str, DataFile)> = HashMap::new();
    let mut all: BTreeMap<(&str, Option<String>), usize> = BTreeMap::new();
    for (name, table) in &snapshot.tables {
        for file in table.files()? {
            *all.entry((name, file.tier.clone())).or_default() += 1;
            known.insert(file_name(&file.path).to_owned(), (name, file));
        }
    }
    let mut touched: BTreeMap<(&str, Option<String>), Touched> = BTreeMap::new();
    let walked = plan.apply(|node| {
        for path in node.downcast_ref::<FilesExec>().iter().flat_map(|files| files.paths()) {
            let Some((table, file)) = known.get(path.filename().unwrap_or_default()) else { continue };
            let of_tier = touched.entry((table, file.tier.clone())).or_default();
            // A file that is scanned twice is one file.
            if of_tier.paths.insert(file.path.clone()) {
                of_tier.bytes += file.bytes;
                of_tier.rows += file.rows;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|e| SqlError::Execution(e.to_string()))?;
    let mut text = String::new();
    for (name, table) in &snapshot.tables {
        let of_table: Vec<_> = touched.iter().filter(|((of, _), _)| of == name).collect();
        for ((_, tier), files) in &of_table {
            let tier_text = tier.as_deref().map(|t| format!(" in windows of {t}")).unwrap_or_default();
            let there = all.get(&(name.as_str(), tier.clone())).copied().unwrap_or(0);
            let Touched { paths, bytes, rows } = files;
            let _ = writeln!(
                text,
                "{name}{tier_text}: {} of {there} files, {} bytes, {} rows",
                paths.len(),
                grouped(*bytes),
                grouped(*rows)
            );
        }
        let live: usize = table.live.iter().map(RecordBatch::num_rows).sum();
        if of_table.is_empty() {
            let _ = writeln!(text, "{name}: no files");
        }
        if live > 0 {
            let _ = writeln!(text, "{name}: {} rows in memory, not committed yet", grouped(live as u64));
        }
    }
    if text.is_empty() {
        text.push_str("no table\n");
    }
    Ok(text.trim_end().to_owned())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `12,345,678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 999, 1000, 12_345_678].map(super::grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345,678"]);
    }
}
