//! Which series and label values there are in a stretch of time.

use super::pushed::{self, Naming};
use super::read::series_within;
use super::{Metric, PromEngine, PromError, named};
use std::collections::BTreeSet;
use tidewatch_promql::{Labels, Matcher};

impl PromEngine {
    /// The label sets of the series that fit any of the lists of matchers and counted something between two
    /// moments, both inclusive, milliseconds since the epoch; sorted, each once.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn series(
        &self,
        matchers: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<Labels>, PromError> {
        let within = async {
            let all = self.metrics();
            let wanted: Vec<(&Metric, &Vec<Matcher>)> =
                matchers.iter().flat_map(|m| named(&all, m).into_iter().map(move |metric| (metric, m))).collect();
            let lists: Vec<&[Matcher]> = matchers.iter().map(Vec::as_slice).collect();
            let views = self.views(&all, &lists).await?;
            let snapshot = self.snapshot(wanted.iter().map(|(metric, _)| *metric), views.tables(), false).await?;
            let reader = self.view_reader(&views, &snapshot, self.limits.options.lookback_ms);
            let mut found = BTreeSet::new();
            for (at, matchers) in matchers.iter().enumerate() {
                for view in views.of(at) {
                    found.extend(reader.series(view, matchers, (start_ms, end_ms)).await?);
                }
            }
            for (metric, matchers) in wanted {
                let rows_max = self.limits.samples_max;
                found.extend(
                    series_within(&self.engine, &snapshot, metric, matchers, (start_ms, end_ms), rows_max).await?,
                );
            }
            if self.has_pushed() {
                for matchers in matchers {
                    let within = (start_ms, end_ms);
                    let limit = self.limits.samples_max;
                    found.extend(
                        pushed::series_within(&self.engine, &snapshot, Naming::Pushed, matchers, within, limit).await?,
                    );
                }
            }
            Ok(found.into_iter().collect())
        };
        tokio::time::timeout(self.limits.timeout, within).await.map_err(|_| PromError::Timeout)?
    }

    /// The label sets of all pushed series.
    pub(super) async fn pushed_series(&self, start_ms: i64, end_ms: i64) -> Result<Vec<Labels>, PromError> {
        if !self.has_pushed() {
            return Ok(Vec::new());
        }
        let within = async {
            let snapshot = self.snapshot(std::iter::empty(), [], false).await?;
            let (within, limit) = ((start_ms, end_ms), self.limits.samples_max);
            Ok(pushed::series_within(&self.engine, &snapshot, Naming::Pushed, &[], within, limit).await?)
        };
        tokio::time::timeout(self.limits.timeout, within).await.map_err(|_| PromError::Timeout)?
    }

    /// The label sets of one metric of every rollup that has a label, and of all pushed series: all metrics of a
    /// rollup have the same series.
    async fn series_with(&self, label: &str, start_ms: i64, end_ms: i64) -> Result<Vec<Labels>, PromError> {
        let within = async {
            let (all, mut rollups) = (self.metrics(), BTreeSet::new());
            let has = |metric: &&Metric| metric.labels.iter().any(|(name, _)| name == label);
            let wanted: Vec<&Metric> =
                all.values().filter(has).filter(|metric| rollups.insert(metric.rollup.as_str())).collect();
            let snapshot = self.snapshot(wanted.iter().copied(), [], false).await?;
            let mut found = Vec::new();
            for metric in wanted {
                let (within, rows_max) = ((start_ms, end_ms), self.limits.samples_max);
                found.extend(series_within(&self.engine, &snapshot, metric, &[], within, rows_max).await?);
            }
            Ok::<_, PromError>(found)
        };
        let found = tokio::time::timeout(self.limits.timeout, within).await.map_err(|_| PromError::Timeout)??;
        Ok([found, self.pushed_series(start_ms, end_ms).await?].concat())
    }

    /// The values of a label, sorted. Names of metrics are those that are declared, whatever the time, and
    /// those that were pushed in it. Without matchers that name them, views are not asked for values of labels.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn label_values(
        &self,
        label: &str,
        matchers: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeSet<String>, PromError> {
        if label == "__name__" && matchers.is_empty() {
            let mut names: BTreeSet<String> = self.described().await?.into_keys().collect();
            for labels in self.pushed_series(start_ms, end_ms).await? {
                names.insert(labels.metric_name().to_owned());
            }
            return Ok(names);
        }
        let series = match matchers.is_empty() {
            true => self.series_with(label, start_ms, end_ms).await?,
            false => self.series(matchers, start_ms, end_ms).await?,
        };
        Ok(series.iter().map(|labels| labels.get(label)).filter(|v| !v.is_empty()).map(str::to_owned).collect())
    }

    /// The names of the labels, sorted.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn label_names(
        &self,
        matchers: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeSet<String>, PromError> {
        if matchers.is_empty() {
            let labels = self.metrics().into_values().flat_map(|m| m.labels.into_iter().map(|(label, _)| label));
            let mut names: BTreeSet<String> = labels.chain(["__name__".to_owned()]).collect();
            for gauge in self.all_gauges().await?.into_iter().flat_map(|view| view.gauges) {
                names.extend(gauge.metric.labels.into_iter().map(|(label, _)| label));
            }
            for labels in self.pushed_series(start_ms, end_ms).await? {
                names.extend(labels.iter().map(|label| label.name.to_string()));
            }
            return Ok(names);
        }
        let series = self.series(matchers, start_ms, end_ms).await?;
        Ok(series.iter().flat_map(|labels| labels.iter().map(|label| label.name.to_string())).collect())
    }
}
