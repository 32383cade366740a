//! From the text of a client to things to do: queries, settings, transactions; whatever writes is refused.
//!
//! Statements over Postgres' own catalogue are rewritten by `datafusion-pg-catalog` until DataFusion plans
//! them. Some of its rules give another answer for what they cannot do (a correlated subquery becomes null):
//! queries over our tables get only those that keep their meaning.

mod rewrite;

pub(crate) use rewrite::of_nothing;

use crate::catalogue::ADDED_TABLES;
use datafusion::sql::sqlparser::ast::{
    CloseCursor, CopyLegacyOption, CopyOption, CopySource, CopyTarget, DataType as SqlType, Declare, Expr,
    FetchDirection, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Reset, Set, Statement, Value,
    ValueWithSpan, VisitMut, VisitorMut, visit_expressions, visit_relations,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::PG_CATALOG_TABLES;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::datafusion_pg_catalog::sql::rules::{
    AliasDuplicatedProjectionRewrite, CurrentUserVariableToSessionUserFunctionCall, FixVersionColumnName,
    RewriteArrayAnyAllOperation, RewritePgCatalogOperator, SqlStatementRewriteRule, StripCallableQualifier,
    StripCollate,
};
use rewrite::Rewrite;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use thiserror::Error;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Answer it.
    Query(Box<Statement>),
    /// Answer it as a stream of `COPY … TO STDOUT`.
    Copy(Box<Statement>, CopyFormat),
    /// `SET`: name in lower case, value.
    Set(String, String),
    /// Set without meaning here, such as transaction modes.
    SetNothing,
    /// `SHOW`, by name in lower case.
    Show(String),
    /// `RESET`; all without a name.
    Reset(Option<String>),
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// What changes nothing here: its tag.
    Nothing(&'static str),
    /// `DISCARD ALL`.
    DiscardAll,
    /// `DEALLOCATE`; all without a name.
    Deallocate(Option<String>),
    /// `DECLARE … CURSOR FOR`.
    Declare(String, Box<Statement>),
    /// `FETCH` from a cursor, at most so many rows.
    Fetch(String, usize),
    /// `CLOSE`; all without a name.
    Close(Option<String>),
}

/// How `COPY` writes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    /// Tabs and backslashes.
    Text,
    /// With or without a header.
    Csv(bool),
    /// Postgres' binary format.
    Binary,
}

/// Why a text is nothing to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no SQL.
    #[error("{message}")]
    Syntax {
        /// What was expected and found.
        message: String,
        /// Where, in characters from 1.
        position: Option<usize>,
    },
    /// It writes.
    #[error("cannot execute {0} in a read-only transaction")]
    Writes(String),
    /// It is SQL, but none of ours.
    #[error("{0} is not supported")]
    Unsupported(String),
}

/// Reads texts of clients.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    library: PostgresCompatibilityParser,
}

impl Reader {
    /// The statements of a text.
    pub fn read(&self, sql: &str) -> Result<Vec<Action>, Refused> {
        let statements = match Parser::parse_sql(&PostgreSqlDialect {}, sql) {
            Ok(statements) => statements,
            // The library knows some spellings more.
            Err(error) => self.library.parse(sql).map_err(|_| syntax(sql, &error))?,
        };
        statements.into_iter().map(|s| self.action(s)).collect()
    }

