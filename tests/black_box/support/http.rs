//! The least of an HTTP client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub fn get(address: &str, path: &str, headers: &[&str]) -> std::io::Result<Response> {
    request(address, "GET", path, headers, b"")
}

pub fn post(address: &str, path: &str, headers: &[&str], body: &[u8]) -> std::io::Result<Response> {
    request(address, "POST", path, headers, body)
}

pub fn put(address: &str, path: &str, headers: &[&str], body: &[u8]) -> std::io::Result<Response> {
    request(address, "PUT", path, headers, body)
}

fn request(address: &str, method: &str, path: &str, headers: &[&str], body: &[u8]) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    headers.iter().for_each(|h| head.extend([h, "\r\n"]));
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(|| std::io::Error::other("no end of the headers"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { joined(&bytes[end + 4..])? } else { bytes[end + 4..].to_vec() };
    Ok(Response { status, head, body })
}

/// The chunks of a body, each after a line that says how long it is.
fn joined(mut rest: &[u8]) -> std::io::Result<Vec<u8>> {
    let broken = || std::io::Error::other("a broken chunk");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").ok_or_else(broken)?;
        let length =
            std::str::from_utf8(&rest[..line]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let (start, length) = (line + 2, length.ok_or_else(broken)?);
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(start..start + length).ok_or_else(broken)?);
        rest = rest.get(start + length + 2..).ok_or_else(broken)?;
    }
}
