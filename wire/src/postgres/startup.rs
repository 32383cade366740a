//! The first messages of a connection: is there room, who is it, what is the server.

use super::{Shared, errors, session};
use crate::catalogue::SERVER_VERSION;
use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramAuth, gen_salted_password, random_nonce,
};
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, ServerParameterProvider, StartupHandler,
    finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::Sink;
use prometheus::IntGauge;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, LazyLock};
use tokio::sync::OwnedSemaphorePermit;

/// Numbers by which sessions are cancelled: every one of the process has another.
static NUMBERS: LazyLock<Arc<RandomPidSecretKeyGenerator>> = LazyLock::new(Arc::default);

/// A password, as SCRAM compares it.
#[derive(Clone)]
pub(super) struct Secret {
    salt: Vec<u8>,
    salted: Vec<u8>,
}

impl Secret {
    pub fn new(password: &str) -> Self {
        let salt = random_nonce().into_bytes();
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        Self { salt, salted }
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[async_trait]
impl AuthSource for Secret {
    async fn get_password(&self, _login: &LoginInfo) -> PgWireResult<Password> {
        Ok(Password::new(Some(self.salt.clone()), self.salted.clone()))
    }
}

/// What the server tells of itself.
#[derive(Debug)]
struct Parameters(DefaultServerParameterProvider);

impl Parameters {
    fn new() -> Self {
        let mut told = DefaultServerParameterProvider::default();
        told.server_version = SERVER_VERSION.to_owned();
        told.is_superuser = false;
        told.default_transaction_read_only = true;
        told.time_zone = "UTC".to_owned();
        Self(told)
    }
}

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        self.0.server_parameters(client)
    }
}

/// A place among the sessions, until the connection ends.
struct Place {
    _permit: OwnedSemaphorePermit,
    open: IntGauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// The startup of one connection.
pub(super) struct Startup {
    shared: Arc<Shared>,
    scram: Option<SASLAuthStartupHandler<Parameters>>,
}

impl Startup {
    pub fn new(shared: Arc<Shared>) -> Self {
        let scram = shared.secret.clone().map(|secret| {
            SASLAuthStartupHandler::new(Arc::new(Parameters::new()))
                .with_scram(ScramAuth::new(Arc::new(secret)))
                .with_pid_secret_key_generator(Arc::clone(&NUMBERS) as _)
                .with_connection_manager(Arc::clone(&shared.manager))
        });
        Self { shared, scram }
    }

    fn take_place(&self, client: &impl ClientInfo) -> PgWireResult<()> {
        let Ok(permit) = Arc::clone(&self.shared.sessions).try_acquire_owned() else {
            self.shared.refuse("connections");
            let limit = self.shared.options.connections_max;
            let mut full = errors::fatal(
                errors::state::TOO_MANY,
                format!("there are {limit} sessions (postgres.connections_max)"),
            );
            full.hint = Some("close some, or try again later".to_owned());
            return Err(PgWireError::UserError(Box::new(full)));
        };
        let open = self.shared.running.metrics().connections.with_label_values(&["postgres"]);
        open.inc();
        client.session_extensions().insert(Place { _permit: permit, open });
        Ok(())
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let is_first = matches!(message, PgWireFrontendMessage::Startup(_));
        if is_first {
            self.take_place(client)?;
        }
        if let Some(scram) = &self.scram {
            scram.on_startup(client, message).await?;
            if is_first {
                session::begin(client.metadata_mut());
            }
            return Ok(());
        }
        let PgWireFrontendMessage::Startup(startup) = message else { return Ok(()) };
        protocol_negotiation(client, &startup).await?;
        save_startup_parameters_to_metadata(client, &startup);
        session::begin(client.metadata_mut());
        let (number, key) = NUMBERS.generate(client);
        client.set_pid_and_secret_key(number, key.clone());
        let (handle, guard) = self.shared.manager.register(number, key);
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        finish_authentication(client, &Parameters::new()).await
    }
}
