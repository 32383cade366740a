//! Plans views as queries do, over tables without rows, and puts what goes wrong into words with a place.

use super::order::order;
use super::outline::Outline;
use super::parse::Text;
use super::{Checking, Templates, View, planned};
use crate::definitions::DeclaredTable;
use crate::message::{plain, syntax};
use crate::session;
use crate::snapshot::SnapshotTable;
use crate::table::merged_table;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError, SchemaError, TableReference};
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use tidewatch_engine::completeness::Completeness;
use tidewatch_engine::rollup::DefinitionError;

/// Planning needs next to none.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Names in a hint; more would be read by nobody.
const NAMES_MAX: usize = 40;

struct Parsed {
    text: Text,
    statement: Statement,
    reads: Vec<String>,
}

/// The views without mistakes, each after those that it reads; mistakes are added to `errors`.
pub(super) async fn check(
    texts: Vec<Text>,
    tables: &BTreeMap<String, DeclaredTable>,
    checking: Checking,
    errors: &mut Vec<DefinitionError>,
) -> Vec<Arc<View>> {
    // A session without views costs as much as one with: most packs have some.
    if texts.is_empty() {
        return Vec::new();
    }
    let context = match session::checking_context(MEMORY_BYTES_MAX) {
        Ok(context) => context,
        Err(error) => {
            errors.push(DefinitionError::new(&texts[0].file, (0, 0), error.strip_backtrace()));
            return Vec::new();
        }
    };
    let views: BTreeSet<String> = texts.iter().map(|t| t.name.clone()).collect();
    let known: Vec<&str> = tables.keys().chain(&views).map(String::as_str).collect();
    let mut parsed = Vec::new();
    for text in texts {
        match parse(&context, text, &known) {
            Ok(view) => parsed.push(Some(view)),
            Err(error) => errors.push(error),
        }
    }
    let names: Vec<&str> = parsed.iter().flatten().map(|p: &Parsed| p.text.name.as_str()).collect();
    let reads: Vec<Vec<String>> = parsed.iter().flatten().map(|p| p.reads.clone()).collect();
    let order = order(&names, &reads);
    for ring in &order.rings {
        errors.extend(ring_error(ring, &parsed));
    }
    let mut good: Vec<Arc<View>> = Vec::new();
    for index in order.ordered {
        let Some(view) = parsed[index].take() else { continue };
        let is_planned = |name: &String| !views.contains(name) || good.iter().any(|v| v.name == *name);
        if !view.reads.iter().all(is_planned) {
            continue;
        }
        if checking == Checking::Names {
            let Parsed { text, statement, reads } = view;
            let (name, outline) = (text.name.clone(), OnceLock::new());
            good.push(Arc::new(View {
                name,
                reads,
                schema: None,
                text,
                statement,
                outline,
                templates: Templates::default(),
            }));
            continue;
        }
        match plan(&context, view, tables).await {
            Ok(view) => good.push(Arc::new(view)),
            Err(error) => errors.push(error),
        }
    }
    good
}

/// The statement, and the tables and views that it names; all of them are there.
fn parse(context: &SessionContext, text: Text, known: &[&str]) -> Result<Parsed, DefinitionError> {
    let state = context.state();
    let statement = state.sql_to_statement(&text.query, &Dialect::PostgreSQL).map_err(|e| explain(&text, &e))?;
    let references = state.resolve_table_references(&statement).map_err(|e| explain(&text, &e))?;
    let mut reads = Vec::new();
    for reference in references {
        let name = reference.table();
        if reference.schema().is_none() && state.table_functions().contains_key(name) {
            continue;
        }
        if reference.schema().is_some_and(|s| s != "public") || !known.contains(&name) {
            let error = text.error_at(text.place_of(name), format!("no rollup or view named {reference}"));
            return Err(error.hint(format!("there are {}", listed(known.iter().copied()))));
        }
        reads.push(name.to_owned());
    }
    reads.sort();
    reads.dedup();
    Ok(Parsed { text, statement, reads })
}

fn ring_error(ring: &[usize], parsed: &[Option<Parsed>]) -> Option<DefinitionError> {
    let names: Vec<&str> = ring.iter().filter_map(|&i| Some(parsed[i].as_ref()?.text.name.as_str())).collect();
    let first = parsed[*ring.first()?].as_ref()?;
    let message = match names.as_slice() {
        [_] => "reads itself".to_owned(),
        [_, others @ ..] => format!("reads itself, through {}", others.join(", then ")),
        [] => return None,
    };
    let next = names.get(1).or(names.first())?;
    let error = first.text.error_at(first.text.place_of(next), message);
    Some(error.hint("a view reads rollups and views that do not read it"))
}

