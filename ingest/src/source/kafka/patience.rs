//! Troubles that pass: brokers that are away, leaders that change.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::Duration;

/// How often a question is repeated while brokers are away, and how long the pause is.
const PATIENCE: u32 = 10;
const PATIENCE_WAIT: Duration = Duration::from_secs(1);

/// Asks again while a broker is away: a rolling restart of the cluster must not end the process.
pub(super) fn with_patience<T>(mut question: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    for _ in 0..PATIENCE {
        match question() {
            Err(error) if is_passing(&error) => tracing::warn!(%error, "kafka client; asking again"),
            other => return other,
        }
        std::thread::sleep(PATIENCE_WAIT);
    }
    question()
}

/// Errors that librdkafka recovers from by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    let code = match error {
        KafkaError::MessageConsumption(code) | KafkaError::Global(code) | KafkaError::MetadataFetch(code) => *code,
        // Its reason is only a text.
        KafkaError::Seek(_) => return true,
        _ => return false,
    };
    // A missing topic may still be made; the rest is the network or a broker that comes back.
    matches!(
        code,
        C::BrokerTransportFailure
            | C::AllBrokersDown
            | C::Resolve
            | C::OperationTimedOut
            | C::NetworkException
            | C::UnknownTopicOrPartition
            | C::UnknownTopic
            | C::UnknownPartition
            | C::LeaderNotAvailable
            | C::NotLeaderForPartition
            | C::CoordinatorNotAvailable
            | C::CoordinatorLoadInProgress
            | C::NotCoordinator
            | C::RebalanceInProgress
            | C::RequestTimedOut
            | C::PollExceeded
    )
}
