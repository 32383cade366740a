use super::*;
use crate::message::{HttpReply, Reference};
use crate::secret::Secret;

fn http() -> HttpMessage {
    HttpMessage::post_json(None, "{}", HttpReply::plain())
}

fn mail() -> MailMessage {
    let parts = MailParts {
        from: "Tidewatch <alerts@example.com>".to_owned(),
        to: vec!["ops@example.com".to_owned()],
        subject: "Orders late".to_owned(),
        text: Some("…".to_owned()),
        ..MailParts::default()
    };
    let envelope = Envelope { from: "alerts@example.com".to_owned(), to: vec!["ops@example.com".to_owned()] };
    MailMessage { envelope, content: MailContent::Parts(parts) }
}

fn outgoing(payload: Payload) -> Outgoing {
    Outgoing {
        key: "k-1".to_owned(),
        order_key: "group".to_owned(),
        integration: "slack".to_owned(),
        created_ms: 1,
        give_up_ms: 2,
        payload,
    }
}

fn parts_of(mail: &mut MailMessage) -> &mut MailParts {
    match &mut mail.content {
        MailContent::Parts(parts) => parts,
        MailContent::Raw(_) => panic!("the mail of these tests has parts"),
    }
}

#[test]
fn what_can_be_sent_passes() {
    outgoing(Payload::Http(http())).check().unwrap();
    outgoing(Payload::Http(http().referring(Reference::slack_edit("k-0", http())))).check().unwrap();
    outgoing(Payload::Mail(mail())).check().unwrap();
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_place() {
    let refused = |what: &str, change: &dyn Fn(&mut Outgoing)| {
        let mut message = outgoing(Payload::Http(http()));
        change(&mut message);
        assert_eq!(message.check().expect_err(what).what, what);
    };
    refused("key", &|m| m.key = "with\r\nX-Injected: yes".to_owned());
    refused("key", &|m| m.key = String::new());
    refused("order_key", &|m| m.order_key = String::new());
    refused("integration", &|m| m.integration = "x".repeat(513));
    refused("give_up_ms", &|m| m.give_up_ms = m.created_ms);

    let refused = |what: &str, change: &dyn Fn(&mut HttpMessage)| {
        let mut http = http();
        change(&mut http);
        let error = outgoing(Payload::Http(http)).check().expect_err(what);
        assert_eq!(error.what, what);
        assert!(!error.to_string().contains("hush"), "{error}");
    };
    refused("method", &|h| h.method = "PO ST".to_owned());
    refused("headers", &|h| h.headers.push(("X Y".to_owned(), Secret::new("1"))));
    refused("headers", &|h| h.headers.push(("X".to_owned(), Secret::new("hush\r\nY: 2"))));
    refused("headers", &|h| h.headers.push(("Idempotency-Key".to_owned(), Secret::new("other"))));
    refused("reply.keep", &|h| h.reply.keep = vec!["a".to_owned(); 9]);
    refused("body", &|h| {
        h.body = "[]".to_owned();
        h.refers = Some(Reference::slack_thread("k-0"));
    });
    refused("refers.otherwise", &|h| {
        let again = http().referring(Reference::slack_thread("k-0"));
        h.refers = Some(Reference::slack_edit("k-0", again));
    });
}

#[test]
fn mail_that_cannot_be_sent_is_refused() {
    let refused = |what: &str, change: &dyn Fn(&mut MailMessage)| {
        let mut mail = mail();
        change(&mut mail);
        assert_eq!(outgoing(Payload::Mail(mail)).check().expect_err(what).what, what);
    };
    refused("envelope.from", &|m| m.envelope.from = "nobody".to_owned());
    refused("envelope.to", &|m| m.envelope.to.clear());
    refused("envelope.to", &|m| m.envelope.to = vec!["a@b.c>\r\nRCPT TO:<d@e.f".to_owned()]);
    refused("from", &|m| parts_of(m).from = "a b c".to_owned());
    refused("content", &|m| parts_of(m).text = None);
    refused("subject", &|m| parts_of(m).subject = "a\r\nBcc: all@example.com".to_owned());
    refused("headers", &|m| parts_of(m).headers.push(("X-A".to_owned(), "1\r\nX-B: 2".to_owned())));
    refused("headers", &|m| parts_of(m).headers.push(("Subject".to_owned(), "other".to_owned())));
    let ids = "message_id, in_reply_to or references";
    refused(ids, &|m| parts_of(m).message_id = Some("<a b@c>".to_owned()));
    refused(ids, &|m| parts_of(m).references.push("a@b".to_owned()));
    refused("content", &|m| m.content = MailContent::Raw(String::new()));
}
