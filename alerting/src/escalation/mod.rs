//! What follows after the first notification: escalation until somebody acknowledges, quiet for what flaps, digests
//! instead of single mails, and what each user prefers.

pub mod audience;
pub mod digest;
pub mod flapping;
pub mod incident;
pub mod preferences;

pub use digest::{Digest, DigestMail};
pub use flapping::Flapping;
pub use incident::{Escalation, Incident, Page};
pub use preferences::{Delivery, Preferences};
