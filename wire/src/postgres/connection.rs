//! One connection from its first byte to its last.

use super::errors::{fatal, state};
use super::handler::Handler;
use super::limited::Limited;
use super::line::Line;
use super::startup::Startup;
use super::{Shared, described::Stored};
use datafusion_postgres::pgwire::api::cancel::DefaultCancelHandler;
use datafusion_postgres::pgwire::api::{ClientInfo, NoopHandler, PgWireConnectionState};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{
    MaybeTls, PgWireMessageServerCodec, negotiate_tls, process_error, process_message,
};
use futures::{SinkExt, StreamExt};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Framed, FramedParts};

/// From the first byte to the end of the password.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a message may have beside the text of a query: names, types and values of parameters.
const MESSAGE_SPARE: usize = 1024 * 1024;

type Client = Framed<Limited<MaybeTls>, PgWireMessageServerCodec<Stored>>;

/// Answers a client until one of both has enough.
pub(super) async fn converse(
    shared: Arc<Shared>,
    socket: TcpStream,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let started_by = Instant::now() + STARTUP_TIMEOUT;
    let line = Line::of(&socket)?;
    let Ok(negotiated) = timeout_at(started_by, negotiate_tls::<Stored>(socket, shared.tls.clone())).await else {
        return Ok(());
    };
    let Some(client) = negotiated? else { return Ok(()) };
    let parts = client.into_parts();
    let mut bounded: FramedParts<Limited<MaybeTls>, PgWireMessageServerCodec<Stored>> =
        FramedParts::new(Limited::new(parts.io), parts.codec);
    (bounded.read_buf, bounded.write_buf) = (parts.read_buf, parts.write_buf);
    let mut client: Client = Framed::from_parts(bounded);

    let startup = Arc::new(Startup::new(Arc::clone(&shared)));
    let cancel = Arc::new(DefaultCancelHandler::new(Arc::clone(&shared.manager)));
    let message_max = shared.running.engine.limits().query_bytes_max.saturating_add(MESSAGE_SPARE);
    loop {
        let is_starting = is_starting(&client);
        if !is_starting && !client.get_ref().is_bound() {
            let buffered = client.read_buffer().to_vec();
            client.get_mut().bound(message_max, &buffered)?;
        }
        let next = async {
            match is_starting {
                true => timeout_at(started_by, client.next()).await,
                false => timeout(shared.options.idle_timeout, client.next()).await,
            }
        };
        let stopping = async {
            // A sender that is gone stops as well.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let message = tokio::select! {
            message = next => message,
            () = stopping => {
                return end(&mut client, fatal("57P01", "the server is stopping")).await;
            }
        };
        let message = match message {
            Ok(Some(Ok(PgWireFrontendMessage::Terminate(_))) | None) => return Ok(()),
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                if !matches!(&error, PgWireError::IoError(e) if e.kind() == io::ErrorKind::InvalidData) {
                    return Err(error.into());
                }
                shared.refuse("message");
                return end(&mut client, fatal(state::LIMIT, error.to_string())).await;
            }
            Err(_) if is_starting => return Ok(()),
            Err(_) => {
                shared.refuse("idle");
                let silent = shared.options.idle_timeout;
                let message = format!("the session was silent for {silent:?} (postgres.idle_timeout)");
                return end(&mut client, fatal("57P05", message)).await;
            }
        };
        let answered = answer(&shared.handler, &startup, &cancel, &mut client, message, is_starting, &shared);
        let goes_on = tokio::select! {
            goes_on = answered => goes_on?,
            // Nobody is there to read it: its query ends, and gives its turn to others.
            () = line.closed() => false,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Answers one message. `false`: the connection has ended.
async fn answer(
    handler: &Arc<Handler>,
    startup: &Arc<Startup>,
    cancel: &Arc<DefaultCancelHandler>,
    client: &mut Client,
    message: PgWireFrontendMessage,
    is_starting: bool,
    shared: &Shared,
) -> io::Result<bool> {
    if let PgWireFrontendMessage::CancelRequest(_) = message {
        let (startup, copy, cancel) = (Arc::clone(startup), Arc::new(NoopHandler), Arc::clone(cancel));
        let (simple, extended) = (Arc::clone(handler), Arc::clone(handler));
        let done = process_message(message, client, startup, simple, extended, copy, cancel).await;
        return done.map(|()| false).map_err(Into::into);
    }
    let is_extended = message.is_extended_query();
    let (copy, cancel) = (Arc::new(NoopHandler), Arc::clone(cancel));
    let (simple, extended) = (Arc::clone(handler), Arc::clone(handler));
    let done = Box::pin(process_message(message, client, Arc::clone(startup), simple, extended, copy, cancel)).await;
    let Err(error) = done else { return Ok(true) };
    let is_password = matches!(error, PgWireError::InvalidPassword(_));
    let mut info: ErrorInfo = error.into();
    if is_password {
        shared.refuse("password");
    }
    if is_starting || info.is_fatal() {
        info.severity = "FATAL".to_owned();
        end(client, info).await?;
        return Ok(false);
    }
    process_error(client, PgWireError::UserError(Box::new(info)), is_extended).await?;
    Ok(true)
}

/// Says why, and closes. An error before the password is checked must end here: the library would go on to
/// answer queries after it.
async fn end(client: &mut Client, info: ErrorInfo) -> io::Result<()> {
    client.send(PgWireBackendMessage::ErrorResponse(info.into())).await?;
    client.close().await
}

fn is_starting(client: &Client) -> bool {
    use PgWireConnectionState::{AuthenticationInProgress, AwaitingSslRequest, AwaitingStartup};
    matches!(client.state(), AwaitingSslRequest | AwaitingStartup | AuthenticationInProgress)
}
