use super::*;

fn parts() -> MailParts {
    MailParts {
        from: "Tidewatch <alerts@shop.example>".to_owned(),
        to: vec!["Zoë <ops@shop.example>".to_owned(), "b@shop.example".to_owned()],
        subject: "Lieferung verspätet · 12 orders".to_owned(),
        text: Some("Zwölf Sendungen.\n.\nEnde".to_owned()),
        html: Some("<p>Zwölf</p>".to_owned()),
        in_reply_to: Some("<first@shop.example>".to_owned()),
        references: vec!["<zero@shop.example>".to_owned(), "<first@shop.example>".to_owned()],
        headers: vec![("X-Alert-Group".to_owned(), "orders".to_owned())],
        ..MailParts::default()
    }
}

fn composed(parts: MailParts) -> String {
    String::from_utf8(compose(&MailContent::Parts(parts), "key-1", 784_111_777_000).unwrap()).unwrap()
}

#[test]
fn the_same_message_has_the_same_bytes() {
    assert_eq!(composed(parts()), composed(parts()));
}

#[test]
fn headers_thread_and_identify() {
    let mail = composed(parts());
    let id = message_id("key-1", &parts().from);
    assert!(id.ends_with("@shop.example>"), "{id}");
    for line in [
        &format!("Message-ID: {id}"),
        "In-Reply-To: <first@shop.example>",
        "References: <zero@shop.example> <first@shop.example>",
        "Date: Sun, 06 Nov 1994 08:49:37 +0000",
        "X-Alert-Group: orders",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(mail.contains(&format!("{line}\r\n")), "{line} in {mail}");
    }
    assert!(mail.is_ascii(), "what is not is encoded");
    assert!(!mail.contains("Bcc:"));
    assert_ne!(id, message_id("key-2", &parts().from));
}

#[test]
fn text_and_html_are_alternatives() {
    let mail = composed(parts());
    assert!(mail.contains("multipart/alternative"), "{mail}");
    let (text, html) = (mail.find("text/plain").unwrap(), mail.find("text/html").unwrap());
    assert!(text < html, "the last is preferred");
    let alone = composed(MailParts { html: None, ..parts() });
    assert!(!alone.contains("multipart") && alone.contains("text/plain"));
}

#[test]
fn raw_mails_get_the_line_ends_of_the_protocol_and_nothing_else() {
    let raw = "Subject: x\nMessage-ID: <a@b>\r\n\nbody\n";
    let bytes = compose(&MailContent::Raw(raw.to_owned()), "k", 0).unwrap();
    assert_eq!(bytes, b"Subject: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n");
}
