//! Settings of a session: what `SET` keeps, what `SHOW` says, which of them the client is told.

use super::errors::{error, state};
use crate::catalogue::SessionValues;
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::api::{ClientInfo, METADATA_USER, Type};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use futures::stream;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_query::gate::{client_at, client_named};

/// Settings that a session may have of its own.
const SETTINGS_MAX: usize = 200;
/// Bytes of one value.
const VALUE_MAX: usize = 8 * 1024;

/// Settings whose changes clients are told, as they are spelled there.
const TOLD: [&str; 6] =
    ["DateStyle", "IntervalStyle", "TimeZone", "application_name", "client_encoding", "standard_conforming_strings"];

/// The settings and the user of a session.
pub(super) fn values(client: &(impl ClientInfo + ?Sized)) -> SessionValues {
    let metadata = client.metadata();
    let user = metadata.get(METADATA_USER).cloned().unwrap_or_default();
    let is_setting = |name: &str| !matches!(name, "user" | "database" | "options" | "replication");
    let set = metadata.iter().filter(|(name, _)| is_setting(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    SessionValues { user, set }
}

/// Whose turns its queries take: those of its user, whichever connection it asks by, else those of its address.
pub(super) fn client(client: &(impl ClientInfo + ?Sized)) -> String {
    match client.metadata().get(METADATA_USER).filter(|user| !user.is_empty()) {
        Some(user) => client_named(METADATA_USER, user.as_bytes()),
        None => client_at(client.socket_addr().ip()),
    }
}

/// Brings the settings that a client began with into one spelling: names in lower case, `options` taken apart,
/// the time zone that of the server.
pub(super) fn begin(metadata: &mut HashMap<String, String>) {
    let given = std::mem::take(metadata);
    for (name, value) in given.into_iter().take(SETTINGS_MAX) {
        if name == "options" {
            let words: Vec<&str> = value.split_whitespace().collect();
            let settings = words.iter().filter_map(|w| w.trim_start_matches("-c").split_once('='));
            metadata.extend(settings.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())));
        } else {
            metadata.insert(name.to_ascii_lowercase(), value);
        }
    }
    metadata.insert("timezone".to_owned(), "UTC".to_owned());
    metadata.insert("client_encoding".to_owned(), "UTF8".to_owned());
}

/// Sets one. Returns what the client is to be told.
pub(super) fn set(
    client: &mut (impl ClientInfo + ?Sized),
    name: &str,
    value: &str,
) -> PgWireResult<Vec<PgWireBackendMessage>> {
    let mut told = Vec::new();
    let mut kept = value.to_owned();
    match name {
        "timezone" => {
            if !is_utc(value) {
                let text = format!("times stay in UTC; local_time(ts, '{value}') shows another zone");
                let notice = ErrorInfo::new("WARNING".to_owned(), "01000".to_owned(), text);
                told.push(PgWireBackendMessage::NoticeResponse(notice.into()));
            }
            kept = "UTC".to_owned();
        }
        "client_encoding" => {
            if !matches!(value.to_ascii_uppercase().replace('-', "").as_str(), "UTF8" | "UNICODE" | "DEFAULT") {
                let message = format!("client_encoding: expected UTF8, found {value}");
                return Err(error(state::INVALID_PARAMETER, message));
            }
            kept = "UTF8".to_owned();
        }
        "statement_timeout" => {
            duration(value).ok_or_else(|| {
                let message = format!("statement_timeout: expected milliseconds, or 5s, 2min, 1h; found {value}");
                error(state::INVALID_PARAMETER, message)
            })?;
        }
        "transaction_read_only" | "default_transaction_read_only" => kept = "on".to_owned(),
        _ => {}
    }
    if kept.len() > VALUE_MAX {
        return Err(error(state::LIMIT, format!("{name} has {} bytes, the limit is {VALUE_MAX}", kept.len())));
    }
    let metadata = client.metadata_mut();
    if metadata.len() >= SETTINGS_MAX && !metadata.contains_key(name) {
        return Err(error(state::LIMIT, format!("the session has {SETTINGS_MAX} settings of its own, no more fit")));
    }
    match value.eq_ignore_ascii_case("default") {
        true => {
            metadata.remove(name);
        }
        false => {
            metadata.insert(name.to_owned(), kept);
        }
    }
    if let Some(spelled) = TOLD.iter().find(|t| t.eq_ignore_ascii_case(name)) {
        let value = values(client).get(name).unwrap_or_default().to_owned();
        let status = ParameterStatus::new((*spelled).to_owned(), value);
        told.push(PgWireBackendMessage::ParameterStatus(status));
    }
    Ok(told)
}

