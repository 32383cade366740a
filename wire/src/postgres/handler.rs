//! Messages of a session that ask for something: texts, and statements that are parsed, bound and executed.

use super::cursors::Cursors;
use super::described::{Asking, Described, Stored, answer, describe};
use super::errors::{error, of_query, of_text, state};
use super::parameters::values;
use super::rows::{data_rows, fields};
use super::{copying, session};
use crate::catalogue::Catalogue;
use crate::running::Running;
use crate::statement::{Action, Reader};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use datafusion_postgres::pgwire::api::stmt::{QueryParser, StoredStatement};
use datafusion_postgres::pgwire::api::store::{MemPortalStore, PortalStore};
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, Type};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::{
    Close, CloseComplete, Parse, ParseComplete, TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::{Sink, SinkExt, stream};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tidewatch_query::Answer;

/// Statements that a session may have prepared at a time.
const PREPARED_MAX: usize = 1000;
/// `unknown`: a client that names this type names none.
const OID_UNKNOWN: u32 = 705;

/// Answers sessions.
pub(super) struct Handler {
    running: Running,
    catalogue: Catalogue,
    parser: Arc<SessionParser>,
}

/// Reads and describes statements of the extended protocol.
pub(super) struct SessionParser {
    running: Running,
    catalogue: Catalogue,
    reader: Reader,
}

/// Names of the statements that a session has prepared.
#[derive(Debug, Default)]
struct PreparedNames(Mutex<BTreeSet<String>>);

/// Values and columns of a statement that was bound; none of one that comes as text.
#[derive(Default)]
struct Bound {
    values: Vec<ScalarValue>,
    described: Option<SchemaRef>,
    format: Format,
}

impl Handler {
    pub fn new(running: Running, catalogue: Catalogue) -> Self {
        let reader = Reader::default();
        let parser = SessionParser { running: running.clone(), catalogue: catalogue.clone(), reader };
        Self { running, catalogue, parser: Arc::new(parser) }
    }

    fn asking(&self, client: &(impl ClientInfo + ?Sized)) -> Asking {
        Asking {
            client: session::client(client),
            furniture: self.catalogue.of_session(session::values(client)),
            timeout: session::statement_timeout(client),
        }
    }

    /// Does what a statement says.
    async fn act<C>(&self, client: &mut C, action: &Action, bound: Bound) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        check_transaction(client, action)?;
        let done = |tag: &str| Ok(Response::Execution(Tag::new(tag)));
        match action {
            Action::Query(query) => {
                let asking = self.asking(client);
                let found = answer(&self.running, &asking, query, bound.values).await.map_err(of_query)?;
                response(client, found, bound.described, &bound.format)
            }
            Action::Copy(query, format) => {
                let asking = self.asking(client);
                let found = answer(&self.running, &asking, query, bound.values).await.map_err(of_query)?;
                copying::copy(found, *format).map(Response::CopyOut)
            }
            Action::Declare(name, query) => {
                let asking = self.asking(client);
                let found = answer(&self.running, &asking, query, bound.values).await.map_err(of_query)?;
                self.declare(client, name, found)?;
                done("DECLARE CURSOR")
            }
            Action::Fetch(name, rows) => {
                let found = cursors(client).fetch(name, *rows)?;
                let mut response = response(client, found, bound.described, &bound.format)?;
                if let Response::Query(rows) = &mut response {
                    rows.set_command_tag("FETCH");
                }
                Ok(response)
            }
            Action::Close(name) => {
                cursors(client).close(name.as_deref());
                match name {
                    Some(name) => client.portal_store().rm_portal(name),
                    None => client.portal_store().clear_portals(),
                }
                done(if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" })
            }
            Action::Set(name, value) => {
                for message in session::set(client, name, value)? {
                    client.send(message).await?;
                }
                done("SET")
            }
            Action::SetNothing => done("SET"),
            Action::Show(name) => {
                let format = if wants_binary(&bound.format) { FieldFormat::Binary } else { FieldFormat::Text };
                session::show(&session::values(client), name, format).map(Response::Query)
            }
            Action::Reset(name) => {
                session::reset(client, name.as_deref());
                done("RESET")
            }
            Action::Begin => match client.transaction_status() {
                TransactionStatus::Idle => Ok(Response::TransactionStart(Tag::new("BEGIN"))),
                _ => done("BEGIN"),
            },
            Action::Commit => match client.transaction_status() {
                TransactionStatus::Error => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
                _ => Ok(Response::TransactionEnd(Tag::new("COMMIT"))),
            },
            Action::Rollback => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
            Action::Nothing(tag) => done(tag),
            Action::DiscardAll => {
                session::reset(client, None);
                cursors(client).close(None);
                client.portal_store().clear_portals();
                forget(client, None);
                done("DISCARD ALL")
            }
            Action::Deallocate(name) => {
                forget(client, name.as_deref());
                done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" })
            }
        }
    }

    /// Keeps an answer as a cursor, and a portal of its name, which clients describe.
    fn declare<C>(&self, client: &C, name: &str, found: Answer) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let schema = Some(SchemaRef::clone(&found.schema));
        cursors(client).declare(name, found, self.running.engine.limits().memory_bytes_max)?;
        if let Some(store) = client.portal_store().as_any().downcast_ref::<MemPortalStore<Stored>>() {
            let action = Action::Fetch(name.to_owned(), usize::MAX);
            let stored = Stored(Arc::new(Described { action, parameters: Vec::new(), schema }));
            let statement = StoredStatement::new(name.to_owned(), stored, Vec::new());
            store.put_portal(Arc::new(Portal::new_cursor(name.to_owned(), Arc::new(statement))));
        }
        Ok(())
    }
}

