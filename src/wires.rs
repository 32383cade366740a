//! The servers of SQL clients: Postgres' protocol and Flight SQL, where the settings ask for them.

use crate::settings::Settings;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_query::SqlEngine;
use tidewatch_query::gate::QueryGate;
use tidewatch_wire::catalogue::{Catalogue, Listing};
use tidewatch_wire::postgres::PostgresServer;
use tidewatch_wire::{Running, WireMetrics, flight};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Ports that are taken and wait for the engine.
pub struct Listeners {
    postgres: Option<TcpListener>,
    flight: Option<TcpListener>,
}

/// Running servers.
pub struct Wires {
    /// Where Postgres' protocol is spoken.
    pub postgres: Option<SocketAddr>,
    /// Where Flight SQL is spoken.
    pub flight: Option<SocketAddr>,
    servers: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Listeners {
    /// Takes the ports.
    pub async fn bind(settings: &Settings) -> Result<Self> {
        let postgres = bind("postgres.listen", settings.postgres.listen).await?;
        Ok(Self { postgres, flight: bind("flight.listen", settings.flight.listen).await? })
    }

    /// Serves what `engine` answers to queries that `gate` lets in.
    pub fn serve(
        self,
        settings: &Settings,
        engine: &Arc<SqlEngine>,
        gate: &Arc<QueryGate>,
        metrics: &WireMetrics,
    ) -> Result<Wires> {
        let (stop, stopped) = watch::channel(false);
        let address = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        let (postgres, flight) = (address(&self.postgres)?, address(&self.flight)?);
        let mut servers = JoinSet::new();
        if postgres.is_some() || flight.is_some() {
            let catalogue = Catalogue::new(Arc::new(Listing::new(Arc::clone(engine))))?;
            let running = |protocol| Running::new(Arc::clone(engine), Arc::clone(gate), metrics.clone(), protocol);
            let until = |mut stopped: watch::Receiver<bool>| async move {
                // A sender that is gone stops as well.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            if let Some(listener) = self.postgres {
                let server = PostgresServer::new(settings.postgres(), running("postgres"), catalogue.clone());
                let server = server.context("postgres.tls_certificate, postgres.tls_key")?;
                let stop = until(stopped.clone());
                servers.spawn(async move { Ok(server.serve(listener, stop).await?) });
            }
            if let Some(listener) = self.flight {
                let server = flight::serve(listener, settings.flight(), running("flight"), catalogue, until(stopped));
                servers.spawn(async move { Ok(server.await?) });
            }
        }
        Ok(Wires { postgres, flight, servers, stop })
    }
}

async fn bind(key: &str, address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    Ok(Some(listener.with_context(|| format!("{key} {address}: is another process using the port?"))?))
}

impl Wires {
    /// Tells clients, and waits for those that end in time.
    pub async fn stop(mut self, timeout: Duration) -> Result<()> {
        // Servers may have ended already.
        let _ = self.stop.send(true);
        let all_ended = async {
            while let Some(ended) = self.servers.join_next().await {
                ended??;
            }
            Ok(())
        };
        tokio::time::timeout(timeout, all_ended).await.unwrap_or(Ok(()))
    }
}
