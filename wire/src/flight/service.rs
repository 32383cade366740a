//! The requests of Flight SQL.

use super::auth::{Guard, client_of};
use super::metadata;
use super::prepared::{Prepared, Statements};
use super::stream::{announced, rows, status};
use crate::catalogue::{Catalogue, SessionFurniture, SessionValues};
use crate::postgres::described::{describe, plan};
use crate::postgres::parameters::named_casts;
use crate::running::Running;
use crate::statement::{Action, Reader, Refused, with_typed};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::SqlInfoData;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action as FlightAction, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    IpcMessage, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use std::pin::Pin;
use std::sync::Arc;
use tidewatch_query::{Sight, SqlError};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, Streaming};

/// Rows of values that one execution may have: each is a query.
const BOUND_ROWS_MAX: usize = 10_000;
/// Bytes of them.
const BOUND_BYTES_MAX: usize = 16 << 20;

type Rows = <Service as FlightService>::DoGetStream;

/// Answers clients.
pub(super) struct Service {
    running: Running,
    catalogue: Catalogue,
    reader: Reader,
    statements: Statements,
    guard: Guard,
}

impl Service {
    pub fn new(running: Running, catalogue: Catalogue, guard: Guard, prepared_max: usize) -> Self {
        let evicted = running.metrics().refused.with_label_values(&["flight", "prepared"]);
        let statements = Statements::new(prepared_max, evicted);
        Self { running, catalogue, reader: Reader::default(), statements, guard }
    }

    fn furniture(&self) -> SessionFurniture {
        self.catalogue.of_session(SessionValues::default())
    }

    /// The one query of a text.
    fn read(&self, sql: &str) -> Result<Statement, Status> {
        self.running.engine.check_length(sql).map_err(status)?;
        let mut actions = self.reader.read(sql).map_err(refused)?;
        match (actions.pop(), actions.is_empty()) {
            (Some(Action::Query(query)), true) => Ok(*query),
            (None, _) => Err(Status::invalid_argument("the query is empty")),
            _ => Err(Status::invalid_argument("expected one query\nhint: SELECT …, WITH …, EXPLAIN …")),
        }
    }

    /// Runs a query once for every row of values, one after the other, in the turns of a client.
    async fn stream(
        &self,
        client: String,
        statement: Statement,
        values: Vec<Vec<ScalarValue>>,
    ) -> Result<Response<Rows>, Status> {
        let deadline = Instant::now() + self.running.engine.limits().timeout;
        let (running, furniture) = (self.running.clone(), self.furniture());
        let start = Start { running, client, furniture, statement, deadline };
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return Err(Status::invalid_argument("no values were bound")) };
        let (schema, rows) = Box::pin(start.rows(first)).await?;
        let start = Arc::new(start);
        let rest = stream::iter(values).then(move |row| {
            let start = Arc::clone(&start);
            async move { start.rows(row).await.map(|(_, rows)| rows) }
        });
        let batches = rows.chain(rest.try_flatten()).map_err(|e| FlightError::Tonic(Box::new(e)));
        Ok(encoded(schema, batches))
    }

    fn prepared(&self, handle: &Bytes) -> Result<Prepared, Status> {
        let gone = "there is no such prepared statement\nhint: flight.prepared_max are kept; prepare it again";
        self.statements.get(handle).ok_or_else(|| Status::not_found(gone))
    }

    /// The statement with types for its placeholders, and the values in these types.
    fn with_values(prepared: &Prepared) -> Result<(Statement, Vec<Vec<ScalarValue>>), Status> {
        let expected = prepared.settled.as_ref().map_or(0, |s| s.parameters.len());
        let Some(batch) = &prepared.bound else {
            return match (&prepared.settled, expected) {
                (Some(settled), 0) => Ok((settled.statement.clone(), vec![Vec::new()])),
                _ => Err(Status::invalid_argument("the statement has placeholders, and no values were bound")),
            };
        };
        if prepared.settled.is_some() && batch.num_columns() != expected {
            let found = batch.num_columns();
            return Err(Status::invalid_argument(format!("{found} values were bound to {expected} placeholders")));
        }
        let statement = match &prepared.settled {
            Some(settled) => settled.statement.clone(),
            None => {
                let types =
                    batch.schema().fields().iter().map(|f| into_pg_type(f.data_type()).ok()).collect::<Vec<_>>();
                with_typed(&prepared.statement, &named_casts(&types))
            }
        };
        let value = |row: usize, at: usize| {
            let wrong = |e: datafusion::common::DataFusionError| {
                Status::invalid_argument(format!("value of ${}: {}", at + 1, e.strip_backtrace()))
            };
            let value = ScalarValue::try_from_array(batch.column(at), row).map_err(wrong)?;
            let planned = prepared.settled.as_ref().and_then(|s| s.parameters.get(at)?.planned.clone());
            match planned {
                Some(planned) => value.cast_to(&planned).map_err(wrong),
                None => Ok(value),
            }
        };
        let row = |row: usize| (0..batch.num_columns()).map(|at| value(row, at)).collect::<Result<Vec<_>, _>>();
        let values = (0..batch.num_rows()).map(row).collect::<Result<Vec<_>, _>>()?;
        Ok((statement, values))
    }
}

