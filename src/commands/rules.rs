//! `tidewatch rules`: rules without telling anybody.

mod report;

use super::dead_letters::since_us;
use super::sql::open;
use crate::alerting::load_rules;
use crate::app::now;
use crate::cli::{Backtest, Between, DiffRules, RuleFiles, Rules, Suggest};
use crate::packs;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_alerting::backtest::{self, BacktestOptions, Incident, Step};
use tidewatch_alerting::rules::{Group, LoadOptions, Rule};
use tidewatch_alerting::unit_tests::{self, RuleFiles as Finder};
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_promql::{Matcher, Query, Selection, Series, Storage, StorageError};
use tidewatch_query::promql::PromEngine;
use tidewatch_query::system::Surroundings;
use tidewatch_query::{NoLiveStates, Snapshots, SqlEngine};
use tidewatch_ruler::data::metrics_of;
use tokio::runtime::Handle;

/// One in so many instants is looked at to find the values that a rule has seen.
const STRIDE: usize = 10;

pub async fn rules(command: Rules) -> Result<ExitCode> {
    match command {
        Rules::Check(files) => check(&files),
        Rules::Test(files) => test(&files),
        Rules::Backtest(options) => run(options).await,
        Rules::Diff(options) => diff(options).await,
        Rules::Suggest(options) => suggest(options).await,
    }
}

fn check(files: &RuleFiles) -> Result<ExitCode> {
    let groups = load_rules(&files.files)?;
    let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
    println!("{rules} rules in {} groups, no mistakes", groups.len());
    Ok(ExitCode::SUCCESS)
}

/// Rule files of a test, relative to its own file.
struct Beside<'a>(&'a Path);

impl Finder for Beside<'_> {
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let files = tidewatch_ruler::matching(&self.0.join(pattern))?;
        let read = files.into_iter().map(|file| {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok((file.display().to_string(), text))
        });
        read.collect()
    }
}

fn test(files: &RuleFiles) -> Result<ExitCode> {
    let mut is_success = true;
    for pattern in &files.files {
        for file in tidewatch_ruler::matching(Path::new(pattern)).map_err(anyhow::Error::msg)? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let folder = file.parent().unwrap_or(Path::new("."));
            println!("Unit Testing:  {}", file.display());
            let report = unit_tests::run(&text, &Beside(folder), LoadOptions::default());
            is_success &= report.is_success();
            println!("{report}");
        }
    }
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(options: Backtest) -> Result<ExitCode> {
    let groups = load_rules(&options.files)?;
    let past = Past::open(&options.between).await?;
    past.warn(&groups).await;
    let format = options.between.format;
    let (found, past) = past.work(move |past| backtest::run(&groups, past, &past.options)).await?;
    report::backtest(&found, &past.options, format)?;
    let failed = found.rules.iter().any(|rule| rule.error.is_some()) || !found.failed_recordings.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn diff(options: DiffRules) -> Result<ExitCode> {
    let (old, new) = (load_rules(&[options.old])?, load_rules(&[options.new])?);
    let past = Past::open(&options.between).await?;
    past.warn(&old).await;
    past.warn(&new).await;
    let format = options.between.format;
    let (found, _) = past
        .work(move |past| {
            let (old, new) = (backtest::run(&old, past, &past.options), backtest::run(&new, past, &past.options));
            backtest::diff(&old, &new)
        })
        .await?;
    report::differences(&found, format)?;
    Ok(ExitCode::SUCCESS)
}

/// An incident as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    start: String,
    end: String,
    #[serde(default)]
    matchers: Vec<String>,
}

fn incidents(path: &Path) -> Result<Vec<Incident>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let written: Vec<Written> = serde_yaml_ng::from_str(&text).with_context(|| path.display().to_string())?;
    let instant = |text: &str| -> Result<i64> {
        let parsed = chrono::DateTime::parse_from_rfc3339(text);
        Ok(parsed
            .with_context(|| format!("{}: expected a time in RFC 3339, found {text:?}", path.display()))?
            .timestamp_millis())
    };
    let read = |one: Written| -> Result<Incident> {
        let mut matchers: Vec<Matcher> = Vec::new();
        for matcher in &one.matchers {
            matchers.extend(selector(matcher).with_context(|| format!("{}: {matcher}", path.display()))?);
        }
        Ok(Incident { start_ms: instant(&one.start)?, end_ms: instant(&one.end)?, matchers })
    };
    written.into_iter().map(read).collect()
}

