//! The fault matrix: what fails, and what is true of the numbers and messages all the same.
//!
//! | fails | read |
//! |---|---|
//! | the process, at every phase of a commit, of maintenance and of the beginning of a table | `phases` |
//! | the object store: errors, lost and late answers, torn reads and writes, no store at all | `store` |
//! | the process, between an event and the end of its alert's last message | `messages` |
//! | brokers of Kafka, and the network before them | `brokers` |
//! | the wall clock, which jumps | `clock` |
//! | memory, of which there is less than of what waits in Kafka | `memory` |
//!
//! [`feed`] sends events all the while, [`oracle`] knows what must come of them, and [`proxy`] makes the trouble.

mod brokers;
mod clock;
mod feed;
mod link;
mod memory;
mod messages;
mod oracle;
mod phases;
mod proxy;
mod store;

use crate::object_store::S3;
use crate::support::{pack, write_settings};
use proxy::Proxy;
use std::path::{Path, PathBuf};

/// Where the tables are.
const LOCATION: &str = "s3://bucket/tables";

/// Tables in an object store behind the proxy, events over HTTP; `rest` goes on with section `ingest`.
fn settings(folder: &Path, name: &str, store: &str, rest: &str) -> PathBuf {
    let within = folder.join(name);
    std::fs::create_dir_all(&within).unwrap();
    let log = folder.join("log");
    write_settings(
        &within,
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"{LOCATION}\"\n\
             options = {{ aws_access_key_id = \"a\", aws_secret_access_key = \"b\", aws_region = \"us-east-1\", \
             aws_endpoint = \"http://{store}\", aws_allow_http = \"true\", timeout = \"2s\", connect_timeout = \"1s\" }}\n\
             [push]\npath = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerting]\nenabled = false\n\
             [ingest]\n{rest}",
            pack("shop"),
            log.display(),
        ),
    )
}

/// Settings for the last pass of maintenance, beside the process that has ended: nothing is wanted any more.
fn last_pass(folder: &Path, s3: &S3) -> PathBuf {
    let now = "[maintenance]\nfresh_files = 2\ncheckpoint_commits = 1\nlog_retention = \"0s\"\nfile_grace = \"0s\"\n";
    settings(folder, "last", &s3.address, now)
}

/// The store, and the proxy before it.
fn store(python: &Path) -> (S3, Proxy) {
    let s3 = S3::start(python);
    let proxy = Proxy::start(&s3.address);
    (s3, proxy)
}
