//! The HTTP server: connections in bounds. There are only so many, and each says what it wants within a time or is
//! closed; so neither those who never finish a request nor those who open connections without end hold up others for
//! longer than that.

mod body;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use body::TimedBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_wire::WireMetrics;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// The label of its metrics.
const PROTOCOL: &str = "http";
/// Pause after a connection that could not be taken: usually there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Connections at once; more are closed at once.
    pub connections_max: usize,
    /// How long a connection may wait for the end of the next request's head, its first included.
    pub head_timeout: Duration,
    /// How long a body may stand still.
    pub body_timeout: Duration,
}

/// A server.
#[derive(Debug, Clone)]
pub struct HttpServer {
    /// Bounds of its clients.
    pub limits: HttpLimits,
    /// Where they are counted.
    pub metrics: WireMetrics,
}

impl HttpServer {
    /// Serves until `stop`, then finishes the requests that have begun.
    pub async fn serve(self, listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
        let free = Arc::new(Semaphore::new(self.limits.connections_max));
        let (stopping, _) = watch::channel(false);
        let (mut connections, mut stop) = (JoinSet::new(), pin!(stop));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&free).try_acquire_owned() {
                    Ok(permit) => {
                        let connection =
                            Connection { server: self.clone(), peer, stopping: stopping.subscribe(), permit };
                        connections.spawn(connection.serve(stream, routes.clone()));
                    }
                    Err(_) => self.refused("connections"),
                },
                Err(error) => {
                    tracing::warn!(%error, "taking a connection over HTTP");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        while connections.join_next().await.is_some() {}
    }

    fn refused(&self, reason: &str) {
        self.metrics.refused.with_label_values(&[PROTOCOL, reason]).inc();
    }
}

struct Connection {
    server: HttpServer,
    peer: SocketAddr,
    stopping: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, routes: Router) {
        let open = self.server.metrics.connections.with_label_values(&[PROTOCOL]);
        open.inc();
        // Answers are small and waited for; without it they are only later.
        let _ = stream.set_nodelay(true);
        let (peer, limits) = (self.peer, self.server.limits);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(|body| Body::new(TimedBody::new(body, limits.body_timeout)));
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.clone().oneshot(request)
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
        let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
        let stopping = async {
            // A sender that is gone stops as well.
            let _ = self.stopping.wait_for(|stopping| *stopping).await;
        };
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = stopping => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            if error.is_timeout() {
                self.server.refused("idle");
            }
            tracing::debug!(%peer, %error, "a connection over HTTP ended");
        }
        open.dec();
        drop(self.permit);
    }
}
