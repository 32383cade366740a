//! `tidewatch run`.

use super::Apart;
use crate::app::{App, Ended, start_log_and_traces};
use crate::cli::Run;
use crate::packs;
use crate::settings::Settings;
use crate::signals::{Hangup, Shutdown};
use crate::status::Status;
use anyhow::Result;
use std::net::SocketAddr;
use std::process::ExitCode;

pub async fn run(options: Run, apart: Apart) -> Result<ExitCode> {
    let settings = Settings::load(&options.config.config)?;
    let packs = packs::load(&settings.packs, tidewatch_query::Checking::Names).await?;
    let telemetry = start_log_and_traces(&settings)?;
    let (mut shutdown, mut hangup) = (Shutdown::listen()?, Hangup::listen()?);
    let mut app = App::start(&settings, packs, &apart, options.until_caught_up).await?;
    let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
    let (postgres, flight) = (shown(app.wires.postgres), shown(app.wires.flight));
    tracing::info!(address = %app.address, data = settings.storage.location, postgres, flight, "listening");
    let status = tokio::spawn(Status::new(app.plant.metrics.clone(), app.plant.clock.clone()).run());
    let ended = loop {
        match app.work(&mut shutdown, &mut hangup, options.until_caught_up).await? {
            Ended::Reload => app.reload(&options.config.config).await?,
            ended => break ended,
        }
    };
    status.abort();
    let finished = finish(app, &mut shutdown, ended).await;
    if let Some(telemetry) = telemetry {
        telemetry.stop().await;
    }
    finished
}

/// Commits what was read; a second request ends without that.
pub async fn finish(app: App, shutdown: &mut Shutdown, ended: Ended) -> Result<ExitCode> {
    if ended == Ended::Requested {
        eprintln!("\ncommitting what was read (Ctrl-C again: stop at once, events are read again next time) …");
    }
    tokio::select! {
        result = app.drain() => {
            result?;
            eprintln!("everything that was read is committed");
            Ok(ExitCode::SUCCESS)
        }
        () = shutdown.requested() => {
            eprintln!("stopped at once");
            Ok(ExitCode::FAILURE)
        }
    }
}
