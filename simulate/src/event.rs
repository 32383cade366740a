//! What the generator hands out, and the CloudEvents envelope around it.

use crate::ids::Ulid;
use crate::json;
use crate::population::ShopIndex;
use crate::world::World;

/// Topic of the order events.
pub const ORDERS_TOPIC: &str = "orders.events.v1";
/// Topic of stock, its synchronisation and restocks.
pub const INVENTORY_TOPIC: &str = "inventory.events.v1";
/// Topic of quotes, labels, shipments and claims.
pub const SHIPPING_TOPIC: &str = "shipping.events.v1";
/// Topic of API calls, webhooks, tokens and connections of shops.
pub const API_HEALTH_TOPIC: &str = "apihealth.events.v1";
/// Topic of automation rules, their runs, and what is left for people to do.
pub const AUTOMATION_TOPIC: &str = "automation.events.v1";
/// Topic of health checks, resources, queues, databases and backups.
pub const HEALTH_TOPIC: &str = "health.events.v1";
/// All topics the generator writes to.
pub const TOPICS: [&str; 6] =
    [ORDERS_TOPIC, API_HEALTH_TOPIC, INVENTORY_TOPIC, SHIPPING_TOPIC, AUTOMATION_TOPIC, HEALTH_TOPIC];

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
    /// A call to a carrier during its outage, or what comes of it: a check, a label that failed, a switch
    /// to another carrier.
    CarrierOutage,
    /// A webhook that waited because processing stood still, or a look at the queue meanwhile.
    WebhookBacklog,
    /// The loss of stock that begins a stock-out, or an oversell in its course.
    StockOut,
    /// A token that expired and what comes of it: refused calls, failed synchronisation.
    TokenExpiry,
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
            Self::WebhookBacklog => "webhook_backlog",
            Self::StockOut => "stock_out",
            Self::TokenExpiry => "token_expiry",
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

/// What all events of one type have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventKind {
    pub topic: &'static str,
    pub event_type: &'static str,
    /// The system that tells of it.
    pub source: &'static str,
}

/// Whose event it is. It decides about the tenant, the clock and delays on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Shop(ShopIndex),
    /// A creator as a whole, by index.
    Creator(usize),
    /// What all creators share.
    Platform,
}

impl Owner {
    pub fn shop(self) -> Option<ShopIndex> {
        match self {
            Self::Shop(shop) => Some(shop),
            Self::Creator(_) | Self::Platform => None,
        }
    }

    fn tenant(self, world: &World) -> (&'static str, &str) {
        match self {
            Self::Shop(shop) => ("creator", &world.population.creator_of(shop).id),
            Self::Creator(creator) => ("creator", &world.population.creators[creator].id),
            Self::Platform => ("platform", "platform"),
        }
    }
}

/// The Kafka record key, which is also the `partitionkey`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    /// `<tenantid>:<this>`.
    OfTenant(&'a str),
    Plain(&'a str),
}

/// The attributes of an event that differ from one to the next.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub kind: EventKind,
    pub id: Ulid,
    pub owner: Owner,
    /// Entity and its id, which `subject` joins by a slash.
    pub subject: (&'a str, &'a str),
    pub key: Key<'a>,
    /// Number of the event among those of its subject, from 1; none for subjects of a single event.
    pub sequence: Option<u32>,
    /// The order that the event has to do with, in other topics.
    pub correlation: Option<&'a str>,
    pub truth: Truth,
}

impl Envelope<'_> {
    /// The event of that time, with the members of `data` that the caller writes. It has no arrival yet.
    pub fn event(&self, world: &World, time_us: i64, data: impl FnOnce(&mut json::Object<'_>)) -> SimulatedEvent {
        let clock_error_us = self.owner.shop().map_or(0, |shop| world.clock_error_us(shop, time_us));
        let (tenant_kind, tenant_id) = self.owner.tenant(world);
        let key = match self.key {
            Key::OfTenant(entity) => [tenant_id, ":", entity].concat(),
            Key::Plain(entity) => entity.to_owned(),
        };
        let mut body = Vec::with_capacity(1200);
        json::object(&mut body, clock_error_us, |o| {
            o.text("specversion", "1.0");
            o.text("id", self.id.as_str());
            o.text("source", self.kind.source);
            o.text("type", self.kind.event_type);
            o.joined("subject", self.subject.0, "/", self.subject.1);
            o.time("time", time_us);
            o.text("datacontenttype", "application/json");
            o.text("tenantkind", tenant_kind);
            o.text("tenantid", tenant_id);
            o.text("partitionkey", &key);
            if let Some(sequence) = self.sequence {
                o.padded("sequence", sequence, 12);
            }
            o.optional_text("correlationid", self.correlation);
            o.object("data", data);
        });
        body.shrink_to_fit();
        let event_time_ms = (time_us + clock_error_us).div_euclid(1000);
        SimulatedEvent {
            topic: self.kind.topic,
            key,
            event_type: self.kind.event_type,
            event_time_ms,
            arrival_ms: event_time_ms,
            body,
            truth: self.truth,
        }
    }
}
