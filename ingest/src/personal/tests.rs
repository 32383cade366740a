//! Every way to write a personal value, and what stays of it.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;
use tidewatch_engine::rollup::Catalog;

static PERSONAL: LazyLock<Personal> =
    LazyLock::new(|| personal("personal: {drop: [email, phone, straße, a_b], hash: [handle]}", "salt"));
static NOTHING: LazyLock<Personal> = LazyLock::new(|| personal("personal: {}", ""));

fn personal(section: &str, salt: &str) -> Personal {
    let catalog = Catalog::parse(&[("s".to_owned(), format!("{section}\nsources: []"))], &[]).unwrap();
    Personal::new(&catalog.personal, HashKey::from_salt(salt))
}

fn payload(bytes: impl AsRef<[u8]>) -> (String, PersonalCounts) {
    let (cleaned, counts) = PERSONAL.clean_payload(bytes.as_ref(), 10_000);
    (String::from_utf8_lossy(&cleaned).into_owned(), counts)
}

#[test]
fn hashes_are_salted_stable_and_stand_for_themselves() {
    let hash = PERSONAL.hash("anna");
    assert_eq!(hash, "h_dee4d194e41c1de84db7aad4");
    assert_eq!(PERSONAL.hash(&hash), hash);
    assert_ne!(personal("personal: {hash: [x]}", "pepper").hash("anna"), hash);
    assert_ne!(PERSONAL.hash("h_dee4d194e41c1de84db7aad"), "h_dee4d194e41c1de84db7aad", "too short to be a hash");
    assert_eq!(format!("{:?}", HashKey::from_salt("salt")), "HashKey");
}

