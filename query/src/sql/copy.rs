//! `COPY (SELECT …) TO 'file'`: an answer into a local file, for the command line.

use super::SqlError;
use crate::format::{Format, TextCells};
use datafusion::sql::parser::{CopyToSource, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use std::path::{Path, PathBuf};

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The query.
    pub query: String,
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// What becomes of text in CSV.
    pub cells: TextCells,
}

impl Export {
    /// Reads a `COPY` statement; `None`: it is another one, or none that can be read.
    ///
    /// The format is that of `STORED AS`, of `(FORMAT …)`, or of the file's name.
    pub fn parse(sql: &str) -> Result<Option<Self>, SqlError> {
        if !sql.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
            return Ok(None);
        }
        let (sql, mut named) = without_format(sql);
        let parser = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).build();
        let mut statements = parser.and_then(|mut p| p.parse_statements()).map_err(|e| {
            mistake(crate::message::plain(&e.strip_backtrace()), "COPY (SELECT …) TO 'file.csv' (FORMAT csv)")
        })?;
        let (Some(Statement::CopyTo(copy)), true) = (statements.pop_front(), statements.is_empty()) else {
            return Ok(None);
        };
        if !copy.partitioned_by.is_empty() {
            return Err(mistake("COPY writes one file".to_owned(), "leave PARTITIONED BY out"));
        }
        let mut cells = TextCells::AsTheyAre;
        for (key, value) in &copy.options {
            let value = value.to_string();
            let value = value.trim_matches('\'').to_ascii_lowercase();
            match key.to_ascii_lowercase().as_str() {
                "format" => named = Some(value),
                "spreadsheet" if value != "false" => cells = TextCells::Neutralised,
                "spreadsheet" => {}
                other => {
                    return Err(mistake(format!("COPY knows no option {other}"), "there are format and spreadsheet"));
                }
            }
        }
        if copy.target.contains("://") {
            let message = format!("COPY writes local files, not {}", copy.target);
            return Err(mistake(
                message,
                "write a file and upload it, or read the tables themselves: they are Delta Lake",
            ));
        }
        let path = PathBuf::from(&copy.target);
        let stored_as = copy.stored_as.map(|s| s.to_ascii_lowercase());
        let of_name = || Path::new(&copy.target).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let Some(name) = stored_as.or(named).or_else(of_name) else {
            return Err(mistake(
                format!("how is {} to be written?", copy.target),
                "STORED AS CSV, or a name as in 'file.csv'",
            ));
        };
        let format = name.parse().map_err(|e: crate::format::UnknownFormat| {
            mistake(e.to_string(), "STORED AS CSV, JSON, NDJSON, PARQUET, ARROW or XLSX")
        })?;
        let query = match copy.source {
            CopyToSource::Relation(table) => format!("SELECT * FROM {table}"),
            CopyToSource::Query(query) => query.to_string(),
        };
        Ok(Some(Self { query, path, format, cells }))
    }
}

fn mistake(message: String, hint: &str) -> SqlError {
    SqlError::Query { message, hint: Some(hint.to_owned()) }
}

/// Cuts off `[WITH] (FORMAT name)` at the end, which PostgreSQL and DuckDB have and DataFusion has not.
fn without_format(sql: &str) -> (&str, Option<String>) {
    let whole = sql.trim_end().trim_end_matches(';').trim_end();
    let cut = || {
        let (before, options) = whole.strip_suffix(')')?.rsplit_once('(')?;
        let mut words = options.split_whitespace();
        let is_format = words.next()?.eq_ignore_ascii_case("format");
        let name = words.next()?.trim_matches('\'').to_ascii_lowercase();
        let is_name = words.next().is_none() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        let before = before.trim_end();
        let before = match before.len().checked_sub(4).and_then(|at| before.get(at..)) {
            Some(with) if with.eq_ignore_ascii_case("with") => before[..before.len() - 4].trim_end(),
            _ => before,
        };
        (is_format && is_name && before.ends_with('\'')).then_some((before, Some(name)))
    };
    cut().unwrap_or((whole, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sql: &str) -> (String, String, Format, TextCells) {
        let export = Export::parse(sql).unwrap().unwrap();
        (export.query, export.path.display().to_string(), export.format, export.cells)
    }

    #[test]
    fn the_format_is_said_in_one_of_three_ways() {
        let as_is = TextCells::AsTheyAre;
        let expected = |path: &str, format| ("SELECT a FROM t".to_owned(), path.to_owned(), format, as_is);
        assert_eq!(parse("COPY (SELECT a FROM t) TO 'x.csv'"), expected("x.csv", Format::Csv));
        assert_eq!(parse("copy (select a from t) to 'x' stored as xlsx;").2, Format::Xlsx);
        assert_eq!(parse("COPY (SELECT a FROM t) TO 'x.bin' (FORMAT parquet)"), expected("x.bin", Format::Parquet));
        assert_eq!(parse("COPY (SELECT a FROM t) TO 'x' WITH (FORMAT 'ndjson');"), expected("x", Format::Ndjson));
        assert_eq!(parse("COPY t TO 'x.json'").0, "SELECT * FROM t");
        let safe = parse("COPY (SELECT a FROM t) TO 'x.csv' OPTIONS (spreadsheet 'true')");
        assert_eq!(safe.3, TextCells::Neutralised);
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_a_hint() {
        for (sql, expected) in [
            ("COPY (SELECT 1) TO 's3://bucket/x.csv'", "local files"),
            ("COPY (SELECT 1) TO 'x'", "how is x to be written?"),
            ("COPY (SELECT 1) TO 'x.pdf'", "unknown format `pdf`"),
            ("COPY (SELECT 1) TO 'x.csv' PARTITIONED BY (a)", "one file"),
            ("COPY (SELECT 1)", "Missing TO"),
        ] {
            let error = Export::parse(sql).unwrap_err();
            assert!(error.to_string().contains(expected) && error.hint().is_some(), "{sql}: {error}");
        }
        assert_eq!(Export::parse("SELECT 1").unwrap(), None);
        assert_eq!(Export::parse("SELECT copy FROM t").unwrap(), None);
    }
}
