//! Rows in exactly the columns that were announced: clients compare them, down to what may be null.

use crate::running::Counted;
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use std::sync::Arc;
use tidewatch_query::gate::QueryPermit;
use tidewatch_query::{SqlError, Streamed};
use tonic::Status;

/// The columns as they are announced and sent: any may be null, and none is in an encoding that only saves
/// memory here.
pub(super) fn announced(schema: &Schema) -> SchemaRef {
    let plain = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    };
    let fields = schema.fields().iter().map(|f| Field::new(f.name(), plain(f.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows of a query. Its turn ends with the last of them, or when the client goes away.
pub(super) fn rows(
    streamed: Streamed,
    schema: SchemaRef,
    counted: Counted,
    turn: QueryPermit,
) -> BoxStream<'static, Result<RecordBatch, Status>> {
    let next = |(mut batches, schema, mut counted, turn): (BoxStream<'static, _>, SchemaRef, Counted, _)| async move {
        let batch: Option<Result<RecordBatch, SqlError>> = batches.next().await;
        let batch = match batch {
            None => {
                counted.ended(None);
                return None;
            }
            Some(Ok(batch)) => in_columns(&batch, &schema).map_err(|e| Status::internal(e.to_string())),
            Some(Err(error)) => {
                counted.ended(Some(&error));
                Err(status(error))
            }
        };
        Some((batch, (batches, schema, counted, turn)))
    };
    stream::unfold((streamed.batches, schema, counted, turn), next).boxed()
}

fn in_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| match array.data_type() == field.data_type() {
        true => Ok(Arc::clone(array)),
        false => cast(array, field.data_type()),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// An error with its hint.
pub(super) fn status(error: SqlError) -> Status {
    let message = match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    };
    match error {
        SqlError::Query { .. } => Status::invalid_argument(message),
        SqlError::TooManyRows(_) | SqlError::Memory { .. } | SqlError::Busy(_) => Status::resource_exhausted(message),
        SqlError::Timeout(_) => Status::deadline_exceeded(message),
        SqlError::Snapshot(_) => Status::unavailable(message),
        SqlError::Execution(_) => Status::internal(message),
    }
}
