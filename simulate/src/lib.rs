//! Event generator, scenarios and the in-process broker
