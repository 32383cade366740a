//! Is it alive, has it started, is it ready? What must be well for that says whoever runs the process.

use super::{ApiError, Endpoints};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

/// A question may wait for a disk: longer than this is an answer as well.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A question that is answered with what is wrong, if anything is.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Questions that a probe asks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Checks(Arc<[Check]>);

/// What the probes ask; ready asks the workers and the store as well.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// `GET /-/healthy`
    pub alive: Checks,
    /// `GET /-/startup`
    pub started: Checks,
    /// `GET /-/ready`
    pub ready: Checks,
}

impl Checks {
    /// Asks all of these, in order, until one says that something is wrong.
    pub fn new(checks: impl IntoIterator<Item = Check>) -> Self {
        Self(checks.into_iter().collect())
    }

    async fn ask(&self) -> Result<(), String> {
        let checks = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || checks.iter().try_for_each(|check| check()));
        match tokio::time::timeout(CHECK_TIMEOUT, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("looking at this machine took longer than {} s", CHECK_TIMEOUT.as_secs())),
        }
    }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Checks").field(&self.0.len()).finish()
    }
}

fn answer(well: &'static str, code: &'static str, asked: Result<(), String>) -> Response {
    match asked {
        Ok(()) => well.into_response(),
        Err(message) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).into_response(),
    }
}

pub(super) async fn healthy(State(endpoints): State<Endpoints>) -> Response {
    answer("healthy\n", "stuck", endpoints.probes.alive.ask().await)
}

pub(super) async fn startup(State(endpoints): State<Endpoints>) -> Response {
    answer("started\n", "starting", endpoints.probes.started.ask().await)
}

pub(super) async fn ready(State(endpoints): State<Endpoints>) -> Response {
    let mut asked = endpoints.probes.ready.ask().await;
    if asked.is_ok() {
        let snapshots = endpoints.engine.snapshots();
        let answered = futures::future::try_join(snapshots.take(&[]), snapshots.table_names()).await;
        asked = answered.map(|_| ()).map_err(|error| error.to_string());
    }
    answer("ready\n", "unavailable", asked)
}
