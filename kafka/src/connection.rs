//! A connection to one broker: frames out and in, one at a time.

use crate::fetch;
use crate::wire::{Cursor, Malformed, Put};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broker may take for an answer, beyond what it was told to wait.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Key of the request that asks for the versions a broker speaks.
const API_VERSIONS_KEY: i16 = 18;

/// The connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    client: String,
    frame_bytes_max: usize,
    correlation: i32,
    request: Vec<u8>,
}

impl Connection {
    /// Connects, and asks whether the broker speaks our version. `wait` is the longest it will be told to wait.
    pub fn open(host: &str, port: u16, client: &str, wait: Duration, frame_bytes_max: usize) -> Result<Self> {
        let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(wait + RESPONSE_TIMEOUT))?;
                    stream.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
                    let (client, request) = (client.to_owned(), Vec::new());
                    let mut connection = Self { stream, client, frame_bytes_max, correlation: 0, request };
                    connection.check_version()?;
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A second handle, by which another thread can break it off.
    pub fn handle(&self) -> Result<TcpStream> {
        self.stream.try_clone()
    }

    fn check_version(&mut self) -> Result<()> {
        let mut buffer = Vec::new();
        let length = self.exchange(API_VERSIONS_KEY, 0, &mut buffer, |_| ())?;
        let mut cursor = Cursor::new(&buffer[..length]);
        let mut versions = || {
            cursor.i16("error")?;
            for _ in 0..cursor.count(6, "number of requests")? {
                let [key, least, most] = [cursor.i16("key")?, cursor.i16("version")?, cursor.i16("version")?];
                if key == fetch::API_KEY {
                    return Ok((least..=most).contains(&fetch::API_VERSION));
                }
            }
            Ok::<_, Malformed>(false)
        };
        match versions().map_err(invalid)? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Unsupported,
                "it is older than Kafka 2.3\n  hint: librdkafka reads from it, if kafka.fetch says so",
            )),
        }
    }

    /// Sends a request, and reads the body of its response into `buffer`, which only grows: so many bytes of it.
    pub fn exchange(
        &mut self,
        key: i16,
        version: i16,
        buffer: &mut Vec<u8>,
        put_body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<usize> {
        self.correlation = self.correlation.wrapping_add(1);
        self.request.clear();
        self.request.put_i32(0);
        self.request.put_i16(key);
        self.request.put_i16(version);
        self.request.put_i32(self.correlation);
        self.request.put_text(&self.client);
        put_body(&mut self.request);
        let length = self.request.len() as i32 - 4;
        self.request[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&self.request)?;

        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let [length, correlation] =
            [&head[..4], &head[4..]].map(|bytes| bytes.try_into().map_or(0, i32::from_be_bytes));
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let length = length
            .filter(|length| *length <= self.frame_bytes_max)
            .ok_or_else(|| invalid("a frame of impossible length"))?;
        if correlation != self.correlation {
            return Err(invalid("the answer of another request"));
        }
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        self.stream.read_exact(&mut buffer[..length])?;
        Ok(length)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}
