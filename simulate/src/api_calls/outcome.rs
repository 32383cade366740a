//! How a call can end.

use crate::random::Random;
use crate::world::Outage;

/// The values of `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    ClientError,
    ServerError,
    Timeout,
    NetworkError,
    RateLimited,
    AuthError,
}

/// Attempts that end otherwise than well, on an ordinary day: 1.8 %.
const ORDINARY: &[(Outcome, u32)] = &[
    (Outcome::Success, 9820),
    (Outcome::ClientError, 70),
    (Outcome::ServerError, 35),
    (Outcome::Timeout, 20),
    (Outcome::NetworkError, 15),
    (Outcome::RateLimited, 25),
    (Outcome::AuthError, 15),
];

const FAILING: &[(Outcome, u32)] = &[(Outcome::ServerError, 2), (Outcome::Timeout, 1)];

impl Outcome {
    pub fn draw(outage: Option<Outage>, random: &mut Random) -> Self {
        match outage {
            Some(outage) if random.chance(outage.error_share) => random.weighted(FAILING),
            _ => random.weighted(ORDINARY),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::NetworkError => "network_error",
            Self::RateLimited => "rate_limited",
            Self::AuthError => "auth_error",
        }
    }

    /// A status code that means this outcome and no other. A call without an answer has 0.
    pub fn status_code(self, method: &str, random: &mut Random) -> i64 {
        match self {
            Self::Success if method == "POST" => random.weighted(&[(200, 60), (201, 40)]),
            Self::Success => 200,
            Self::ClientError => random.weighted(&[(400, 40), (404, 30), (409, 10), (422, 20)]),
            Self::ServerError => random.weighted(&[(500, 40), (502, 20), (503, 40)]),
            Self::Timeout => 504,
            Self::NetworkError => 0,
            Self::RateLimited => 429,
            Self::AuthError => random.weighted(&[(401, 70), (403, 30)]),
        }
    }

    pub fn error_code(self) -> Option<&'static str> {
        match self {
            Self::Success => None,
            Self::ClientError => Some("invalid_request"),
            Self::ServerError => Some("upstream_unavailable"),
            Self::Timeout => Some("deadline_exceeded"),
            Self::NetworkError => Some("connection_reset"),
            Self::RateLimited => Some("too_many_requests"),
            Self::AuthError => Some("token_rejected"),
        }
    }

    /// Whether the caller tries again.
    pub fn is_retried(self) -> bool {
        matches!(self, Self::ServerError | Self::Timeout | Self::NetworkError | Self::RateLimited)
    }
}
