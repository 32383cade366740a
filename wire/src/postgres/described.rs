//! Statements that were read and described, and wait to be run.

use super::parameters::{Parameter, casts, named_casts, parameters, text_array};
use crate::catalogue::SessionFurniture;
use crate::running::Running;
use crate::statement::{Action, array_placeholders, of_nothing, with_typed};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::pgwire::api::Type;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_query::{Answer, Planned, Sight, SqlError};

/// A statement of the extended protocol.
#[derive(Debug, Clone)]
pub(crate) struct Stored(pub Arc<Described>);

/// What to do, with what, and what comes back.
#[derive(Debug)]
pub(crate) struct Described {
    pub action: Action,
    pub parameters: Vec<Parameter>,
    /// Columns of the answer, if there is one.
    pub schema: Option<SchemaRef>,
}

impl Described {
    pub fn plain(action: Action) -> Self {
        Self { action, parameters: Vec::new(), schema: None }
    }
}

/// A query with the types of its placeholders settled.
#[derive(Debug)]
pub(crate) struct Settled {
    pub statement: Statement,
    pub parameters: Vec<Parameter>,
    pub schema: SchemaRef,
}

/// Plans a query over columns alone. Placeholders of which the plan knows no type get the client's, or text.
pub(crate) fn describe<'a>(
    running: &'a Running,
    furniture: &'a SessionFurniture,
    statement: &'a Statement,
    named: &'a [Option<Type>],
    asked: Option<Duration>,
) -> BoxFuture<'a, Result<Settled, SqlError>> {
    let work = async move {
        let settled = settle(running, furniture, statement.clone(), named).await;
        let mut types = named_casts(named);
        for name in array_placeholders(statement) {
            types.entry(name).or_insert_with(text_array);
        }
        match settled {
            // What cannot be planned without types may be planned with those that the client names; arrays
            // without one are of text.
            Err(SqlError::Query { .. }) if !types.is_empty() => {
                settle(running, furniture, with_typed(statement, &types), named).await
            }
            settled => settled,
        }
    };
    Box::pin(running.engine.within(asked, work))
}

async fn settle(
    running: &Running,
    furniture: &SessionFurniture,
    mut statement: Statement,
    named: &[Option<Type>],
) -> Result<Settled, SqlError> {
    let wrong = |e: DataFusionError| SqlError::Query { message: e.strip_backtrace(), hint: None };
    let mut planned = plan(running, furniture, &statement, Sight::Shapes).await?;
    let mut found = parameters(planned.plan(), named).map_err(wrong)?;
    let unknown = casts(&found);
    if !unknown.is_empty() {
        statement = with_typed(&statement, &unknown);
        planned = plan(running, furniture, &statement, Sight::Shapes).await?;
        found = parameters(planned.plan(), named).map_err(wrong)?;
    }
    Ok(Settled { statement, parameters: found, schema: planned.schema()? })
}

/// Who asks a query, and how.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Whose turns it takes.
    pub client: String,
    /// What the client's session has of its own.
    pub furniture: SessionFurniture,
    /// A time limit that is shorter than that of all queries.
    pub timeout: Option<Duration>,
}

/// Answers a query in its turn.
pub(crate) fn answer<'a>(
    running: &'a Running,
    asking: &'a Asking,
    statement: &'a Statement,
    values: Vec<ScalarValue>,
) -> BoxFuture<'a, Result<Answer, SqlError>> {
    let work = async move {
        let mut planned = plan(running, &asking.furniture, statement, Sight::Rows).await?;
        if !values.is_empty() {
            planned = planned.with_parameters(values)?;
        }
        running.engine.run_planned(planned).await
    };
    Box::pin(running.run(&asking.client, asking.timeout, work))
}

/// Plans a statement, or its answer of nothing where it only asks about what there is none of.
pub(crate) fn plan<'a>(
    running: &'a Running,
    furniture: &'a SessionFurniture,
    statement: &'a Statement,
    sight: Sight,
) -> BoxFuture<'a, Result<Planned, SqlError>> {
    Box::pin(async move {
        let parsed = |statement: &Statement| Parsed::Statement(Box::new(statement.clone()));
        let planned = running.engine.plan_statement(parsed(statement), furniture, sight).await;
        let Some(nothing) = of_nothing(statement) else { return planned };
        match planned {
            Ok(planned) if planned.schema().is_ok() => Ok(planned),
            _ => running.engine.plan_statement(parsed(&nothing), furniture, sight).await,
        }
    })
}
