//! Reading some rows of a table, a few at a time.

use crate::{StorageError, Table};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::cast;
use datafusion::prelude::{Expr, SessionConfig, SessionContext, ident};
use futures::StreamExt;
use futures::stream::BoxStream;

/// Files read at the same time.
const PARALLEL_FILES: usize = 4;

impl Table {
    /// Rows of the loaded version that fulfil a condition, in batches of at most `batch_rows`, in no order.
    pub async fn scan(
        &self,
        condition: Expr,
        columns: &[&str],
        batch_rows: usize,
    ) -> Result<BoxStream<'static, Result<RecordBatch, StorageError>>, StorageError> {
        let name = self.name().to_owned();
        let fail = move |source| StorageError::Scan { table: name.clone(), source: Box::new(source) };
        let config = SessionConfig::new().with_batch_size(batch_rows).with_target_partitions(PARALLEL_FILES);
        let provider = self.provider()?;
        // Texts as texts, also those that queries get as dictionaries.
        let schema = self.schema();
        let plain = |name: &&str| match schema.field_with_name(name) {
            Ok(field) => cast(ident(*name), field.data_type().clone()).alias(*name),
            Err(_) => ident(*name),
        };
        let columns: Vec<Expr> = columns.iter().map(plain).collect();
        let rows = SessionContext::new_with_config(config)
            .read_table(provider)
            .and_then(|table| table.filter(condition)?.select(columns));
        let stream = rows.map_err(&fail)?.execute_stream().await.map_err(&fail)?;
        Ok(stream.map(move |batch| batch.map_err(&fail)).boxed())
    }
}
