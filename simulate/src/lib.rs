//! Events of a commerce platform that never was, and what a correct engine must find in them.
//!
//! ```text
//! agenda ─▶ orders, calls, webhooks, probes … ─▶ arrivals ─▶ events ─▶ file or Kafka
//! generator   flow: steps in the order of time    on the way   event     output
//! ```
//!
//! A [`Generator`] is an iterator of [`SimulatedEvent`]s and a function of its [`Settings`]: it reads no
//! clock and draws from nothing but the seed, so the same settings give the same bytes. A [`Scenario`]
//! adds trouble whose [`Truth`] is known: each event says what was done to it, and apart from that the
//! events are those of the scenario `steady` with the same seed.
//!
//! What happens is one story told in six topics: an order reserves stock, takes it from the shelf, gets a
//! label and a parcel, and is delivered, late, or never; stock that runs low is ordered again; the queue
//! of webhooks is as long as the webhooks that wait.
//!
//! | to understand | read |
//! |---|---|
//! | what can go wrong, and when | [`Scenario`] |
//! | the events and their labels | `event`, `bad_input` |
//! | the life of an order | `orders` |
//! | stock, parcels, shops, rules, machines | `inventory`, `shipping`, `shops`, `automation`, `health` |
//! | calls and webhooks | `api_calls`, `webhooks` |
//! | who takes part, how busy they are, how often things happen | `population`, `rhythm`, `rates`, `series` |
//! | steps, the order of arrival, lateness and copies | `generator`, `flow`, `arrivals` |
//! | files, Kafka, pace and progress | [`to_file`], [`to_kafka`], [`Run`] |
//! | a broker without installing one | [`DemoBroker`] |

mod api_calls;
mod arrivals;
mod automation;
mod bad_input;
mod broker;
mod event;
#[cfg(test)]
mod fields;
mod flow;
mod generator;
mod health;
mod ids;
mod inventory;
mod json;
mod opening;
mod orders;
mod output;
mod population;
mod random;
mod rates;
mod rhythm;
mod scenario;
mod series;
mod shipping;
mod shops;
mod state;
#[cfg(test)]
mod testing;
mod webhooks;
mod world;

pub use broker::{BrokerError, DemoBroker};
pub use event::{
    API_HEALTH_TOPIC, AUTOMATION_TOPIC, BadInput, HEALTH_TOPIC, INVENTORY_TOPIC, ORDERS_TOPIC, OVERSIZED_BYTES,
    SHIPPING_TOPIC, SimulatedEvent, TOPICS, Truth,
};
pub use generator::{BusinessDay, Generator, Settings, SettingsError};
pub use output::{KafkaTarget, OutputError, Pace, Progress, Run, Summary, to_file, to_kafka};
pub use scenario::{Effect, Interval, Scenario, Schedule, ScheduledEffect, UnknownScenario, scenarios};
