//! A mail: who gets it, and its content as parts or as finished bytes.

use serde::{Deserialize, Serialize};

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailMessage {
    /// For the SMTP server; the header lines may say otherwise (blind copies).
    pub envelope: Envelope,
    /// Header and body.
    pub content: MailContent,
}

/// Who sends and who gets it, as the SMTP server is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Address that is told of failed delivery.
    pub from: String,
    /// Addresses of the recipients, 1 to [`RECIPIENTS_MAX`](super::RECIPIENTS_MAX). Each is delivered to on its
    /// own: one that is refused does not keep the others from getting the mail.
    pub to: Vec<String>,
}

/// Header and body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "both are large, and live shortly")]
pub enum MailContent {
    /// To be put together when it is sent; the same bytes every time.
    Parts(MailParts),
    /// A finished RFC 5322 message with its own `Message-ID`.
    Raw(String),
}

/// Parts of a mail. With text and HTML it is `multipart/alternative`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailParts {
    /// `From`, an address with or without a name.
    pub from: String,
    /// `To`.
    pub to: Vec<String>,
    /// `Cc`.
    pub cc: Vec<String>,
    /// `Reply-To`.
    pub reply_to: Option<String>,
    /// `Subject`.
    pub subject: String,
    /// Plain text.
    pub text: Option<String>,
    /// HTML.
    pub html: Option<String>,
    /// `Message-ID` with its angle brackets; by default made from the idempotency key and the domain of `from`.
    pub message_id: Option<String>,
    /// `In-Reply-To`, with angle brackets.
    pub in_reply_to: Option<String>,
    /// `References`, each with angle brackets, oldest first.
    pub references: Vec<String>,
    /// Further header lines.
    pub headers: Vec<(String, String)>,
}
