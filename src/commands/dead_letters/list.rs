//! `tidewatch dead-letters list`.

use crate::cli::{ListFormat, ListLetters};
use crate::commands::sql::open;
use crate::packs;
use anyhow::Result;
use std::io::Write;
use std::process::ExitCode;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::letters::Letters;
use tidewatch_query::Answer;
use tidewatch_query::format::Format;

pub async fn list(options: ListLetters) -> Result<ExitCode> {
    let (settings, store, _) = open(options.tables.config.as_deref(), options.tables.data.as_deref())?;
    let catalog = packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.catalog;
    let filter = options.which.filter(&catalog, SystemClock::new().now_us())?;
    let letters = Letters::open(&store).await?;
    let format = match options.format {
        ListFormat::Table => Format::Table,
        ListFormat::Csv => Format::Csv,
        ListFormat::Json => Format::Json,
    };
    let page = match (options.summary, format) {
        (true, _) => letters.summary(&filter).await?,
        (false, Format::Table) => letters.newest_in_short(&filter, options.limit).await?,
        (false, _) => letters.newest(&filter, options.limit).await?,
    };
    let answer = Answer { schema: page.schema, batches: page.batches };
    let shown = answer.row_count();
    std::io::stdout().write_all(&format.write(&answer)?)?;
    if !options.summary && shown == options.limit {
        let all = letters.count(&filter).await?;
        if all > shown as u64 {
            eprintln!("the newest {shown} of {all}; more with --limit N, all in short with --summary");
        }
    }
    Ok(ExitCode::SUCCESS)
}
