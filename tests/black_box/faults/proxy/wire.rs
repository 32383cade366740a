//! Requests and answers as bytes, just enough HTTP/1.1 to stand between a client and a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than a slow server takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request; its body is read when somebody asks for it.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads the next one up to its body; `None` when the client has gone.
    pub fn head(client: &mut BufReader<TcpStream>) -> Option<Self> {
        let first = line(client)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            match line(client)? {
                end if end.is_empty() => break,
                header => {
                    headers.extend(header.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().into())))
                }
            }
        }
        let request = Self { method, path, headers, body: Vec::new() };
        assert!(request.header("transfer-encoding").is_empty(), "a body without a length: {request:?}");
        Some(request)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// How long its body is.
    pub fn length(&self) -> usize {
        self.header("content-length").parse().unwrap_or(0)
    }

    /// Reads so much of its body.
    pub fn read(&mut self, client: &mut BufReader<TcpStream>, length: usize) -> Option<()> {
        self.body = vec![0; length];
        client.read_exact(&mut self.body).ok()
    }

    /// Asks a server the same.
    pub fn forward(&self, server: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("connection: close\r\n\r\n");
        stream.write_all(&[bytes.as_bytes(), &self.body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Answer::parse(&answer).ok_or_else(|| std::io::Error::other("no answer"))
    }
}

fn line(client: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    // Nothing at all is the end of the connection.
    (client.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// What a server has said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head = kept.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
        Some(Self { status, head: head.into_bytes(), body: bytes[end + 4..].to_vec() })
    }

    /// Without words.
    pub fn empty(status: u16) -> Self {
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
        Self { status, head: head.into_bytes(), body: Vec::new() }
    }

    /// Does its head say where its body ends?
    fn has_end(&self) -> bool {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        head.contains("content-length:") || head.contains("chunked") || matches!(self.status, 204 | 304)
    }

    /// Tells the client so much of its body; `None` when the connection must be closed then.
    pub fn send(&self, client: &mut BufReader<TcpStream>, length: usize) -> Option<()> {
        let part = &self.body[..length.min(self.body.len())];
        client.get_mut().write_all(&[&self.head, part].concat()).ok()?;
        (self.has_end() && part.len() == self.body.len()).then_some(())
    }
}
