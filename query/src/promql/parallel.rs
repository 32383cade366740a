//! Work on many rows, shared by the processors.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

/// Fewer rows than this are done sooner than another thread begins.
const ROWS_MIN: usize = 50_000;

/// What `work` makes of each item, in their order; `rows`: of all items together.
pub fn map<T: Send, R: Send>(items: Vec<T>, rows: usize, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = threads(rows).min(items.len());
    if threads < 2 {
        return items.into_iter().map(work).collect();
    }
    let per_thread = items.len().div_ceil(threads);
    let mut items = items.into_iter();
    let parts: Vec<Vec<T>> = (0..threads).map(|_| items.by_ref().take(per_thread).collect()).collect();
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || part.into_iter().map(work).collect::<Vec<R>>())).collect();
        running.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// How many threads so many rows are worth.
pub fn threads(rows: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    processors.min(rows / ROWS_MIN + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_order_whoever_works_on_them() {
        for rows in [0, 10 * ROWS_MIN] {
            assert_eq!(map((0..1000).collect(), rows, |n: i32| n * 2), (0..1000).map(|n| n * 2).collect::<Vec<_>>());
            assert!(map(Vec::<i32>::new(), rows, |n| n).is_empty());
        }
    }
}