/// Plans a view over empty tables and starts its operators, where the last mistakes show, and registers
/// it for the views that read it.
async fn plan(
    context: &SessionContext,
    view: Parsed,
    tables: &BTreeMap<String, DeclaredTable>,
) -> Result<View, DefinitionError> {
    let Parsed { text, statement, reads } = view;
    let in_text = |e: DataFusionError| explain(&text, &e);
    register_empty(context, &reads, tables).map_err(in_text)?;
    let state: SessionState = context.state();
    let query = text.query.trim_start();
    let table = planned(&state, statement.clone(), query).await.map_err(in_text)?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(table.logical_plan()).map_err(in_text)?;
    let operators = state.create_physical_plan(table.logical_plan()).await.map_err(in_text)?;
    // Aggregates look at their constants when they start; no row is asked for.
    execute_stream(operators, state.task_ctx()).map_err(in_text)?;
    let schema = table.schema();
    let outline = OnceLock::from(Arc::new(Outline::of(table.logical_plan()).map_err(in_text)?));
    context.register_table(TableReference::bare(text.name.as_str()), Arc::new(table)).map_err(in_text)?;
    let (name, templates) = (text.name.clone(), Templates::default());
    Ok(View { name, reads, schema: Some(schema), text, statement, outline, templates })
}

/// Plans views, given each after those that it reads, for the sake of their outlines.
pub(super) async fn outline(
    views: &[Arc<View>],
    tables: &BTreeMap<String, DeclaredTable>,
) -> Result<(), DataFusionError> {
    let context = session::checking_context(MEMORY_BYTES_MAX)?;
    for view in views {
        register_empty(&context, &view.reads, tables)?;
        if let Err(error) = view.register(&context, &context.state()).await {
            tracing::debug!(view = view.name, %error, "has no outline");
        }
    }
    Ok(())
}

/// Registers those of the tables that are read and not there yet.
fn register_empty(
    context: &SessionContext,
    reads: &[String],
    tables: &BTreeMap<String, DeclaredTable>,
) -> Result<(), DataFusionError> {
    for name in reads {
        let reference = TableReference::bare(name.as_str());
        if let Some(table) = tables.get(name)
            && !context.table_exist(reference.clone())?
        {
            context.register_table(
                reference,
                merged_table(name, &SnapshotTable::not_created(table, Vec::new(), Completeness::unknown()))?,
            )?;
        }
    }
    Ok(())
}

/// Finds the place and the hint for an error, and the part of its text that helps.
fn explain(text: &Text, error: &DataFusionError) -> DefinitionError {
    let span = error.diagnostic().and_then(|d| d.span).map(|s| (s.start.line, s.start.column));
    let root = error.find_root();
    match root {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let place = span.or_else(|| text.place_of(field.name()));
                let error = text.error_at(place, format!("no column named {}", shown(field)));
                error.hint(format!("there are {}", listed(valid_fields.iter().map(Column::name))))
            }
            SchemaError::AmbiguousReference { field } => {
                let error = text.error_at(
                    span.or_else(|| text.place_of(field.name())),
                    format!("{} could be a column of several tables", field.name()),
                );
                error.hint(format!("write the table before it, as in t.{}", field.name()))
            }
            SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                let error = text.error_at(text.place_of(name), format!("two columns are named {name}"));
                error.hint("give one of them another name with AS")
            }
        },
        DataFusionError::SQL(parser, _) => {
            let message = parser.to_string();
            let (words, place) = syntax(&message);
            text.error_at(place, words)
        }
        _ => {
            let message = plain(&root.strip_backtrace());
            let mut lines = message.lines().map(str::trim).filter(|l| !l.is_empty());
            let first = lines.next().unwrap_or_default().trim_end_matches('.');
            let error = text.error_at(span.or_else(|| place_of_quoted(text, first)), first);
            match lines.next().and_then(|hint| hint.strip_prefix("hint: ").or(Some(hint).filter(|h| h.ends_with('?'))))
            {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
    }
}

/// Where the first thing stands that a message names: in quotes, or as a function's name at its start.
fn place_of_quoted(text: &Text, message: &str) -> Option<(u64, u64)> {
    let quoted = message.split(['\'', '"', '`']).nth(1);
    let first = message.split([' ', ':', '(']).next();
    let word = |w: &str| text.place_of(w.split('(').next()?.rsplit('.').next()?);
    quoted.and_then(word).or_else(|| first.and_then(word))
}

fn shown(column: &Column) -> String {
    match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => column.name.clone(),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    let shown: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
    let more = if names.len() > NAMES_MAX { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