/// The matchers of `name="value"`, as PromQL reads them.
fn selector(text: &str) -> Result<Vec<Matcher>> {
    let query = Query::parse(&format!("{{{text}}}"), Default::default())?;
    let plan = query.instant(0, &Default::default());
    Ok(plan.selections().iter().flat_map(|selection| selection.matchers.clone()).collect())
}

async fn suggest(options: Suggest) -> Result<ExitCode> {
    let groups: Vec<Group> = load_rules(std::slice::from_ref(&options.file))?;
    let alerting = |rule: &Rule| match rule {
        Rule::Alerting(rule) if *rule.name == *options.rule => Some(Arc::clone(rule)),
        _ => None,
    };
    let of_group = |group: Group| {
        let rule = group.rules.iter().find_map(alerting)?;
        Some((group, rule))
    };
    let Some((group, rule)) = groups.into_iter().find_map(of_group) else {
        bail!("{}: there is no alert {:?}", options.file, options.rule);
    };
    let incidents = incidents(&options.incidents)?;
    let past = Past::open(&options.between).await?;
    let format = options.between.format;
    let count = options.candidates;
    let (found, _) = past
        .work(move |past| {
            let thresholds = backtest::thresholds_seen(&group, &rule, count, STRIDE, past, &past.options)?;
            backtest::suggest(&group, &rule, &thresholds, &incidents, past, &past.options)
        })
        .await?;
    report::candidates(&found?, format)?;
    Ok(ExitCode::SUCCESS)
}

/// Stored numbers of a stretch of time.
struct Past {
    promql: PromEngine,
    options: BacktestOptions,
    runtime: Handle,
}

impl Past {
    async fn open(between: &Between) -> Result<Self> {
        let (settings, store, are_given) = open(between.config.as_deref(), between.data.as_deref())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let now_us = clock.now_us();
        let definitions = packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.definitions;
        let snapshots = Snapshots::new(store.clone(), Arc::new(NoLiveStates));
        snapshots.define(match are_given {
            true => definitions,
            // Metrics are those of rollups, so these must be known: as the usual packs have them.
            false => definitions.of_existing(&store.table_names().await?),
        });
        let surroundings = Surroundings { registry: None, limits: settings.named_limits(), ledger: None };
        let engine = SqlEngine::new(snapshots, settings.sql_limits(), now(&clock))
            .with_spill_folder(settings.spill_folder())
            .with_surroundings(surroundings);
        let promql = PromEngine::new(Arc::new(engine), settings.prom_limits());
        let start_ms = since_us(&between.since, now_us)?.div_euclid(1000);
        let until = between.until.as_deref().map(|until| since_us(until, now_us)).transpose()?;
        let end_ms = until.unwrap_or(now_us).div_euclid(1000);
        if end_ms <= start_ms {
            bail!("--until lies before --since");
        }
        let least_ms = between.step.map(|step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
        if least_ms.is_some_and(|least_ms| least_ms < 1) {
            bail!("--step: expected at least 1ms");
        }
        let options = BacktestOptions {
            step: Step::AtLeast(least_ms.unwrap_or(1)),
            // As a running process has them, so that labels and messages come out alike.
            settings: settings.ruler(PathBuf::new()).groups,
            queries: promql.limits().options.clone(),
            ..BacktestOptions::new(start_ms, end_ms, 1)
        };
        Ok(Self { promql, options, runtime: Handle::current() })
    }

    /// Says which rules read what has no past: they find nothing, whatever there was.
    async fn warn(&self, groups: &[Group]) {
        for rule in groups.iter().flat_map(|group| &group.rules) {
            let Some(names) = metrics_of([rule.query()]) else { continue };
            // What cannot be planned is an error of the rule, which the backtest tells.
            let views = self.promql.of_the_present(&names).await.unwrap_or_default();
            if !views.is_empty() {
                let views: Vec<&str> = views.iter().map(String::as_str).collect();
                eprintln!(
                    "warning: {} reads {}, which tells of the present only: its past cannot be tested",
                    rule.name(),
                    views.join(", ")
                );
            }
        }
    }

    /// Works on a thread that may wait for reads.
    async fn work<T: Send + 'static>(self, work: impl FnOnce(&Self) -> T + Send + 'static) -> Result<(T, Self)> {
        Ok(tokio::task::spawn_blocking(move || (work(&self), self)).await?)
    }
}

impl Storage for Past {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        self.runtime.block_on(self.promql.select(selection)).map_err(|error| StorageError(error.to_string()))
    }
}
