//! When groups are evaluated, by a clock that goes on.

use super::*;
use crate::RulerSettings;
use crate::begin::{Definition, Ruler};
use crate::data::Changes;
use crate::templates::TemplateBook;
use crate::testing::Pushed;
use crate::testing::bench::{NOBODY, groups};
use futures::future::BoxFuture;
use prometheus::Registry;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tidewatch_alerting::config::Config;
use tidewatch_notify::{Clock, OutboxSettings};
use tokio::sync::Notify;

#[expect(clippy::disallowed_methods, reason = "how often something happens is measured against the wall")]
fn now() -> Instant {
    Instant::now()
}

#[derive(Debug)]
struct Going(Instant);

impl Clock for Going {
    fn now_ms(&self) -> i64 {
        1_800_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// News of one metric, `errors`.
#[derive(Debug, Default)]
struct News {
    count: AtomicU64,
    told: Notify,
}

impl News {
    fn tell(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.told.notify_waiters();
    }
}

impl Changes for News {
    fn stamp(&self, metrics: Option<&BTreeSet<String>>) -> u64 {
        match metrics {
            Some(metrics) if !metrics.contains("errors") => 0,
            _ => self.count.load(Ordering::SeqCst),
        }
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.told.notified())
    }
}

/// A group that is evaluated, and reacts once in 400 ms at most.
struct Evaluated {
    _folder: tempfile::TempDir,
    ruler: Ruler,
    news: Arc<News>,
    stop: watch::Sender<bool>,
    group: tokio::task::JoinHandle<()>,
}

impl Evaluated {
    /// After its first evaluation, which is that of the start.
    async fn start(expr: &str, interval: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, news) = (Arc::new(Pushed::default()), Arc::new(News::default()));
        *data.changes.lock().unwrap() = Some(Arc::clone(&news) as _);
        let rules = format!(
            "groups: [{{name: g, interval: {interval}, rules: [{{record: r, expr: '{expr}'}}, {{alert: A, expr: r > 1}}]}}]"
        );
        let definition = Definition {
            groups: groups(&rules),
            config: Config::load(NOBODY).unwrap(),
            templates: TemplateBook::default(),
        };
        let mut settings = RulerSettings::new(folder.path().to_owned());
        settings.react_min_ms = 400;
        let (clock, outbox) = (Arc::new(Going(now())), OutboxSettings::default());
        let ruler = Ruler::open(settings, definition, outbox, data, clock, &Registry::new()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let group = tokio::spawn(run(Arc::clone(ruler.shared()), 0, stopped));
        tokio::time::sleep(Duration::from_millis(300)).await;
        Self { _folder: folder, ruler, news, stop, group }
    }

    fn count(&self) -> u64 {
        self.ruler.shared().metrics.evaluations.get()
    }

    /// Waits for one more evaluation than `count`.
    async fn another(&self, count: u64) -> Duration {
        let started = now();
        while self.count() == count {
            assert!(started.elapsed() < Duration::from_secs(20), "no evaluation");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        started.elapsed()
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.group.await.unwrap();
    }
}

/// Evaluations of a group at an interval, in `lasts`, with news every `news_ms`.
async fn evaluations(expr: &str, interval: &str, news_ms: u64, lasts: Duration) -> u64 {
    let group = Evaluated::start(expr, interval).await;
    let before = group.count();
    let end = now() + lasts;
    while now() < end {
        tokio::time::sleep(Duration::from_millis(news_ms)).await;
        group.news.tell();
    }
    let count = group.count() - before;
    group.stop().await;
    count
}

/// What a group does by its clock does not keep it from acting on what it hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_just_after_the_clock_wait_for_nothing() {
    let group = Evaluated::start("max(errors)", "3s").await;
    let mut soonest = Duration::MAX;
    // A busy machine may be late once or twice.
    for _ in 0..3 {
        group.another(group.count()).await;
        let count = group.count();
        group.news.tell();
        soonest = soonest.min(group.another(count).await);
    }
    assert!(soonest < Duration::from_millis(200), "{soonest:?}, where news wait 400 ms for those before");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_wakes_a_group_and_not_more_often_than_it_may() {
    let count = evaluations("max(errors)", "1h", 20, Duration::from_secs(3)).await;
    // A busy machine may be late, never early.
    assert!((2..=8).contains(&count), "{count} evaluations in 3 s, one in 400 ms at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_what_a_group_does_not_read_does_not_wake_it_and_the_clock_does() {
    assert_eq!(evaluations("max(stock)", "1h", 20, Duration::from_secs(1)).await, 0);
    let count = evaluations("max(stock)", "500ms", 20, Duration::from_secs(3)).await;
    assert!((2..=7).contains(&count), "{count} evaluations in 3 s, one in 500 ms");
}
