//! Bursts.
use crate::bits;
use serde::{Deserialize, Serialize};
pub const SCORE: f64 = 3.0;
pub const MEMORY_MS: i64 = 28 * 24 * 3_600_000;
const KEPT_MAX: usize = 64;
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Bursts { kept: Vec<Burst> }
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Burst { pub at_ms: i64, #[serde(with = "bits::one")] pub size: f64 }
impl Bursts {
    pub fn learn(&mut self, at_ms: i64, size: f64) {
        self.kept.retain(|b| b.at_ms > at_ms - MEMORY_MS);
        self.kept.push(Burst { at_ms, size });
        if self.kept.len() > KEPT_MAX { let i = (0..self.kept.len()).min_by(|a, b| self.kept[*a].size.total_cmp(&self.kept[*b].size)).unwrap(); self.kept.swap_remove(i); }
    }
    pub fn as_large(&self, now: i64, size: f64) -> usize { self.kept.iter().filter(|b| b.at_ms > now - MEMORY_MS && b.size >= size).count() }
}
