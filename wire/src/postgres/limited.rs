//! A stream whose messages have a bound: the library would gather two gigabytes of one before it looks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads through, and fails as soon as a message says that it will be longer than the bound.
#[derive(Debug)]
pub(super) struct Limited<S> {
    inner: S,
    /// `None` until messages have a type and a length.
    frames: Option<Frames>,
}

/// Where in the messages the stream is.
#[derive(Debug)]
struct Frames {
    max: usize,
    header: [u8; 5],
    header_bytes: usize,
    body_left: usize,
}

impl<S> Limited<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, frames: None }
    }

    /// From now on messages are at most `max` bytes long; `buffered` was read already, from the start of one.
    pub fn bound(&mut self, max: usize, buffered: &[u8]) -> io::Result<()> {
        let mut frames = Frames { max, header: [0; 5], header_bytes: 0, body_left: 0 };
        frames.pass(buffered)?;
        self.frames = Some(frames);
        Ok(())
    }

    /// Are messages bound already?
    pub fn is_bound(&self) -> bool {
        self.frames.is_some()
    }
}

impl Frames {
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let passed = self.body_left.min(bytes.len());
                self.body_left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let taken = (self.header.len() - self.header_bytes).min(bytes.len());
            self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            bytes = &bytes[taken..];
            if self.header_bytes == self.header.len() {
                self.header_bytes = 0;
                let [_, length @ ..] = self.header;
                // The length counts itself.
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                if length > self.max {
                    let message = format!("a message of {length} bytes, the limit is {}", self.max);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                self.body_left = length.saturating_sub(4);
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        Poll::Ready(match &mut this.frames {
            Some(frames) => frames.pass(&buf.filled()[before..]),
            None => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![b'Q'];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![0; length as usize - 4]);
        bytes
    }

    #[test]
    fn messages_have_a_bound_however_they_are_cut() {
        let stream: Vec<u8> = [message(4), message(100), message(20)].concat();
        for size in [1, 3, 7, 1000] {
            let mut frames = Frames { max: 100, header: [0; 5], header_bytes: 0, body_left: 0 };
            stream.chunks(size).for_each(|part| frames.pass(part).unwrap());
            let last = [message(4), message(101)].concat();
            assert!(last.chunks(size).any(|part| frames.pass(part).is_err()), "cut into {size}");
        }
    }
}
