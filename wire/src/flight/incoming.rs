//! Connections, no more than there is room for.

use crate::metrics::WireMetrics;
use futures::{Stream, stream};
use prometheus::IntGauge;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A connection with its place.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    open: IntGauge,
    _place: OwnedSemaphorePermit,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Accepts; a client too many is closed at once.
pub(super) fn incoming(
    listener: TcpListener,
    connections_max: usize,
    metrics: WireMetrics,
) -> impl Stream<Item = io::Result<Client>> {
    let places = Arc::new(Semaphore::new(connections_max));
    stream::unfold((listener, places, metrics), |(listener, places, metrics)| async move {
        loop {
            let socket = match listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => return Some((Err(error), (listener, places, metrics))),
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                metrics.refused.with_label_values(&["flight", "connections"]).inc();
                continue;
            };
            // Small messages go at once; where that cannot be had, they are late.
            let _ = socket.set_nodelay(true);
            let open = metrics.connections.with_label_values(&["flight"]);
            open.inc();
            return Some((Ok(Client { socket, open, _place: place }), (listener, places, metrics)));
        }
    })
}

impl Connected for Client {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
