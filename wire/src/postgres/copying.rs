//! Answers of `COPY … TO STDOUT`, which DuckDB and ADBC read their rows by.

use super::rows::{encode_row, fields, in_types};
use crate::statement::CopyFormat;
use bytes::Bytes;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{CopyCsvOptions, CopyEncoder, CopyResponse, CopyTextOptions};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::copy::CopyData;
use futures::stream;
use std::sync::Arc;
use tidewatch_query::Answer;

/// A copy in binary without rows: its signature, no flags, no more header, the end.
const BINARY_NOTHING: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff";

pub(super) fn copy(answer: Answer, format: CopyFormat) -> PgWireResult<CopyResponse> {
    let formats = if format == CopyFormat::Binary { Format::UnifiedBinary } else { Format::UnifiedText };
    let columns = Arc::new(fields(&answer.schema, &formats, None)?);
    let count = columns.len();
    let mut encoder = match format {
        CopyFormat::Binary => CopyEncoder::new_binary(Arc::clone(&columns)),
        CopyFormat::Text => CopyEncoder::new_text(Arc::clone(&columns), CopyTextOptions::default()),
        CopyFormat::Csv(_) => CopyEncoder::new_csv(Arc::clone(&columns), CopyCsvOptions::default()),
    };
    // The library writes the header with the first row, and none where there is none.
    if format == CopyFormat::Binary && answer.row_count() == 0 {
        let all = stream::iter([Ok(CopyData::new(Bytes::from_static(BINARY_NOTHING)))]);
        let mut nothing = CopyResponse::new(0, count, all);
        nothing.format = 1;
        return Ok(nothing);
    }
    let first = match format {
        CopyFormat::Csv(true) => {
            let names: Vec<&str> = columns.iter().map(|f| f.name()).collect();
            Some(Bytes::from(format!("{}\n", names.join(","))))
        }
        _ => None,
    };
    let mut rows: Vec<PgWireResult<CopyData>> = first.map(|bytes| Ok(CopyData::new(bytes))).into_iter().collect();
    for batch in &answer.batches {
        let arrays = in_types(batch, &answer.schema)?;
        rows.extend((0..batch.num_rows()).map(|row| encode_row(&mut encoder, &arrays, row, &answer.schema, &columns)));
    }
    let code = i8::from(format == CopyFormat::Binary);
    Ok(CopyResponse::new(code, count, stream::iter(rows)))
}
