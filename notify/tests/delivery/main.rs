//! Delivery against real sockets: sinks that fail in every way, an SMTP server that is not ours, a process that
//! is killed at random moments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests say what went wrong by panicking")]
#![allow(clippy::disallowed_methods, reason = "these tests drive real sockets and processes, by the wall clock")]

mod crash;
mod http;
mod mail;
mod many;
mod measure;
mod slack;
mod support;