    fn action(&self, statement: Statement) -> Result<Action, Refused> {
        Ok(match statement {
            Statement::Query(_) => Action::Query(Box::new(self.query(statement)?)),
            Statement::Explain { .. } => Action::Query(Box::new(statement)),
            Statement::Set(set) => set_action(set)?,
            Statement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(|w| w.value.to_ascii_lowercase()).collect();
                Action::Show(match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    ["time", "zone"] => "timezone".to_owned(),
                    ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
                    _ => words.join("."),
                })
            }
            Statement::Reset(reset) => match reset.reset {
                Reset::ALL => Action::Reset(None),
                Reset::ConfigurationParameter(name) => Action::Reset(Some(name.to_string().to_ascii_lowercase())),
            },
            Statement::StartTransaction { .. } => Action::Begin,
            Statement::Commit { .. } => Action::Commit,
            Statement::Rollback { savepoint: None, .. } => Action::Rollback,
            Statement::Rollback { savepoint: Some(_), .. } => Action::Nothing("ROLLBACK"),
            Statement::Savepoint { .. } => Action::Nothing("SAVEPOINT"),
            Statement::ReleaseSavepoint { .. } => Action::Nothing("RELEASE"),
            Statement::LISTEN { .. } => Action::Nothing("LISTEN"),
            Statement::UNLISTEN { .. } => Action::Nothing("UNLISTEN"),
            Statement::Discard { .. } => Action::DiscardAll,
            Statement::Deallocate { name, .. } => Action::Deallocate(unless_all(name.value)),
            Statement::Close { cursor: CloseCursor::All } => Action::Close(None),
            Statement::Close { cursor: CloseCursor::Specific { name } } => Action::Close(Some(name.value)),
            Statement::Declare { stmts } => self.declare(stmts)?,
            Statement::Fetch { name, direction, .. } => Action::Fetch(name.value, rows_of(&direction)?),
            Statement::Copy { source, to: true, target: CopyTarget::Stdout, options, legacy_options, .. } => {
                self.copy(source, &options, &legacy_options)?
            }
            other => return Err(refused(&other)),
        })
    }

    fn declare(&self, mut declared: Vec<Declare>) -> Result<Action, Refused> {
        let not_a_cursor = || Refused::Unsupported("DECLARE of anything but one cursor for a query".to_owned());
        let Some(declare) = declared.pop().filter(|_| declared.is_empty()) else { return Err(not_a_cursor()) };
        match (declare.names.into_iter().next(), declare.for_query) {
            (Some(name), Some(query)) => {
                Ok(Action::Declare(name.value, Box::new(self.query(Statement::Query(query))?)))
            }
            _ => Err(not_a_cursor()),
        }
    }

    fn copy(&self, source: CopySource, options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<Action, Refused> {
        let query = match source {
            CopySource::Query(query) => Statement::Query(query),
            CopySource::Table { table_name, columns } => {
                let columns = match columns.is_empty() {
                    true => "*".to_owned(),
                    false => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                };
                let sql = format!("SELECT {columns} FROM {table_name}");
                let read = Parser::parse_sql(&PostgreSqlDialect {}, &sql).map_err(|e| syntax(&sql, &e))?;
                read.into_iter().next().ok_or_else(|| Refused::Unsupported("COPY of nothing".to_owned()))?
            }
        };
        let mut format = CopyFormat::Text;
        for option in options {
            format = match option {
                CopyOption::Format(name) => match name.value.to_ascii_lowercase().as_str() {
                    "binary" => CopyFormat::Binary,
                    "csv" => CopyFormat::Csv(matches!(format, CopyFormat::Csv(true))),
                    "text" => CopyFormat::Text,
                    other => return Err(Refused::Unsupported(format!("COPY format {other}"))),
                },
                CopyOption::Header(header) => CopyFormat::Csv(*header),
                CopyOption::Encoding(_) => format,
                other => return Err(Refused::Unsupported(format!("COPY option {other}"))),
            };
        }
        for option in legacy {
            format = match option {
                CopyLegacyOption::Binary => CopyFormat::Binary,
                CopyLegacyOption::Csv(_) => CopyFormat::Csv(option.to_string().to_ascii_uppercase().contains("HEADER")),
                other => return Err(Refused::Unsupported(format!("COPY option {other}"))),
            };
        }
        Ok(Action::Copy(Box::new(self.query(query)?), format))
    }

    /// A query as DataFusion plans it.
    fn query(&self, statement: Statement) -> Result<Statement, Refused> {
        let writes = |query: &Query| query.to_string();
        if let Statement::Query(query) = &statement
            && is_writing(query)
        {
            return Err(Refused::Writes(writes(query).split(' ').next().unwrap_or("it").to_owned()));
        }
        if !asks_the_catalogue(&statement) {
            let rules: [&dyn SqlStatementRewriteRule; 7] = [
                &AliasDuplicatedProjectionRewrite,
                &RewriteArrayAnyAllOperation,
                &StripCallableQualifier,
                &CurrentUserVariableToSessionUserFunctionCall,
                &StripCollate,
                &RewritePgCatalogOperator,
                &FixVersionColumnName,
            ];
            let mut statement = rules.iter().fold(statement, |s, rule| rule.rewrite(s));
            let _ = VisitMut::visit(&mut statement, &mut Habits);
            return Ok(statement);
        }
        let mut statement = statement;
        let _ = VisitMut::visit(&mut statement, &mut Rewrite);
        let text = statement.to_string();
        let rewritten = self.library.parse(&text).map_err(|e| syntax(&text, &e))?;
        rewritten.into_iter().next().ok_or_else(|| Refused::Unsupported("this statement".to_owned()))
    }
}

