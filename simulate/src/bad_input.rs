//! Spoils events, each in one of the ways in which producers get them wrong.

use crate::event::{BadInput, OVERSIZED_BYTES, SimulatedEvent, Truth};
use crate::random::Random;

const FUTURE: &str = "\"2099-01-01T00:00:00.000Z\"";
const FUTURE_MS: i64 = 4_070_908_800_000;

/// Kinds by weight. Oversized messages are rare, as they weigh more than a thousand ordinary ones.
const KINDS: &[(BadInput, u32)] = &[
    (BadInput::BrokenJson, 20),
    (BadInput::MissingTenant, 20),
    (BadInput::WrongType, 20),
    (BadInput::FutureTimestamp, 19),
    (BadInput::UnknownEnum, 20),
    (BadInput::RecordTooLarge, 1),
];

/// Draws how an event is to be spoiled.
pub(crate) fn draw(random: &mut Random) -> BadInput {
    random.weighted(KINDS)
}

/// Spoils the event. The fields that are looked for stand in every order created and API call.
pub(crate) fn spoil(event: &mut SimulatedEvent, kind: BadInput) {
    let body = &mut event.body;
    match kind {
        BadInput::BrokenJson => body.truncate(body.len() / 2),
        BadInput::MissingTenant => {
            remove_member(body, "tenantkind");
            remove_member(body, "tenantid");
        }
        BadInput::WrongType => {
            replace_value(body, "total_minor", b"\"a lot\"");
            replace_value(body, "duration_ms", b"\"a while\"");
        }
        BadInput::FutureTimestamp => {
            replace_value(body, "time", FUTURE.as_bytes());
            event.event_time_ms = FUTURE_MS;
        }
        BadInput::UnknownEnum => replace_value(body, "outcome", b"\"teapot\""),
        BadInput::RecordTooLarge => {
            let padding = "x".repeat(OVERSIZED_BYTES.saturating_sub(body.len()));
            let end = body.len() - 1;
            body.truncate(end);
            body.extend_from_slice(b",\"padding\":\"");
            body.extend_from_slice(padding.as_bytes());
            body.extend_from_slice(b"\"}");
        }
    }
    event.truth = Truth::Bad(kind);
}

/// Replaces the value of the first member of that name, if there is one. The value is a scalar without
/// commas or braces.
fn replace_value(body: &mut Vec<u8>, name: &str, value: &[u8]) {
    if let Some((_, value_start, end)) = find_member(body, name) {
        body.splice(value_start..end, value.iter().copied());
    }
}

/// Removes the first member of that name, if there is one and another follows.
fn remove_member(body: &mut Vec<u8>, name: &str) {
    if let Some((start, _, end)) = find_member(body, name) {
        body.drain(start..=end);
    }
}

/// Start of the member, start of its value, and its end.
fn find_member(body: &[u8], name: &str) -> Option<(usize, usize, usize)> {
    let quoted = ["\"", name, "\":"].concat();
    let start = body.windows(quoted.len()).position(|window| window == quoted.as_bytes())?;
    let value_start = start + quoted.len();
    let length = body[value_start..].iter().position(|byte| matches!(byte, b',' | b'}'))?;
    Some((start, value_start, value_start + length))
}
