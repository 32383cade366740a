//! What planning a view has found out, for the next who reads it. A plan stays right as long as the tables that it
//! reads have the columns that they had: only their rows are put in its place. Planning a view that stands on ten
//! others takes longer than answering it.

use crate::table::RollupTable;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan, TableSource};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The plan of a view, those that it reads among it, its types settled.
#[derive(Debug)]
pub(super) struct Template {
    plan: LogicalPlan,
    /// The tables that it reads, with the columns that they had.
    tables: BTreeMap<String, SchemaRef>,
}

impl Template {
    /// Of a plan that reads nothing but tables of windows.
    pub fn of(plan: &LogicalPlan) -> Result<Option<Self>> {
        let (mut tables, mut is_ours) = (BTreeMap::new(), true);
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let provider = source_as_provider(&scan.source)?;
                is_ours &= provider.downcast_ref::<RollupTable>().is_some();
                tables.insert(scan.table_name.table().to_owned(), provider.schema());
            }
            Ok(if is_ours { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        })?;
        Ok(is_ours.then(|| Self { plan: plan.clone(), tables }))
    }

    /// The plan over the tables of a session; `None`: they have other columns.
    pub async fn over(&self, session: &dyn SchemaProvider) -> Result<Option<LogicalPlan>> {
        let mut sources: HashMap<&str, Arc<dyn TableSource>> = HashMap::new();
        for (name, schema) in &self.tables {
            match session.table(name).await? {
                Some(table) if table.downcast_ref::<RollupTable>().is_some() && table.schema() == *schema => {
                    sources.insert(name, provider_as_source(table));
                }
                _ => return Ok(None),
            }
        }
        let plan = self.plan.clone().transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
            let source = sources.get(scan.table_name.table()).map_or(Arc::clone(&scan.source), Arc::clone);
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
        });
        plan.map(|plan| Some(plan.data))
    }
}