/// Is the first column asked for in binary?
fn wants_binary(format: &Format) -> bool {
    match format {
        Format::UnifiedBinary => true,
        Format::UnifiedText => false,
        Format::Individual(formats) => formats.first() == Some(&1),
    }
}

fn cursors(client: &(impl ClientInfo + ?Sized)) -> Arc<Cursors> {
    client.session_extensions().get_or_insert_with(Cursors::default)
}

fn prepared(client: &(impl ClientInfo + ?Sized)) -> Arc<PreparedNames> {
    client.session_extensions().get_or_insert_with(PreparedNames::default)
}

/// Forgets one prepared statement, or all.
fn forget<C>(client: &C, name: Option<&str>)
where
    C: ClientInfo + ClientPortalStore,
    C::PortalStore: PortalStore,
{
    let names = prepared(client);
    let mut names = names.0.lock().unwrap_or_else(PoisonError::into_inner);
    let gone: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => names.iter().cloned().collect(),
    };
    for name in gone {
        names.remove(&name);
        client.portal_store().rm_statement(&name);
    }
}

/// After an error in a transaction nothing goes on before its end.
fn check_transaction(client: &(impl ClientInfo + ?Sized), action: &Action) -> PgWireResult<()> {
    let ends = matches!(action, Action::Commit | Action::Rollback | Action::Nothing("ROLLBACK"));
    if client.transaction_status() != TransactionStatus::Error || ends {
        return Ok(());
    }
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Err(error("25P02", message))
}

