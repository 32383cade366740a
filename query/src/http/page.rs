//! The page for browsers: `page/dist`, made by `page/build.sh` and compiled in.
//!
//! At `/` browsers (those that accept `text/html`) get the page; other clients get the list of endpoints, as ever.

use super::{Endpoints, index};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

/// A file of the page.
#[derive(Debug)]
struct File {
    media_type: &'static str,
    plain: &'static [u8],
    /// The same with gzip.
    packed: &'static [u8],
}

const PAGE: File = File {
    media_type: "text/html; charset=utf-8",
    plain: include_bytes!("../../../page/dist/index.html"),
    packed: include_bytes!("../../../page/dist/index.html.gz"),
};
const SCRIPT: File = File {
    media_type: "text/javascript; charset=utf-8",
    plain: include_bytes!("../../../page/dist/app.js"),
    packed: include_bytes!("../../../page/dist/app.js.gz"),
};
const STYLE: File = File {
    media_type: "text/css; charset=utf-8",
    plain: include_bytes!("../../../page/dist/app.css"),
    packed: include_bytes!("../../../page/dist/app.css.gz"),
};

/// What the page may load, and from where: from here alone, and nothing that is written into it.
const POLICY: &str = include_str!("../../../page/dist/policy.txt");

/// `GET /`.
pub(super) async fn first(endpoints: State<Endpoints>, headers: HeaderMap) -> Response {
    if accepts_html(&headers) {
        return answer(&PAGE, &headers);
    }
    ([(header::VARY, "accept")], index::index(endpoints, headers).await).into_response()
}

/// `GET /page/{name}`.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match name.as_str() {
        "app.js" => answer(&SCRIPT, &headers),
        "app.css" => answer(&STYLE, &headers),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The file, packed if the client can unpack it, or 304 when it has it already.
fn answer(file: &File, headers: &HeaderMap) -> Response {
    // Weak: one tag for the bytes, however they are packed.
    let tag = format!("W/\"{:016x}\"", xxh3_64(file.plain));
    let is_there = is_listed(headers, &tag);
    let common = [
        (header::ETAG, tag),
        // Kept, but asked for each time: another version of the program has another page at the same address.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, "accept, accept-encoding".to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    if is_there {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let media_type = [(header::CONTENT_TYPE, file.media_type)];
    match accepts_gzip(headers) {
        true => (common, media_type, [(header::CONTENT_ENCODING, "gzip")], file.packed).into_response(),
        false => (common, media_type, file.plain).into_response(),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Browsers name it; curl and libraries say `*/*` or nothing.
fn accepts_html(headers: &HeaderMap) -> bool {
    text_of(headers, &header::ACCEPT).contains("text/html")
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    text_of(headers, &header::ACCEPT_ENCODING).split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.bytes().all(|b| b"0.".contains(&b)));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// Whether the client has what this weak tag names.
fn is_listed(headers: &HeaderMap, tag: &str) -> bool {
    let strength = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = strength(tag);
    text_of(headers, &header::IF_NONE_MATCH).split(',').any(|one| one.trim() == "*" || strength(one) == wanted)
}

#[cfg(test)]
mod tests;