/// A query that begins once for every row of values.
struct Start {
    running: Running,
    client: String,
    furniture: SessionFurniture,
    statement: Statement,
    deadline: Instant,
}

impl Start {
    async fn rows(
        &self,
        values: Vec<ScalarValue>,
    ) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch, Status>>), Status> {
        let mut counted = self.running.count();
        let work = async {
            let turn = self.running.turn(&self.client, self.deadline).await?;
            let mut planned = plan(&self.running, &self.furniture, &self.statement, Sight::Rows).await?;
            let schema = announced(planned.schema()?.as_ref());
            if !values.is_empty() {
                planned = planned.with_parameters(values)?;
            }
            Ok((turn, schema, self.running.engine.stream_planned(planned, self.deadline).await?))
        };
        let timeout = || SqlError::Timeout(self.running.engine.limits().timeout);
        let started = timeout_at(self.deadline, Box::pin(work)).await.unwrap_or_else(|_| Err(timeout()));
        match started {
            Ok((turn, schema, streamed)) => Ok((Arc::clone(&schema), rows(streamed, schema, counted, turn))),
            Err(error) => {
                counted.ended(Some(&error));
                Err(status(error))
            }
        }
    }
}

fn refused(refused: Refused) -> Status {
    match refused {
        Refused::Syntax { .. } => Status::invalid_argument(refused.to_string()),
        Refused::Writes(_) => Status::permission_denied(format!(
            "{refused}\nhint: what is counted comes from events; packs define rollups and views"
        )),
        Refused::Unsupported(_) => Status::unimplemented(refused.to_string()),
    }
}

fn read_only() -> Status {
    refused(Refused::Writes("an update".to_owned()))
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

fn encoded<S>(schema: SchemaRef, batches: S) -> Response<Rows>
where
    S: Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
{
    let flight = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    Response::new(Box::pin(flight.map_err(Status::from)))
}

fn single(batch: arrow_flight::error::Result<RecordBatch>) -> Result<Response<Rows>, Status> {
    let batch = batch.map_err(failed)?;
    Ok(encoded(batch.schema(), stream::iter([Ok(batch)])))
}

/// Where the answer to a command is: here, by the command itself.
fn info(
    command: impl ProstMessageExt,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(command.as_any().encode_to_vec()));
    let info = FlightInfo::new().try_with_schema(schema).map_err(failed)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(failed)?;
    Ok(bytes)
}