fn response(
    client: &(impl ClientInfo + ?Sized),
    found: Answer,
    described: Option<SchemaRef>,
    format: &Format,
) -> PgWireResult<Response> {
    let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
    let schema = described.clone().unwrap_or_else(|| SchemaRef::clone(&found.schema));
    if schema.fields().len() != found.schema.fields().len() {
        return Err(error("0A000", "cached plan must not change result type"));
    }
    let fields = Arc::new(fields(&schema, format, Some(&options))?);
    let rows = data_rows(found, described, Arc::clone(&fields));
    Ok(Response::Query(QueryResponse::new(fields, stream::iter(rows))))
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.running.engine.check_length(query).map_err(of_query)?;
        let actions = self.parser.reader.read(query).map_err(of_text)?;
        if actions.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut responses = Vec::new();
        for action in &actions {
            responses.push(Box::pin(self.act(client, action, Bound::default())).await?);
        }
        Ok(responses)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Stored;
    type QueryParser = SessionParser;

    fn query_parser(&self) -> Arc<SessionParser> {
        Arc::clone(&self.parser)
    }

    async fn on_parse<C>(&self, client: &mut C, mut message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Stored>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        {
            let names = prepared(client);
            let mut names = names.0.lock().unwrap_or_else(PoisonError::into_inner);
            if names.len() >= PREPARED_MAX && !names.contains(&name) {
                self.running.metrics().refused.with_label_values(&["postgres", "prepared"]).inc();
                let message = format!("the session has {PREPARED_MAX} prepared statements, no more fit");
                return Err(error(state::LIMIT, message));
            }
            names.insert(name.clone());
        }
        message.type_oids.iter_mut().filter(|oid| **oid == OID_UNKNOWN).for_each(|oid| *oid = 0);
        match StoredStatement::parse(client, &message, Arc::clone(&self.parser)).await? {
            Some(statement) => client.portal_store().put_statement(Arc::new(statement)),
            None => client.portal_store().put_empty_statement(&name),
        }
        client.send(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?;
        Ok(())
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Stored>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => forget(client, Some(name)),
            TARGET_TYPE_BYTE_PORTAL => client.portal_store().rm_portal(name),
            _ => {}
        }
        client.send(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?;
        Ok(())
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Stored>, _max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Stored>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let described = Arc::clone(&portal.statement.statement.0);
        let bound = Bound {
            values: values(portal, &described.parameters)?,
            described: described.schema.clone(),
            format: portal.result_column_format.clone(),
        };
        Box::pin(self.act(client, &described.action, bound)).await
    }
}

#[async_trait]
impl QueryParser for SessionParser {
    type Statement = Stored;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Stored>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.running.engine.check_length(sql).map_err(of_query)?;
        let mut actions = self.reader.read(sql).map_err(of_text)?;
        let Some(action) = actions.pop() else { return Ok(None) };
        if !actions.is_empty() {
            return Err(error("42601", "cannot insert multiple commands into a prepared statement"));
        }
        check_transaction(client, &action)?;
        let furniture = self.catalogue.of_session(session::values(client));
        let asked = session::statement_timeout(client);
        let settled = match &action {
            Action::Query(query) | Action::Copy(query, _) | Action::Declare(_, query) => {
                Some(describe(&self.running, &furniture, query, types, asked).await.map_err(of_query)?)
            }
            _ => None,
        };
        let mut described = Described::plain(action);
        if let Some(settled) = settled {
            described.parameters = settled.parameters;
            match &mut described.action {
                Action::Query(query) => {
                    **query = settled.statement;
                    described.schema = Some(settled.schema);
                }
                // Their rows are no answer of this statement.
                Action::Copy(query, _) | Action::Declare(_, query) => **query = settled.statement,
                _ => {}
            }
        }
        if let Action::Fetch(name, _) = &described.action {
            described.schema = Some(cursors(client).schema(name)?);
        }
        Ok(Some(Stored(Arc::new(described))))
    }

    fn get_parameter_types(&self, statement: &Stored) -> PgWireResult<Vec<Type>> {
        Ok(statement.0.parameters.iter().map(|p| p.told.clone()).collect())
    }

    fn get_result_schema(&self, statement: &Stored, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        let format = format.unwrap_or(&Format::UnifiedText);
        match (&statement.0.schema, &statement.0.action) {
            (Some(schema), _) => fields(schema, format, None),
            (None, Action::Show(name)) => {
                let format = if wants_binary(format) { FieldFormat::Binary } else { FieldFormat::Text };
                Ok(session::shown_fields(name, format))
            }
            _ => Ok(Vec::new()),
        }
    }
}
