//! Whether a client is still there while its query runs and nobody reads what it sends.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How long a client that has sent more already may be gone unnoticed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A second handle of a client's socket, which takes nothing from it.
#[derive(Debug)]
pub(super) struct Line(TcpStream);

impl Line {
    /// # Errors
    /// There are too many open files.
    pub fn of(socket: &TcpStream) -> io::Result<Self> {
        let socket = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        Ok(Self(TcpStream::from_std(socket)?))
    }

    /// Waits until the client has hung up.
    pub async fn closed(&self) {
        while let Ok(ready) = self.0.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // Its next messages are waiting, and stay where they are: being readable is no news any more.
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_client_that_hangs_up_is_noticed_whatever_it_has_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for sent in [&b""[..], b"more"] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let line = Line::of(&socket).unwrap();
            client.write_all(sent).await.unwrap();
            assert!(timeout(LOOK_INTERVAL * 2, line.closed()).await.is_err(), "it is there");
            drop(client);
            timeout(Duration::from_secs(10), line.closed()).await.unwrap();
            let mut kept = vec![0; sent.len()];
            tokio::io::AsyncReadExt::read_exact(&mut { socket }, &mut kept).await.unwrap();
            assert_eq!(kept, sent, "what it sent is still to be read");
        }
    }
}