/// What clients write for Postgres' own tables, or TimescaleDB's functions, in queries over ours.
struct Habits;

impl VisitorMut for Habits {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // `time_bucket('5m', …)` has an interval in it.
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("time_bucket") => {
                if let FunctionArguments::List(list) = &mut function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(width))) = list.args.first_mut()
                    && let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = width
                {
                    let sql = format!("INTERVAL '{}'", text.replace('\'', "''"));
                    let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql);
                    if let Ok(interval) = parser.and_then(|mut p| p.parse_expr()) {
                        *width = interval;
                    }
                }
            }
            // DuckDB reads tables by pages: all of ours is on the first one.
            Expr::Between { expr: column, low, .. } if column.to_string().eq_ignore_ascii_case("ctid") => {
                let is_first = low.to_string().contains("'(0,0)'");
                *expr = Expr::Value(Value::Boolean(is_first).with_empty_span());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn unless_all(name: String) -> Option<String> {
    (!name.eq_ignore_ascii_case("all")).then_some(name)
}

/// Does the query contain a statement that writes?
fn is_writing(query: &Query) -> bool {
    use datafusion::sql::sqlparser::ast::SetExpr;
    let of_body = match query.body.as_ref() {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Select(select) => select.into.is_some(),
        SetExpr::Query(inner) => is_writing(inner),
        _ => false,
    };
    of_body || query.with.iter().flat_map(|w| &w.cte_tables).any(|cte| is_writing(&cte.query))
}

/// Does the statement name tables of Postgres' catalogue, or no tables at all?
fn asks_the_catalogue(statement: &Statement) -> bool {
    let mut names_any = false;
    let found = visit_relations(statement, |name| {
        names_any = true;
        let parts: Vec<String> =
            name.0.iter().filter_map(|p| p.as_ident()).map(|i| i.value.to_ascii_lowercase()).collect();
        let is_schema = |part: &String| part == "pg_catalog" || part == "information_schema";
        let is_known = |name: &str| PG_CATALOG_TABLES.contains(&name) || ADDED_TABLES.contains(&name);
        let is_bare = parts.len() == 1 && is_known(&parts[0]);
        match is_bare || parts.iter().any(is_schema) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break() || !names_any
}

fn set_action(set: Set) -> Result<Action, Refused> {
    Ok(match set {
        Set::SingleAssignment { variable, values, .. } => {
            let values: Vec<String> = values.iter().map(plain_value).collect();
            Action::Set(variable.to_string().to_ascii_lowercase(), values.join(", "))
        }
        Set::SetTimeZone { value, .. } => Action::Set("timezone".to_owned(), plain_value(&value)),
        Set::SetNames { charset_name, .. } => Action::Set("client_encoding".to_owned(), charset_name.value),
        Set::SetTransaction { .. } | Set::SetRole { .. } | Set::SetSessionAuthorization(_) => Action::SetNothing,
        other => return Err(Refused::Unsupported(format!("SET {other}"))),
    })
}

fn plain_value(value: &Expr) -> String {
    match value {
        Expr::Value(ValueWithSpan { value, .. }) => match value.clone().into_string() {
            Some(text) => text,
            None => value.to_string(),
        },
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    }
}

fn rows_of(direction: &FetchDirection) -> Result<usize, Refused> {
    let number = |v: &Value| v.to_string().parse::<usize>().ok();
    let backwards = || Refused::Unsupported("a cursor that goes anywhere but forward".to_owned());
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(1),
        FetchDirection::Forward { limit: Some(count) } | FetchDirection::Count { limit: count } => {
            number(count).ok_or_else(backwards)
        }
        FetchDirection::ForwardAll | FetchDirection::All => Ok(usize::MAX),
        _ => Err(backwards()),
    }
}

fn refused(statement: &Statement) -> Refused {
    let text = statement.to_string();
    let mut words = text.split_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let writes = [
        "ALTER", "ANALYZE", "CALL", "CLUSTER", "COMMENT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT",
        "LOCK", "MERGE", "REINDEX", "REVOKE", "TRUNCATE", "UPDATE", "VACUUM",
    ];
    match verb.as_str() {
        "CREATE" | "DROP" | "ALTER" => Refused::Writes(match words.next() {
            Some(what) => format!("{verb} {}", what.to_ascii_uppercase()),
            None => verb,
        }),
        _ if writes.contains(&verb.as_str()) => Refused::Writes(verb),
        _ => Refused::Unsupported(verb),
    }
}

/// `… at Line: 3, Column: 14` as a position in the text.
fn syntax(sql: &str, error: &ParserError) -> Refused {
    let text = error.to_string();
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    let (message, place) = text.rsplit_once(" at Line: ").unwrap_or((text, ""));
    let position = place.split_once(", Column: ").and_then(|(line, column)| {
        let (line, column): (usize, usize) = (line.parse().ok()?, column.trim().parse().ok()?);
        let before: usize = sql.split('\n').take(line.checked_sub(1)?).map(|l| l.chars().count() + 1).sum();
        Some(before + column)
    });
    Refused::Syntax { message: format!("syntax error: {message}"), position }
}

/// Placeholders that stand for arrays, as in `x = ANY($1)`.
pub(crate) fn array_placeholders(statement: &Statement) -> Vec<String> {
    let mut found = Vec::new();
    let _: ControlFlow<()> = visit_expressions(statement, |e: &Expr| {
        if let Expr::Function(function) = e
            && matches!(function.name.to_string().to_ascii_lowercase().as_str(), "array_contains" | "array_has")
            && let FunctionArguments::List(list) = &function.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(first)))) = list.args.first()
            && let Value::Placeholder(name) = &first.value
        {
            found.push(name.clone());
        }
        ControlFlow::Continue(())
    });
    found
}

/// The same statement with `CAST($n AS type)` for the placeholders named.
pub(crate) fn with_typed(statement: &Statement, types: &BTreeMap<String, SqlType>) -> Statement {
    struct Typed<'a>(&'a BTreeMap<String, SqlType>);
    impl VisitorMut for Typed<'_> {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr
                && let Some(data_type) = self.0.get(name)
            {
                let sql = format!("CAST({name} AS {data_type})");
                let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql);
                if let Ok(cast) = parser.and_then(|mut p| p.parse_expr()) {
                    *expr = cast;
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut typed = statement.clone();
    let _ = VisitMut::visit(&mut typed, &mut Typed(types));
    typed
}

#[cfg(test)]
mod tests;
