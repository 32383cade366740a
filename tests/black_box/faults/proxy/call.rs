//! What a request to the object store is for, by its method, its path and what it writes.

use super::wire::Request;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A data file is written.
    DataFile,
    /// Version of a log: a table begins.
    Creation,
    /// … rows are appended with the offsets that they cover.
    Append,
    /// … files are replaced by others that hold the same.
    Merge,
    /// … files are removed that were kept long enough.
    Expiry,
    /// A checkpoint of a log is written, whole or in parts.
    Checkpoint,
    /// Which checkpoint is the newest.
    Hint,
    /// An object, or its size, is asked for.
    Read,
    /// Objects are listed.
    Listing,
    /// Data files are deleted.
    DataRemoval,
    /// Entries of a log are deleted.
    LogRemoval,
    Other,
}

/// A request, understood.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: Kind,
    /// The folder of the table; "" when it is about none.
    pub table: String,
}

impl Call {
    /// The body must have been read: it says what a version does and what is deleted.
    pub fn of(request: &Request) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let body = String::from_utf8_lossy(&request.body);
        // Several objects are deleted by a list; those of one table stand in it.
        let is_list = request.method == "POST" && query.starts_with("delete");
        let listed = is_list.then(|| body.split("<Key>").nth(1)?.split("</Key>").next()).flatten();
        let object = listed.unwrap_or_else(|| path.trim_start_matches("/bucket/"));
        let kind = match request.method.as_str() {
            "POST" | "DELETE" if (is_list || query.is_empty()) && object.contains("_delta_log") => Kind::LogRemoval,
            "POST" | "DELETE" if is_list || query.is_empty() => Kind::DataRemoval,
            "GET" if query.contains("list-type") => Kind::Listing,
            "GET" | "HEAD" => Kind::Read,
            "PUT" | "POST" => written(object, &body),
            _ => Kind::Other,
        };
        // bucket/tables/TABLE/…
        Self { kind, table: object.split('/').nth(1).unwrap_or_default().to_owned() }
    }
}

fn written(object: &str, body: &str) -> Kind {
    let is_log = object.contains("_delta_log");
    match object.rsplit('.').next() {
        Some("json") if is_log && body.contains("\"CREATE TABLE\"") => Kind::Creation,
        Some("json") if is_log && body.contains("tidewatch/retained/") => Kind::Expiry,
        Some("json") if is_log && body.contains("\"OPTIMIZE\"") => Kind::Merge,
        Some("json") if is_log => Kind::Append,
        Some("parquet") if is_log => Kind::Checkpoint,
        Some("parquet") => Kind::DataFile,
        _ if object.ends_with("_last_checkpoint") => Kind::Hint,
        _ => Kind::Other,
    }
}
