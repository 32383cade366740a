//! Events that are sent until they are answered, whoever takes them: orders in order of time, some of them late, old,
//! copies of others, or wrong.

use crate::support::post;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::ops::Range;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Lines of one request.
const BATCH: u64 = 20;
/// Time between two events, by themselves: they pass faster than they are told, and do not reach the present.
const SPACING_MS: i64 = 20;
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(80);
/// Before a request that was not answered is sent again.
const AGAIN: Duration = Duration::from_millis(20);
const PATH: &str = "/api/v1/events?on_error=dead_letter";

/// One sender.
pub struct Feed {
    /// Time of the first event.
    begin: DateTime<Utc>,
    /// Lines that were sent, whether they were answered or not.
    sent: AtomicU64,
    address: RwLock<String>,
    is_over: AtomicBool,
}

impl Feed {
    pub fn new() -> Self {
        let begin = Utc::now() - TimeDelta::minutes(30);
        Self { begin, sent: AtomicU64::new(0), address: RwLock::default(), is_over: AtomicBool::new(false) }
    }

    /// Where events go from here on.
    pub fn towards(&self, address: &str) {
        *self.address.write().unwrap() = address.to_owned();
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Sends beside `work`, and returns when all that was sent is answered; whatever takes it must be there then.
    pub fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.send());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            self.is_over.store(true, Ordering::SeqCst);
            if result.is_err() {
                // Nobody may be there to take the rest.
                self.address.write().unwrap().clear();
            }
            sending.join().unwrap();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn send(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let first = self.sent.fetch_add(BATCH, Ordering::SeqCst);
            let body = self.lines(first..first + BATCH);
            while !self.is_taken(&body) {
                if self.is_over.load(Ordering::SeqCst) && self.address.read().unwrap().is_empty() {
                    return;
                }
                std::thread::sleep(AGAIN);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn is_taken(&self, body: &str) -> bool {
        let address = self.address.read().unwrap().clone();
        !address.is_empty()
            && post(&address, PATH, &["Content-Type: application/x-ndjson"], body.as_bytes())
                .is_ok_and(|answer| answer.status == 202)
    }

    /// All that was sent, a line each.
    pub fn all(&self) -> String {
        self.lines(0..self.sent())
    }

    fn lines(&self, numbers: Range<u64>) -> String {
        numbers.map(|number| self.line(number) + "\n").collect()
    }

    fn line(&self, number: u64) -> String {
        // A copy of one that came shortly before.
        let id = if number % 10 == 9 { number - 4 } else { number };
        let age = match id {
            _ if id % 53 == 3 => TimeDelta::days(45),
            _ if id % 29 == 2 => TimeDelta::hours(2),
            _ => TimeDelta::zero(),
        };
        let time = self.begin - age + TimeDelta::milliseconds(SPACING_MS * id as i64);
        let (time, tenant) = (time.to_rfc3339_opts(SecondsFormat::Millis, true), id % 7);
        let event = |kind: &str, id: u64, data: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"{kind}-{id}","source":"/t","type":"shop.order.{kind}.v1","time":"{time}","tenantkind":"creator","tenantid":"c{tenant}","data":{{{data}}}}}"#
            )
        };
        match id {
            // Of the order before, of the same tenant.
            _ if id % 21 == 7 => event("shipped", id, &format!(r#""order_id":"o{}","shipped_at":"{time}""#, id - 7)),
            _ if id % 50 == 31 => event("created", id, &format!(r#""order_id":"o{id}","total_minor":"much""#)),
            _ => {
                let total = id * 13 % 5000;
                event("created", id, &format!(r#""order_id":"o{id}","total_minor":{total},"currency":"USD""#))
            }
        }
    }
}