/// Forgets one setting, or all.
pub(super) fn reset(client: &mut (impl ClientInfo + ?Sized), name: Option<&str>) {
    match name {
        Some(name) => {
            client.metadata_mut().remove(name);
        }
        None => client.metadata_mut().retain(|name, _| matches!(name.as_str(), "user" | "database")),
    }
}

/// The time a session gives its statements; `None` when it did not say.
pub(super) fn statement_timeout(client: &(impl ClientInfo + ?Sized)) -> Option<Duration> {
    duration(client.metadata().get("statement_timeout")?).filter(|d| !d.is_zero())
}

/// A time as Postgres writes it: milliseconds, or with a unit.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("default") {
        return Some(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let factor = match text.get(digits..)?.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(factor)?))
}

fn is_utc(zone: &str) -> bool {
    let zone = zone.to_ascii_uppercase();
    ["UTC", "ETC/UTC", "GMT", "ETC/GMT", "Z", "ZULU", "UCT", "0", "+00", "+00:00", "DEFAULT", "LOCAL"].contains(&&*zone)
}

/// The columns of a `SHOW`.
pub(super) fn shown_fields(name: &str, format: FieldFormat) -> Vec<FieldInfo> {
    let column = |name: &str| FieldInfo::new(name.to_owned(), None, None, Type::TEXT, format);
    match name {
        "all" => ["name", "setting", "description"].map(column).into(),
        "timezone" => vec![column("TimeZone")],
        "datestyle" => vec![column("DateStyle")],
        other => vec![column(other)],
    }
}

/// Answers a `SHOW`.
pub(super) fn show(values: &SessionValues, name: &str, format: FieldFormat) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(shown_fields(name, format));
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    let mut rows = Vec::new();
    if name == "all" {
        for (name, value) in values.all() {
            encoder.encode_field(&name)?;
            encoder.encode_field(&value)?;
            encoder.encode_field(&None::<&str>)?;
            rows.push(Ok(encoder.take_row()));
        }
    } else {
        let value = values.get(name).ok_or_else(|| {
            error(state::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
        })?;
        encoder.encode_field(&value)?;
        rows.push(Ok(encoder.take_row()));
    }
    let mut response = QueryResponse::new(fields, stream::iter(rows));
    response.set_command_tag("SHOW");
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_postgres_writes_them() {
        let cases = [("0", 0), ("250", 250), ("5s", 5000), ("2min", 120_000), ("1h", 3_600_000), ("7 ms", 7)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!((duration("soon"), duration("-1"), duration("")), (None, None, None));
    }

    #[test]
    fn sessions_begin_in_one_spelling() {
        let given = [
            ("DateStyle", "ISO"),
            ("TimeZone", "Europe/Berlin"),
            ("options", "-c statement_timeout=5s -cfoo=bar"),
            ("user", "anna"),
        ];
        let mut metadata = given.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        begin(&mut metadata);
        assert_eq!((metadata["datestyle"].as_str(), metadata["timezone"].as_str()), ("ISO", "UTC"));
        assert_eq!((metadata["statement_timeout"].as_str(), metadata["foo"].as_str()), ("5s", "bar"));
        assert_eq!(metadata["user"], "anna");
    }
}
