//! Errors as Postgres' clients see them: SQLSTATE, message, hint, position.

use crate::statement::Refused;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use tidewatch_query::SqlError;

/// SQLSTATEs that more than one place uses.
pub(super) mod state {
    pub const CANCELLED: &str = "57014";
    pub const INVALID_PARAMETER: &str = "22023";
    pub const LIMIT: &str = "54000";
    pub const PROTOCOL: &str = "08P01";
    pub const TOO_MANY: &str = "53300";
    pub const UNDEFINED_OBJECT: &str = "42704";
}

/// An error of a statement.
pub(super) fn error(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into())))
}

/// An error that ends the connection.
pub(super) fn fatal(code: &str, message: impl Into<String>) -> ErrorInfo {
    ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.into())
}

pub(super) fn of_text(refused: Refused) -> PgWireError {
    let (code, hint) = match &refused {
        Refused::Syntax { .. } => ("42601", None),
        Refused::Writes(_) => ("25006", Some("what is counted comes from events; packs define rollups and views")),
        Refused::Unsupported(_) => ("0A000", None),
    };
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), refused.to_string());
    info.hint = hint.map(str::to_owned);
    if let Refused::Syntax { position: Some(position), .. } = refused {
        info.position = Some(position.to_string());
    }
    PgWireError::UserError(Box::new(info))
}

pub(super) fn of_query(error: SqlError) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), code_of(&error).to_owned(), error.to_string());
    info.hint = error.hint().map(str::to_owned);
    PgWireError::UserError(Box::new(info))
}

/// DataFusion has no codes: its words tell.
fn code_of(error: &SqlError) -> &'static str {
    match error {
        SqlError::Query { message, .. } => of_mistake(message),
        SqlError::TooManyRows(_) | SqlError::Memory { .. } => state::LIMIT,
        SqlError::Timeout(_) => state::CANCELLED,
        SqlError::Busy(_) => state::TOO_MANY,
        SqlError::Snapshot(_) => "58030",
        SqlError::Execution(message) => of_execution(message),
    }
}

fn of_mistake(message: &str) -> &'static str {
    let lower = message.to_ascii_lowercase();
    let has = |words: &str| lower.contains(words);
    if has("sql.query_bytes_max") {
        state::LIMIT
    } else if has("no field named") || has("column") && has("not found") {
        "42703"
    } else if has("table") && has("not found") || has("failed to resolve schema") || has("failed to resolve catalog") {
        "42P01"
    } else if has("invalid function") || has("no function matches") {
        "42883"
    } else if has("ambiguous reference") {
        "42702"
    } else if has("must appear in the group by") || has("could not be resolved from available columns") {
        "42803"
    } else if has("unrecognized configuration parameter") {
        state::UNDEFINED_OBJECT
    } else if has("parsererror") || has("sql parser error") || has("expected:") {
        "42601"
    } else {
        "42000"
    }
}

fn of_execution(message: &str) -> &'static str {
    let lower = message.to_ascii_lowercase();
    let has = |words: &str| lower.contains(words);
    if has("divide by zero") || has("division by zero") {
        "22012"
    } else if has("overflow") {
        "22003"
    } else if has("cannot cast") || has("error parsing") || has("parser error") {
        "22P02"
    } else if has("unrecognized configuration parameter") {
        state::UNDEFINED_OBJECT
    } else {
        "XX000"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewatch_query::gate::Refused;

    #[test]
    fn codes_tell_mistakes_apart() {
        let cases = [
            ("table 'nowhere' not found", "42P01"),
            ("No field named requestz. Valid fields are api_calls.requests.", "42703"),
            ("Invalid function 'nothing'.\nDid you mean 'now'?", "42883"),
            ("the query has 6000 bytes, the limit is 5000 (sql.query_bytes_max)", "54000"),
            ("something else", "42000"),
        ];
        for (message, code) in cases {
            assert_eq!(code_of(&SqlError::Query { message: message.to_owned(), hint: None }), code, "{message}");
        }
        assert_eq!(code_of(&SqlError::Execution("Divide by zero error".to_owned())), "22012");
        assert_eq!(code_of(&SqlError::TooManyRows(1)), "54000");
        assert_eq!(code_of(&SqlError::Busy(Refused::Client)), "53300");
    }
}
