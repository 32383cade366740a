//! The APIs that are called, and what calling them is like on an ordinary day.

/// One API of one provider.
#[derive(Debug)]
pub(crate) struct Profile {
    pub provider: &'static str,
    pub api: &'static str,
    pub method: &'static str,
    pub operation: &'static str,
    /// Producer of the events.
    pub source: &'static str,
    pub credentials: Credentials,
    pub direction: &'static str,
    /// Calls relative to the others.
    pub weight: u32,
    pub median_ms: f64,
    /// Standard deviation of the logarithm of the latency.
    pub sigma: f64,
    /// Price of a call in millionths of a dollar.
    pub cost_micro: i64,
    pub rate_limit: i64,
}

/// Whose credentials a call is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    Shop,
    Platform,
}

const TIKTOK: Profile = Profile {
    provider: "tiktok_shop",
    api: "orders",
    method: "GET",
    operation: "GET /orders/{id}",
    source: "/creatorflow/tiktok-shop-integration",
    credentials: Credentials::Shop,
    direction: "outbound",
    weight: 25,
    median_ms: 180.0,
    sigma: 0.45,
    cost_micro: 40,
    rate_limit: 600,
};

const fn carrier(provider: &'static str, api: &'static str, weight: u32, median_ms: f64) -> Profile {
    let (method, operation) = match api.as_bytes() {
        b"rates" => ("POST", "POST /rates"),
        b"labels" => ("POST", "POST /labels"),
        _ => ("GET", "GET /tracking/{number}"),
    };
    Profile {
        provider,
        api,
        method,
        operation,
        source: "/creatorflow/shipping-automation",
        weight,
        median_ms,
        sigma: 0.5,
        cost_micro: 200,
        rate_limit: 300,
        ..TIKTOK
    }
}

const fn shared(provider: &'static str, api: &'static str, operation: &'static str) -> Profile {
    Profile {
        provider,
        api,
        method: "POST",
        operation,
        source: "/creatorflow/integration-hub",
        credentials: Credentials::Platform,
        rate_limit: 1000,
        ..TIKTOK
    }
}

pub(crate) static PROFILES: &[Profile] = &[
    TIKTOK,
    Profile { api: "products", operation: "GET /products/{id}", weight: 8, median_ms: 220.0, ..TIKTOK },
    Profile {
        api: "fulfillment",
        method: "POST",
        operation: "POST /fulfillment/ship_package",
        weight: 7,
        median_ms: 350.0,
        ..TIKTOK
    },
    Profile {
        api: "auth",
        method: "POST",
        operation: "POST /auth/token/refresh",
        weight: 1,
        median_ms: 250.0,
        ..TIKTOK
    },
    carrier("usps", "rates", 6, 420.0),
    carrier("usps", "labels", 5, 850.0),
    carrier("usps", "tracking", 4, 300.0),
    carrier("ups", "rates", 4, 380.0),
    carrier("ups", "labels", 3, 700.0),
    carrier("ups", "tracking", 3, 260.0),
    carrier("fedex", "rates", 3, 460.0),
    carrier("fedex", "labels", 2, 780.0),
    carrier("fedex", "tracking", 2, 320.0),
    carrier("dhl", "rates", 2, 520.0),
    carrier("dhl", "labels", 1, 950.0),
    carrier("dhl", "tracking", 1, 340.0),
    Profile {
        weight: 8,
        median_ms: 380.0,
        sigma: 0.4,
        cost_micro: 0,
        ..shared("stripe", "payments", "POST /payment_intents")
    },
    Profile { weight: 1, median_ms: 450.0, sigma: 0.4, cost_micro: 0, ..shared("stripe", "refunds", "POST /refunds") },
    Profile {
        weight: 5,
        median_ms: 90.0,
        sigma: 0.7,
        cost_micro: 0,
        direction: "internal",
        ..shared("n8n", "workflows", "POST /workflows/{id}/run")
    },
    Profile {
        weight: 7,
        median_ms: 25.0,
        sigma: 0.6,
        cost_micro: 2,
        direction: "internal",
        ..shared("supabase", "rest", "POST /rest/{table}")
    },
    Profile {
        weight: 2,
        median_ms: 2400.0,
        sigma: 0.7,
        cost_micro: 4500,
        ..shared("openai", "chat", "POST /chat/completions")
    },
];
