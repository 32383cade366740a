//! Events of a commerce platform that never was, and what a correct engine must find in them.
//!
//! ```text
//! sources ─▶ orders, calls, webhooks ─▶ arrivals ─▶ events ─▶ file or Kafka
//! generator::source  orders, api_calls, webhooks  generator  event     output
//! ```
//!
//! A [`Generator`] is an iterator of [`SimulatedEvent`]s and a function of its [`Settings`]: it reads no
//! clock and draws from nothing but the seed, so the same settings give the same bytes. A [`Scenario`]
//! adds trouble whose [`Truth`] is known: each event says what was done to it, and apart from that the
//! events are those of the scenario `steady` with the same seed.
//!
//! | to understand | read |
//! |---|---|
//! | what can go wrong, and when | [`Scenario`] |
//! | the events and their labels | `event`, `orders`, `api_calls`, `webhooks`, `bad_input` |
//! | who takes part, and how busy they are | `population`, `rhythm` |
//! | the order of arrival, lateness and copies | `generator` |
//! | files, Kafka, pace and progress | [`to_file`], [`to_kafka`], [`Run`] |
//! | a broker without installing one | [`DemoBroker`] |

mod api_calls;
mod bad_input;
mod broker;
mod event;
mod flow;
mod generator;
mod ids;
mod json;
mod orders;
mod output;
mod population;
mod random;
mod rhythm;
mod scenario;
#[cfg(test)]
mod testing;
mod webhooks;
mod world;

pub use broker::{BrokerError, DemoBroker};
pub use event::{API_HEALTH_TOPIC, BadInput, ORDERS_TOPIC, OVERSIZED_BYTES, SimulatedEvent, TOPICS, Truth};
pub use generator::{Generator, Settings, SettingsError};
pub use output::{KafkaTarget, OutputError, Pace, Progress, Run, Summary, to_file, to_kafka};
pub use scenario::{Effect, Interval, Scenario, Schedule, ScheduledEffect, UnknownScenario, scenarios};
