//! The thread of one broker: asks, notes, hands over.

use crate::connection::Connection;
use crate::fetch::{self, Wanted};
use crate::fetcher::{ErrorCode, Job, Part, Response, Shared};
use std::io::{Error, ErrorKind, Result};
use std::sync::mpsc::SyncSender;

/// Fetches until the reader is gone.
pub fn serve(shared: &Shared, broker: i32, responses: &SyncSender<Response>) {
    let mut connection = None;
    for turn in 0.. {
        let Some(job) = shared.next_job(broker, turn) else { return };
        let mut buffer = shared.take_buffer();
        match ask(shared, broker, &job, &mut connection, &mut buffer) {
            Ok(parts) if parts.is_empty() => shared.give_buffer(buffer),
            Ok(parts) => {
                if responses.send(Response { buffer, parts }).is_err() {
                    return;
                }
            }
            Err(error) => {
                connection = None;
                shared.give_buffer(buffer);
                shared.lost(broker, &error);
            }
        }
    }
}

fn ask(
    shared: &Shared,
    broker: i32,
    job: &Job,
    connection: &mut Option<(Connection, String, u16)>,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Part>> {
    let settings = &shared.settings;
    let is_there = |(_, host, port): &&mut (Connection, String, u16)| *host == job.host && *port == job.port;
    let open = match connection.as_mut().filter(is_there) {
        Some(open) => open,
        None => {
            let (client, frame_max) = (settings.client.as_str(), settings.frame_bytes_max);
            let open = Connection::open(&job.host, job.port, client, settings.wait, frame_max)?;
            shared.connected(broker, open.handle()?);
            connection.insert((open, job.host.clone(), job.port))
        }
    };
    let mut wanted: Vec<Wanted<'_>> = Vec::with_capacity(job.wanted.len());
    for part in &job.wanted {
        wanted.push(Wanted { topic: &part.partition.topic, number: part.partition.number, offset: part.offset });
    }
    let length = open.0.exchange(fetch::API_KEY, fetch::API_VERSION, buffer, |request| {
        fetch::put_request(request, &settings.limits(), &wanted);
    })?;
    let body = &buffer[..length];
    let (error, answers) = fetch::read_response(body).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    if error != 0 {
        return Err(Error::other(ErrorCode(error).to_string()));
    }
    Ok(shared.note(job, &answers, body))
}
