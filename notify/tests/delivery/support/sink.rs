//! An HTTP/1.1 server that answers, refuses, resets, stalls and falls silent as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The sink did what it was asked: it answered with 2xx, or would have if the connection had not broken.
    pub taken: bool,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn key(&self) -> &str {
        self.header("idempotency-key").unwrap_or_default()
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answer with status, further header lines and body.
    Answer(u16, Vec<String>, String),
    /// The same after a while.
    Slow(Duration, u16),
    /// Close with a reset, without having taken the message.
    Reset,
    /// Take the message and close with a reset instead of answering.
    TakeAndReset,
    /// Keep the connection open and never say anything.
    Silence,
    /// Announce a longer body than is sent, and close.
    Truncate,
}

impl Act {
    pub fn ok() -> Self {
        Self::Answer(200, Vec::new(), "ok".to_owned())
    }

    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), "no".to_owned())
    }
}

type Behaviour = Arc<dyn Fn(&Received) -> Act + Send + Sync>;

/// The server. Ends when it is dropped.
pub struct Sink {
    pub port: u16,
    log: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// Listens on a port of its own.
    pub async fn start(behaviour: impl Fn(&Received) -> Act + Send + Sync + 'static) -> Self {
        Self::on(0, behaviour).await
    }

    /// Listens on this port.
    pub async fn on(port: u16, behaviour: impl Fn(&Received) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (behaviour, kept): (Behaviour, _) = (Arc::new(behaviour), log.clone());
        let task = tokio::spawn(async move {
            // Dropped with this task, so that the sink's connections end with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, behaviour.clone(), kept.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, log, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/secret-path", self.port)
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, behaviour: Behaviour, log: Arc<Mutex<Vec<Received>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = read_request(&mut stream).await?;
        let act = behaviour(&request);
        request.taken = match &act {
            Act::Answer(status, ..) | Act::Slow(_, status) => (200..300).contains(status),
            Act::TakeAndReset | Act::Truncate => true,
            Act::Reset | Act::Silence => false,
        };
        log.lock().unwrap().push(request);
        let answer = match act {
            Act::Answer(status, headers, body) => answer(status, &headers, &body),
            Act::Slow(wait, status) => {
                tokio::time::sleep(wait).await;
                answer(status, &[], "slow")
            }
            Act::Reset | Act::TakeAndReset => {
                stream.get_ref().set_zero_linger().ok()?;
                return None;
            }
            Act::Silence => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return None;
            }
            Act::Truncate => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").await.ok()?;
                return None;
            }
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn answer(status: u16, headers: &[String], body: &str) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        match header.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Received { line: line.trim_end().to_owned(), headers, body, taken: false })
}
