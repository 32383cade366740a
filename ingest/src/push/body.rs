//! The bytes of a request: bounded in size and time, packed or not.

use super::PushSettings;
use super::answer::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use std::io::Read;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

impl Packing {
    pub fn of(headers: &HeaderMap) -> Result<Self, Box<Refusal>> {
        let found = headers.get(header::CONTENT_ENCODING).map(|v| String::from_utf8_lossy(v.as_bytes()));
        match found.as_deref().map(|f| f.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Ok(Self::Plain),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some(other) => {
                let message = format!("content-encoding: expected gzip or none, found {other:?}");
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message))
            }
        }
    }

    /// The body as it was before it was packed, at most `bytes_max` of it.
    pub fn unpack(self, body: Bytes, bytes_max: usize) -> Result<Bytes, Box<Refusal>> {
        match self {
            Self::Plain => Ok(body),
            Self::Gzip => {
                let mut unpacked = Vec::new();
                let mut bounded = MultiGzDecoder::new(&*body).take((bytes_max as u64).saturating_add(1));
                let read = bounded.read_to_end(&mut unpacked);
                read.map_err(|error| Refusal::bad_request(format!("the body is no gzip: {error}")))?;
                if unpacked.len() > bytes_max {
                    return Err(too_large("unpacked, the body", bytes_max));
                }
                Ok(unpacked.into())
            }
        }
    }
}

/// The whole body as it comes.
pub(super) async fn receive(headers: &HeaderMap, body: Body, settings: &PushSettings) -> Result<Bytes, Box<Refusal>> {
    let max = settings.body_bytes_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large("the body", max));
    }
    let whole = async {
        let mut chunks = body.into_data_stream();
        let mut received = BytesMut::with_capacity(announced.unwrap_or_default());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::bad_request(format!("the body broke off: {error}")))?;
            if received.len() + chunk.len() > max {
                return Err(too_large("the body", max));
            }
            received.extend_from_slice(&chunk);
        }
        Ok(received.freeze())
    };
    tokio::time::timeout(settings.body_timeout, whole).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {:?} (push.body_timeout)", settings.body_timeout);
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
    })
}

fn too_large(what: &str, bytes_max: usize) -> Box<Refusal> {
    let message = format!("{what} is larger than {bytes_max} bytes (push.body_bytes_max)");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).hint("send the events in several requests")
}
