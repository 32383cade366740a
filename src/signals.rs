//! Signals. Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once. SIGHUP asks
//! to go on with the packs as they are now.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from its creation on.
#[derive(Debug)]
pub struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
}

impl Shutdown {
    pub fn listen() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next request to end.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens for SIGHUP, or does not.
#[derive(Debug)]
pub struct Hangup(Option<Signal>);

impl Hangup {
    pub fn listen() -> Result<Self> {
        Ok(Self(Some(signal(SignalKind::hangup())?)))
    }

    /// Leaves the signal its usual effect, which is to end the process.
    pub fn ignored() -> Self {
        Self(None)
    }

    /// Waits for the next one.
    pub async fn requested(&mut self) {
        match &mut self.0 {
            Some(signal) => _ = signal.recv().await,
            None => std::future::pending().await,
        }
    }
}