#[test]
fn values_of_personal_keys_in_well_formed_json() {
    let anna = PERSONAL.hash("anna");
    for (json, expected) in [
        (r#"{"email":"a@b.de","n":1}"#, r#"{"email":"[dropped]","n":1}"#.to_owned()),
        (r#"{ "EMail" : "x" , "n" : 1 }"#, r#"{ "EMail" : "[dropped]" , "n" : 1 }"#.to_owned()),
        (r#"{"\u0065mai\u006C":"x"}"#, r#"{"\u0065mai\u006C":"[dropped]"}"#.to_owned()),
        (r#"{"STRASSE":"x","Straße":"x"}"#, r#"{"STRASSE":"x","Straße":"[dropped]"}"#.to_owned()),
        (r#"{"handle":"anna"}"#, format!(r#"{{"handle":"{anna}"}}"#)),
        (r#"{"handle":"\u0061nna"}"#, format!(r#"{{"handle":"{anna}"}}"#)),
        (&format!(r#"{{"handle":"{anna}"}}"#), format!(r#"{{"handle":"{anna}"}}"#)),
        (r#"{"handle":42}"#, format!(r#"{{"handle":"{}"}}"#, PERSONAL.hash("42"))),
        (
            r#"{"phone":4915112345678,"email":null,"a_b":false}"#,
            r#"{"phone":"[dropped]","email":null,"a_b":"[dropped]"}"#.to_owned(),
        ),
        (r#"{"a":[{"email":{"x":"}\"","y":[1,"]"]}},2]}"#, r#"{"a":[{"email":"[dropped]"},2]}"#.to_owned()),
        (r#"{"email":["a","b"],"email":"c"}"#, r#"{"email":"[dropped]","email":"[dropped]"}"#.to_owned()),
        (
            r#"{"email_count":3,"my_email":"x","xemail":"y"}"#,
            r#"{"email_count":3,"my_email":"x","xemail":"y"}"#.to_owned(),
        ),
        (r#"{"data_base64":"eyJlbWFpbCI6IngifQ=="}"#, r#"{"data_base64":"[dropped]"}"#.to_owned()),
        // JSON in a string
        (
            r#"{"body":"{\"email\":\"x y\",\"n\":{\"handle\":\"anna\"},\"k\":1}"}"#,
            format!(r#"{{"body":"{{\"email\":\"[dropped]\",\"n\":{{\"handle\":\"{anna}\"}},\"k\":1}}"}}"#),
        ),
        // what looks personal elsewhere
        (
            r#"{"note":"write to Anna.B+x@mail.example.com, please"}"#,
            format!(r#"{{"note":"write to [email {}], please"}}"#, PERSONAL.hash("Anna.B+x@mail.example.com")),
        ),
        (
            r#"{"note":"line\nanna\u0040example.com"}"#,
            format!(r#"{{"note":"line\n[email {}]"}}"#, PERSONAL.hash("anna@example.com")),
        ),
        (r#"{"a@b.de":{"n":1}}"#, format!(r#"{{"[email {}]":{{"n":1}}}}"#, PERSONAL.hash("a@b.de"))),
        (
            r#"{"id":"1773512530123","n":5551234567,"at":"2026-03-14T18:22:07Z"}"#,
            r#"{"id":"1773512530123","n":5551234567,"at":"2026-03-14T18:22:07Z"}"#.to_owned(),
        ),
        (r#"["é😀\/",1.5e-7,true,{}]"#, r#"["é😀\/",1.5e-7,true,{}]"#.to_owned()),
    ] {
        let (cleaned, _) = payload(json);
        assert_eq!(cleaned, expected, "{json}");
        assert!(json::is_well_formed(&cleaned), "{cleaned}");
        assert_eq!(payload(&cleaned).0, expected, "cleaned twice");
    }
}

#[test]
fn values_of_personal_keys_in_broken_records() {
    for (text, expected) in [
        (r#"{"email":"a b","n":1"#, r#"{"email":"[dropped]","n":1"#),
        (r#"{"n":1,"email":"a b c"#, r#"{"n":1,"email":"[dropped]""#),
        (r#"{"n":1,"email":"a \"b\" c"#, r#"{"n":1,"email":"[dropped]""#),
        (r#"{"email":{"x":["y","#, r#"{"email":"[dropped]""#),
        (r#"{"email":["x","y"],"n":1,}"#, r#"{"email":"[dropped]","n":1,}"#),
        (r#"{"email":49151,"n":1,}"#, r#"{"email":"[dropped]","n":1,}"#),
        // a quote too few or too many
        (r#"{"n":"x, "email":"5 Main St", "m":1}"#, r#"{"n":"x, "email":"[dropped]", "m":1}"#),
        (r#"{"n":"x"", "email":"5 Main St", "m":1}"#, r#"{"n":"x"", "email":"[dropped]", "m":1}"#),
        (r#"{"email":"5 Main St, "m":1}"#, r#"{"email":"[dropped]"m":1}"#),
        // other spellings
        (r#"{'email': 'x y', 'n': 1}"#, r#"{'email': '[dropped]', 'n': 1}"#),
        ("{email: 5 Main St, Springfield}", "{email: [dropped]}"),
        ("{email: \"5 Main St\", n: 1}", "{email: \"[dropped]\", n: 1}"),
        (r#"{"EM\u0041il":"x",}"#, r#"{"EM\u0041il":"[dropped]",}"#),
        ("email=x%20y&n=1&PHONE=5", "email=[dropped]&n=1&PHONE=[dropped]"),
        (r#""{\"email\":\"x y\",\"n\":1}"#, r#""{\"email\":\"[dropped]\",\"n\":1}"#),
        (r#""{\"email\":{\"x\":\"y\"},\"n\":1}"#, r#""{\"email\":\"[dropped]\",\"n\":1}"#),
        (r#""{\u0022email\u0022:\u0022x y\u0022}"#, r#""{\u0022email\u0022:\u0022[dropped]\u0022}"#),
        ("{\"email\"\n:\n\"x\",}", "{\"email\"\n:\n\"[dropped]\",}"),
        ("log\\nemail: x y", "log\\nemail: [dropped]"),
        // what looks personal elsewhere
        (r#"{"note":"anna@example.com","tel":"+49 151 1234567","#, r#"{"note":"[email]","tel":"[phone]","#),
    ] {
        let (cleaned, counts) = payload(text);
        assert_eq!(cleaned, expected, "{text}");
        assert_eq!(payload(&cleaned).0, expected, "cleaned twice");
        assert!(counts.any() || !text.contains("mail") || text.contains('@'), "{text}");
    }
    let hashed = payload(r#"{"handle":"anna","n":"#).0;
    assert_eq!(hashed, format!(r#"{{"handle":"{}","n":"#, PERSONAL.hash("anna")));
    assert_eq!(payload(r#"{"handle":"ann"#).0, r#"{"handle":"[dropped]""#, "the hash of half a value says nothing");
}

#[test]
fn what_is_no_text_is_not_kept() {
    let utf16: Vec<u8> = r#"{"email":"x"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(payload(utf16).0, "[not kept: 26 bytes that are no text]");
    assert_eq!(payload(b"\x0a\x05email\x12\x03a b\x1a\x01x").0, "[not kept: 15 bytes that are no text]");
    assert_eq!(payload(b"{\"email\":\"M\xfcller\",\"n\":\"\xff\"}").0, "{\"email\":\"[dropped]\",\"n\":\"\u{fffd}\"}");
    assert_eq!(&*NOTHING.clean_payload(&[0, 1, 2], 10).0, [0, 1, 2]);
}

#[test]
fn a_payload_that_is_cut_shows_no_half_of_a_value() {
    let json = format!(r#"{{"pad":"{}","note":"anna@example.com","email":"a b c d e f","n":1}}"#, "x".repeat(100));
    for limit in (0..json.len()).step_by(3) {
        let (cleaned, _) = PERSONAL.clean_payload(json.as_bytes(), limit);
        let cleaned = String::from_utf8_lossy(&cleaned);
        assert!(cleaned.len() <= limit);
        assert!(!cleaned.contains("anna") && !cleaned.contains("a b"), "{limit}: {cleaned}");
    }
    assert_eq!(NOTHING.clean_payload(json.as_bytes(), 5).0.len(), 5);
}

#[test]
fn without_personal_keys_only_broken_records_and_messages_are_scrubbed() {
    let json = br#"{"email":"anna@example.com"}"#;
    assert_eq!(&*NOTHING.clean_payload(json, 1000).0, json);
    assert_eq!(&*NOTHING.clean_payload(&json[..27], 1000).0, br#"{"email":"[email]""#);
    assert_eq!(NOTHING.clean_message("found \"anna@example.com\""), "found \"[email]\"");
}

#[test]
fn addresses_numbers_and_tokens_are_known_by_their_look() {
    for (text, message, value) in [
        ("anna@example.com", "[email]", "[email]"),
        ("anna%40example.com", "[email]", "[email]"),
        ("<mailto:a.b+c@d-e.co.uk>", "<mailto:[email]>", "<mailto:[email]>"),
        ("jürgen@exämple.de", "[email]", "[email]"),
        ("a@b", "a@b", "a@b"),
        ("@anna", "@anna", "@anna"),
        ("call +49 (151) 1234-5678 now", "call [phone] now", "call [phone] now"),
        ("call +4915112345678 now", "call [phone] now", "call [phone] now"),
        ("(555) 123-4567", "[phone]", "[phone]"),
        ("555-123-4567", "[phone]", "[phone]"),
        ("555.123.4567", "[phone]", "[phone]"),
        ("5551234567", "[phone]", "5551234567"),
        ("1773512530123", "[phone]", "1773512530123"),
        ("5551234567 5557654321", "[phone] [phone]", "5551234567 5557654321"),
        ("2026-03-14 18:22:07", "2026-03-14 18:22:07", "2026-03-14 18:22:07"),
        ("2026-03-14T18:22:07.123456Z", "2026-03-14T18:22:07.123456Z", "2026-03-14T18:22:07.123456Z"),
        (
            "550e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
        ),
        ("577123456789012345", "577123456789012345", "577123456789012345"),
        ("12345678.90", "[phone]", "12345678.90"),
        ("order_5551234567", "order_5551234567", "order_5551234567"),
        ("Authorization: Bearer abcDEF123._-~+/=", "Authorization: [token]", "Authorization: [token]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[token]", "[token]"),
        ("x act_9f8e7d6c y act.secret z", "x [token] y [token] z", "x [token] y [token] z"),
        ("sk_live_51H8abcdef", "[token]", "[token]"),
        (
            "row_number shop_name contact_email act_x",
            "row_number shop_name contact_email act_x",
            "row_number shop_name contact_email act_x",
        ),
        ("AKIAIOSFODNN7EXAMPLE", "[token]", "[token]"),
    ] {
        assert_eq!(NOTHING.clean_message(text), message, "message {text}");
        assert_eq!(NOTHING.clean_attribute(text), value, "value {text}");
    }
    assert_ne!(PERSONAL.clean_attribute("a@b.de"), PERSONAL.clean_attribute("c@b.de"), "ids stay apart");
}

#[test]
fn skipped_subtrees_are_counted_without_being_read() {
    let count = |json: &str| {
        let mut counts = PersonalCounts::default();
        PERSONAL.count_skipped(None, json, &mut counts);
        (counts.dropped, counts.hashed)
    };
    assert_eq!(
        count(r#"{"a":[{"Email":"x","n":{"handle":"y"}},{"\u0065mail" : 1}],"email":null,"at":"18:22:07"}"#),
        (2, 1)
    );
    assert_eq!(count(r#"["email","phone"]"#), (0, 0));
    assert_eq!(count(r#"{"email_at":1,"xemail":2,"":3,"straße":4,"STRASSE":5}"#), (1, 0));
    assert_eq!(count("5"), (0, 0));
}

/// In JSON within JSON a quote is two characters, of which the second is damaged, or the first is lost.
#[test]
fn a_damaged_quote_of_a_text_within_a_text_hides_nothing() {
    let quotes = (' '..='~').map(|sign| format!("\\{sign}")).chain(["!\"".to_owned(), " \"".to_owned()]);
    for quote in quotes {
        for outer in [r#"{"body":"{\"email\":@SECRET\"}"}"#, r#"{"body":"{\"handle\": @SECRET\", \"n\": 1}"}"#] {
            let text = outer.replace('@', &quote);
            let (cleaned, _) = payload(&text);
            assert!(!cleaned.contains("SECRET"), "{text} gives {cleaned}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is broken about a record: a value under a personal key does not survive.
    #[test]
    fn no_damage_brings_a_personal_value_back(cut in 0usize..200, flips in prop::collection::vec((0usize..200, "[{}\\[\\]\",:\\\\a-z ]"), 0..4)) {
        let mut text = r#"{"id":"e1","email":"SECRET one","data":{"handle":"SECRET two","n":[1,{"phone":"SECRET"}],"body":"{\"email\":\"SECRET\"}"}}"#.to_owned();
        let keys: Vec<(usize, usize)> = text.match_indices("SECRET").map(|(at, word)| (at, at + word.len())).collect();
        for (at, new) in flips {
            let at = at % text.len();
            // The keys and the quotes around them stay as they are: without them nothing is known.
            let is_key = ["\"email", "\"handle", "\"phone"].iter().any(|k| {
                text.match_indices(k).any(|(start, k)| (start..start + k.len() + 4).contains(&at))
            });
            if !is_key && !keys.iter().any(|&(from, to)| (from..to).contains(&at)) {
                text.replace_range(at..at + 1, &new);
            }
        }
        text.truncate(text.len().saturating_sub(cut));
        let (cleaned, _) = payload(&text);
        prop_assert!(!cleaned.contains("SECRET"), "{} gives {}", text, cleaned);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 0usize..400) {
        prop_assert!(PERSONAL.clean_payload(&bytes, limit).0.len() <= limit);
        prop_assert!(NOTHING.clean_payload(&bytes, limit).0.len() <= limit);
    }

    #[test]
    fn arbitrary_text_never_panics(text in r#"(email|handle|["'\\{}\[\]:=,@+.0-9a u]|\\u0022){0,60}"#) {
        let (cleaned, _) = payload(&text);
        prop_assert_eq!(json::is_well_formed(&text), json::is_well_formed(&text) && json::is_well_formed(&cleaned));
    }
}