fn infos() -> Result<SqlInfoData, Status> {
    metadata::sql_info().map_err(failed)
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    /// The password was checked on the way here.
    async fn do_handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        let token = self.guard.token().to_owned();
        let header = format!("Bearer {token}").parse().map_err(failed)?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let answers: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(stream::iter([Ok(answer)]));
        let mut response = Response::new(answers);
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = self.read(&query.query)?;
        let settled = describe(&self.running, &self.furniture(), &statement, &[], None).await.map_err(status)?;
        // The text is the ticket: nothing is kept for a client that never comes back.
        let ticket = TicketStatementQuery { statement_handle: query.query.into() };
        info(ticket, &announced(&settled.schema), request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let sql = std::str::from_utf8(&ticket.statement_handle).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let statement = self.read(sql)?;
        self.stream(client_of(&request), statement, vec![Vec::new()]).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<FlightAction>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = self.read(&query.query)?;
        let settled = describe(&self.running, &self.furniture(), &statement, &[], None).await;
        let settled = match settled {
            Ok(settled) => Some(Arc::new(settled)),
            // It may be planned once the types of its values are known.
            Err(SqlError::Query { .. }) if query.query.contains('$') => None,
            Err(error) => return Err(status(error)),
        };
        let dataset_schema = settled.as_ref().map(|s| schema_bytes(&announced(&s.schema))).transpose()?;
        let parameters = settled.iter().flat_map(|s| s.parameters.iter().enumerate());
        let field = |(at, p): (usize, &crate::postgres::parameters::Parameter)| {
            Field::new(format!("${}", at + 1), p.planned.clone().unwrap_or(arrow::datatypes::DataType::Utf8), true)
        };
        let parameter_schema = Schema::new(parameters.map(field).collect::<Vec<_>>());
        let prepared = Prepared { statement: Arc::new(statement), settled, bound: None };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.statements.add(prepared),
            dataset_schema: dataset_schema.unwrap_or_default(),
            parameter_schema: schema_bytes(&parameter_schema)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        _request: Request<FlightAction>,
    ) -> Result<(), Status> {
        self.statements.close(&query.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let mut batches = FlightRecordBatchStream::new_from_flight_data(request.into_inner().map_err(Into::into));
        let (mut all, mut rows, mut bytes): (Vec<RecordBatch>, usize, usize) = (Vec::new(), 0, 0);
        while let Some(batch) = batches.try_next().await.map_err(|e| Status::invalid_argument(e.to_string()))? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > BOUND_ROWS_MAX || bytes > BOUND_BYTES_MAX {
                let message = format!("more than {BOUND_ROWS_MAX} rows or {BOUND_BYTES_MAX} bytes of values");
                return Err(Status::resource_exhausted(message));
            }
            all.push(batch);
        }
        let schema = all.first().map(RecordBatch::schema).ok_or_else(|| Status::invalid_argument("no values"))?;
        let values = concat_batches(&schema, &all).map_err(failed)?;
        if !self.statements.bind(&query.prepared_statement_handle, values) {
            self.prepared(&query.prepared_statement_handle)?;
        }
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(query.prepared_statement_handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let prepared = self.prepared(&query.prepared_statement_handle)?;
        let schema = match &prepared.settled {
            Some(settled) => announced(&settled.schema),
            None => {
                let (statement, _) = Self::with_values(&prepared)?;
                let settled = describe(&self.running, &self.furniture(), &statement, &[], None).await;
                announced(&settled.map_err(status)?.schema)
            }
        };
        info(query, &schema, request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let (statement, values) = Self::with_values(&self.prepared(&query.prepared_statement_handle)?)?;
        self.stream(client_of(&request), statement, values).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(query, &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single(metadata::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        info(query, &schema, request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single(metadata::schemas(query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        info(query, &schema, request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let relations = self.catalogue.listing().relations().await.map_err(status)?;
        single(metadata::tables(query, &relations))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(query, &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single(metadata::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder(&infos()?).schema();
        info(query, &schema, request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single(query.into_builder(&infos()?).build())
    }

    async fn do_put_statement_update(
        &self,
        _update: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only())
    }

    async fn do_put_prepared_statement_update(
        &self,
        _update: CommandPreparedStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only())
    }

    async fn register_sql_info(&self, _id: i32, _info: &SqlInfo) {}
}
