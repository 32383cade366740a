//! What the generator hands out, and the CloudEvents envelope around it.

use crate::ids::Ulid;
use crate::json;

/// Topic of the order events.
pub const ORDERS_TOPIC: &str = "orders.events.v1";
/// Topic of the API calls and webhooks.
pub const API_HEALTH_TOPIC: &str = "apihealth.events.v1";
/// All topics the generator writes to.
pub const TOPICS: [&str; 2] = [ORDERS_TOPIC, API_HEALTH_TOPIC];

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedEvent {
    /// Kafka topic.
    pub topic: &'static str,
    /// Kafka record key: the envelope's `partitionkey`.
    pub key: String,
    /// CloudEvents `type`.
    pub event_type: &'static str,
    /// What the event says of when it happened, in milliseconds since 1970.
    pub event_time_ms: i64,
    /// When it reaches the broker, in milliseconds since 1970. Events come in this order.
    pub arrival_ms: i64,
    /// CloudEvents 1.0 in structured JSON mode; one line.
    pub body: Vec<u8>,
    /// What the scenario did to it.
    pub truth: Truth,
}

/// What an engine that sees everything would know about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// Untouched by the scenario.
    Normal,
    /// Belongs to an order that a spike brought, or that was placed at the creator during one.
    ViralSpike,
    /// A call to a carrier during its outage.
    CarrierOutage,
    /// A copy of an event sent before, byte for byte.
    Duplicate,
    /// Held back for minutes before it was delivered.
    Late,
    /// Stamped by a clock that is wrong.
    Skewed,
    /// Must not count, or not as it stands.
    Bad(BadInput),
}

impl Truth {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ViralSpike => "viral_spike",
            Self::CarrierOutage => "carrier_outage",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Skewed => "skewed",
            Self::Bad(kind) => kind.as_str(),
        }
    }
}

/// Ways in which input can be wrong. The names are those of the reasons in the dead-letter table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadInput {
    /// The body ends in the middle.
    BrokenJson,
    /// No `tenantkind` and no `tenantid`.
    MissingTenant,
    /// A text where a number belongs.
    WrongType,
    /// `time` is in the year 2099.
    FutureTimestamp,
    /// `outcome` has a value outside the catalogue. Such an event counts, under `other`.
    UnknownEnum,
    /// More than [`OVERSIZED_BYTES`].
    RecordTooLarge,
}

/// Size of an oversized message: under the 1,000,000 bytes that Kafka clients and brokers accept unless
/// told otherwise, so that it does reach the engine.
pub const OVERSIZED_BYTES: usize = 600 * 1024;

impl BadInput {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BrokenJson,
        Self::MissingTenant,
        Self::WrongType,
        Self::FutureTimestamp,
        Self::UnknownEnum,
        Self::RecordTooLarge,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokenJson => "broken_json",
            Self::MissingTenant => "missing_tenant",
            Self::WrongType => "wrong_type",
            Self::FutureTimestamp => "future_timestamp",
            Self::UnknownEnum => "unknown_enum",
            Self::RecordTooLarge => "record_too_large",
        }
    }
}

/// The attributes of an event that differ from one to the next.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub topic: &'static str,
    pub event_type: &'static str,
    pub id: Ulid,
    pub source: &'static str,
    pub subject: &'a str,
    pub time_us: i64,
    /// Added to every time that the event tells.
    pub clock_error_us: i64,
    pub tenant: Tenant<'a>,
    /// Second half of the key, after the tenant.
    pub key_entity: &'a str,
    pub sequence: Option<u32>,
    pub truth: Truth,
}

/// Whose event it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tenant<'a> {
    Creator(&'a str),
    /// Credentials shared by all creators.
    Platform,
}

impl<'a> Tenant<'a> {
    fn kind(self) -> &'static str {
        match self {
            Self::Creator(_) => "creator",
            Self::Platform => "platform",
        }
    }

    fn id(self) -> &'a str {
        match self {
            Self::Creator(id) => id,
            Self::Platform => "platform",
        }
    }
}

impl Envelope<'_> {
    /// The event with the members of `data` that the caller writes. It has no arrival time yet.
    pub fn with_data(&self, data: impl FnOnce(&mut json::Object<'_>)) -> SimulatedEvent {
        let key = [self.tenant.id(), ":", self.key_entity].concat();
        let mut body = Vec::with_capacity(1400);
        json::object(&mut body, self.clock_error_us, |o| {
            o.text("specversion", "1.0");
            o.text("id", self.id.as_str());
            o.text("source", self.source);
            o.text("type", self.event_type);
            o.text("subject", self.subject);
            o.time("time", self.time_us);
            o.text("datacontenttype", "application/json");
            o.text("tenantkind", self.tenant.kind());
            o.text("tenantid", self.tenant.id());
            o.text("partitionkey", &key);
            if let Some(sequence) = self.sequence {
                o.text("sequence", &format!("{sequence:012}"));
            }
            o.object("data", data);
        });
        let event_time_ms = (self.time_us + self.clock_error_us).div_euclid(1000);
        SimulatedEvent {
            topic: self.topic,
            key,
            event_type: self.event_type,
            event_time_ms,
            arrival_ms: event_time_ms,
            body,
            truth: self.truth,
        }
    }
}
