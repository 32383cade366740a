use super::*;
use axum::http::HeaderValue;

const FILES: [&File; 3] = [&PAGE, &SCRIPT, &STYLE];

fn asked(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn header_of<'a>(response: &'a Response, name: &header::HeaderName) -> &'a str {
    text_of(response.headers(), name)
}

async fn body(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

#[tokio::test]
async fn what_is_packed_is_what_is_plain() {
    for file in FILES {
        let plain = answer(file, &asked(&[(header::ACCEPT_ENCODING, "br, gzip;q=0")]));
        assert_eq!(header_of(&plain, &header::CONTENT_ENCODING), "");
        assert_eq!(header_of(&plain, &header::CONTENT_TYPE), file.media_type);
        assert_eq!(body(plain).await, file.plain);
        let packed = answer(file, &asked(&[(header::ACCEPT_ENCODING, "deflate, gzip;q=0.8, br")]));
        assert_eq!(header_of(&packed, &header::CONTENT_ENCODING), "gzip");
        let packed = body(packed).await;
        // gzip ends with the length of what it packs.
        let (_, length) = packed.split_at(packed.len() - 4);
        assert_eq!(u32::from_le_bytes(length.try_into().unwrap()) as usize, file.plain.len());
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    for file in FILES {
        let first = answer(file, &HeaderMap::new());
        let tag = header_of(&first, &header::ETAG).to_owned();
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&format!("\"other\", {tag}")).unwrap());
        let second = answer(file, &again);
        assert_eq!((second.status(), header_of(&second, &header::ETAG)), (StatusCode::NOT_MODIFIED, tag.as_str()));
        assert_eq!(body(second).await, b"");
    }
    let other = asked(&[(header::IF_NONE_MATCH, "W/\"0\"")]);
    assert_eq!(answer(&PAGE, &other).status(), StatusCode::OK);
}

#[test]
fn nothing_in_the_page_is_loaded_from_elsewhere_or_written_into_it() {
    let page = std::str::from_utf8(PAGE.plain).unwrap();
    for loaded in ["page/app.js", "page/app.css"] {
        assert!(page.contains(loaded), "{loaded}");
    }
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "the one with src");
    let response = answer(&PAGE, &HeaderMap::new());
    let policy = header_of(&response, &header::CONTENT_SECURITY_POLICY);
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let bytes: usize = FILES.iter().map(|file| file.plain.len()).sum();
    assert!(bytes < 300_000, "{bytes}");
}

#[test]
fn browsers_are_known_by_what_they_accept() {
    let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (accept, is_browser) in [(chromium, true), ("*/*", false), ("application/json", false), ("", false)] {
        assert_eq!(accepts_html(&asked(&[(header::ACCEPT, accept)])), is_browser, "{accept}");
    }
}
