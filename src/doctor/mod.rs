//! `tidewatch doctor`: looks at everything that a process with these settings needs, side by side, each look within a
//! time limit. Nothing is counted, committed or sent.
//!
//! | looks at | in |
//! |---|---|
//! | the object store or folder, and its clock | [`store`] |
//! | brokers, topics, and whether what comes next is still kept | [`kafka`] |
//! | receivers of alerts, and Alertmanagers | [`receivers`] |
//! | free disks, folders that one process at a time may have | [`machine`] |

mod finding;
mod kafka;
mod machine;
mod receivers;
mod store;

pub use finding::{Finding, Status};

use crate::alerting;
use crate::packs::{self, Packs};
use crate::settings::Settings;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tidewatch_query::Checking;
use tidewatch_ruler::begin::Definition;

/// What the looks share.
#[derive(Debug)]
pub struct Patient {
    /// The settings.
    pub settings: Settings,
    /// Longest time of each look.
    pub timeout: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Looks at everything; the findings come in a fixed order.
pub async fn examine(config: &Path, timeout: Duration, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Finding::failed(
                "settings",
                format!("{error:#}"),
                "mend the file; `tidewatch check` says the same",
            )];
        }
    };
    let mut findings = vec![Finding::ok("settings", config.display().to_string())];
    let (packs, definition) = definitions(&settings, &mut findings).await;
    let patient = Arc::new(Patient { settings, timeout, clock });
    let mut looks: Vec<BoxFuture<'static, Vec<Finding>>> = vec![
        limited("store", timeout, store::look(Arc::clone(&patient))),
        limited("disk", timeout, machine::disks(Arc::clone(&patient))),
        limited("folders", timeout, machine::folders(Arc::clone(&patient))),
    ];
    looks.push(match packs {
        Some(packs) => limited("kafka", timeout, kafka::look(Arc::clone(&patient), packs)),
        None => later(Finding::skipped("kafka", "the packs name the topics, and they do not load")),
    });
    looks.extend(match definition {
        Some(definition) => receivers::looks(&patient, &definition),
        None => vec![later(Finding::skipped("receivers", "rules and routes do not load"))],
    });
    findings.extend(join_all(looks).await.into_iter().flatten());
    findings
}

/// Packs, rules and routes.
async fn definitions(settings: &Settings, findings: &mut Vec<Finding>) -> (Option<Packs>, Option<Definition>) {
    let packs = match packs::load(&settings.packs, Checking::Plans).await {
        Ok(packs) => packs,
        Err(mistakes) => {
            findings.push(Finding::failed("packs", mistakes.to_string(), "mend them; `tidewatch check` says the same"));
            return (None, None);
        }
    };
    let tables = packs.catalog.tables().len();
    findings.push(match settings.check_packs(&packs.catalog) {
        Ok(()) => Finding::ok("packs", format!("{}: {tables} tables", settings.packs.join(", "))),
        Err(error) => Finding::failed("packs", error.to_string(), "mend the settings"),
    });
    if !settings.alerting.enabled {
        findings.push(Finding::skipped("rules", "alerting.enabled is false"));
        return (Some(packs), None);
    }
    let definition = match alerting::definition(settings, packs.rules.clone()) {
        Ok(definition) => definition,
        Err(error) => {
            findings.push(Finding::failed(
                "rules",
                format!("{error:#}"),
                "mend the file; `tidewatch check` says the same",
            ));
            return (Some(packs), None);
        }
    };
    let (groups, receivers) = (definition.groups.len(), definition.config.receivers.len());
    findings.push(Finding::ok("rules", format!("{groups} groups of rules, {receivers} receivers")));
    (Some(packs), Some(definition))
}

/// A look that is given up after a time.
fn limited(
    check: impl Into<String>,
    timeout: Duration,
    look: impl Future<Output = Vec<Finding>> + Send + 'static,
) -> BoxFuture<'static, Vec<Finding>> {
    let check = check.into();
    async move {
        // On a task of its own: what one computes does not hold up the others.
        match tokio::time::timeout(timeout, tokio::spawn(look)).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => vec![Finding::failed(check, error.to_string(), "this is a mistake of the program")],
            Err(_) => vec![Finding::failed(
                check,
                format!("no answer within {} s", timeout.as_secs_f64()),
                "is it reachable from here? --timeout gives it longer",
            )],
        }
    }
    .boxed()
}

fn later(finding: Finding) -> BoxFuture<'static, Vec<Finding>> {
    std::future::ready(vec![finding]).boxed()
}
