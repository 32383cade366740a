//! A client that keeps its connection, and the events that it sends.

use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One connection.
pub struct Poster {
    stream: BufReader<TcpStream>,
}

impl Poster {
    pub fn connect(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends events and returns the status of the answer.
    pub fn post(&mut self, content_type: &str, body: &[u8]) -> Result<u16, Error> {
        let length = body.len();
        let mut request = format!(
            "POST /api/v1/events HTTP/1.1\r\nHost: t\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(Error::other("the connection was closed"));
            }
            let header = line.trim().to_ascii_lowercase();
            if let Some(rest) = header.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0);
            } else if let Some(rest) = header.strip_prefix("content-length: ") {
                length = rest.parse().unwrap_or(0);
            } else if header.is_empty() {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest)?;
        Ok(status)
    }
}

/// An API call that took `number` (at most 9999) milliseconds.
pub fn call(number: u64) -> String {
    let (minute, second, duration_ms) = (number / 60 % 60, number % 60, number % 10_000);
    format!(
        r#"{{"specversion":"1.0","id":"call-{number}","source":"/calls","type":"apihealth.api_call.completed.v1","time":"2026-03-14T18:{minute:02}:{second:02}Z","tenantkind":"creator","tenantid":"c1","data":{{"provider":"usps","api":"rates","outcome":"success","duration_ms":{duration_ms},"status_code":200}}}}"#
    )
}

/// A JSON array of calls.
pub fn batch(numbers: Range<u64>) -> String {
    format!("[{}]", numbers.map(call).collect::<Vec<_>>().join(","))
}

/// Packed by the program of that name.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}
