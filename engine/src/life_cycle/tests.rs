use super::*;
use crate::rollup::{Dimension, DimensionType, Measure, MeasureKind};
use crate::time::SECOND_US;
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

const NOW: i64 = 20_000 * DAY_US;

fn tiers() -> Vec<Tier> {
    let tier = |pane_us, days| Tier { pane_us, retain_us: Some(days * DAY_US) };
    vec![tier(10 * SECOND_US, 2), tier(MINUTE_US, 30), tier(HOUR_US, 400), tier(DAY_US, 1830)]
}

fn windows() -> Life {
    Life::Windows { tiers: tiers(), boundaries: vec![None; 4] }
}

fn file(tier: usize, rolled_up: bool, from: i64, to: i64, rows: u64) -> FileInfo {
    FileInfo { tier: Some(tier), rolled_up, times: Some((from, to)), rows, bytes: rows * 10 }
}

fn task(life: &Life, files: &[FileInfo]) -> Option<Task> {
    next_task(life, files, NOW, &LifeLimits::default())
}

#[test]
fn fresh_files_are_rolled_when_there_are_enough_or_they_are_old() {
    let fresh = |ago: i64| file(0, false, NOW - ago, NOW - ago, 10);
    let mut files: Vec<_> = (0..7).map(|i| fresh(i * MINUTE_US)).collect();
    assert_eq!(task(&windows(), &files), None);
    files.push(fresh(7 * MINUTE_US));
    assert_eq!(task(&windows(), &files), Some(Task::Roll { tier: 0, files: vec![7, 6, 5, 4, 3, 2, 1, 0] }));
    assert_eq!(task(&windows(), &[fresh(14 * MINUTE_US)]), None);
    assert_eq!(task(&windows(), &[fresh(15 * MINUTE_US)]), Some(Task::Roll { tier: 0, files: vec![0] }));
    // Hours wait for their days; the last tier has nowhere to go.
    assert_eq!(task(&windows(), &[file(2, false, NOW - DAY_US, NOW - HOUR_US, 5)]), None);
    assert_eq!(task(&windows(), &[file(3, false, NOW - 9 * DAY_US, NOW - 9 * DAY_US, 5)]), None);
}

#[test]
fn a_task_reads_no_more_than_its_limits() {
    let files: Vec<_> = (0..20).map(|i| file(0, false, NOW + i, NOW + i, 100)).collect();
    let limits = LifeLimits { task_rows: 350, ..LifeLimits::default() };
    let task = next_task(&windows(), &files, NOW, &limits).unwrap();
    assert_eq!(task.files(), [0, 1, 2]);
    let limits = LifeLimits { task_rows: 1, ..LifeLimits::default() };
    assert_eq!(next_task(&windows(), &files, NOW, &limits).unwrap().files(), [0], "one file is always taken");
}

#[test]
fn files_of_like_size_are_merged_within_a_bucket() {
    let rolled = |ago: i64, rows| file(0, true, NOW - ago, NOW - ago, rows);
    let merged = |files: Vec<usize>| {
        Some(Task::Merge { tier: Some(0), rolled_up: true, files, drop_before: None, is_whole: false })
    };
    let files = [rolled(1, 100), rolled(1, 100), rolled(1, 100), rolled(1, 1000)];
    assert_eq!(task(&windows(), &files), None);
    let files = [rolled(1, 100), rolled(1, 100), rolled(1, 100), rolled(1, 1000), rolled(1, 90)];
    assert_eq!(task(&windows(), &files), merged(vec![4, 0, 1, 2]));
    // Other buckets are another matter, until they are closed.
    let files = [rolled(1, 100), rolled(1, 100), rolled(6 * HOUR_US + 1, 100), rolled(12 * HOUR_US + 1, 100)];
    assert_eq!(task(&windows(), &files), None);
    let closed = 8 * HOUR_US;
    assert_eq!(task(&windows(), &[rolled(closed, 100), rolled(closed, 13)]), merged(vec![1, 0]));
    assert_eq!(task(&windows(), &[rolled(closed, 100), rolled(closed, 12)]), None, "not worth it yet");
    let long_closed = 25 * HOUR_US;
    assert_eq!(task(&windows(), &[rolled(long_closed, 100), rolled(long_closed, 1)]), merged(vec![1, 0]));
}

/// A stream of equal files, each merged as soon as the rules say so: few files, few rewrites.
#[test]
fn merging_keeps_files_few_and_rewrites_logarithmic() {
    let mut files: Vec<FileInfo> = Vec::new();
    let (mut most, mut written) = (0, 0);
    for _ in 0..4096 {
        files.push(FileInfo { tier: None, rolled_up: false, times: None, rows: 10, bytes: 100 });
        while let Some(task) = task(&Life::Keys { retain_us: None, dropped_before: None }, &files) {
            let rows: u64 = task.files().iter().map(|&f| files[f].rows).sum();
            written += rows;
            let mut index = 0;
            files.retain(|_| (!task.files().contains(&index), index += 1).0);
            files.push(FileInfo { tier: None, rolled_up: false, times: None, rows, bytes: rows * 10 });
        }
        most = most.max(files.len());
    }
    assert!(most <= 16, "{most} files");
    assert!(written <= 12 * 40_960, "each row was written {} times", written / 40_960);
}

#[test]
fn old_files_expire_at_whole_windows_of_the_coarsest_tier() {
    let life = |boundary| Life::Windows { tiers: tiers(), boundaries: vec![boundary, None, None, None] };
    let cut = NOW - 2 * DAY_US;
    let young = file(0, true, NOW, NOW, 5);
    let files = [file(0, true, cut - DAY_US, cut - 1, 5), file(0, true, cut, cut + HOUR_US, 5), young.clone()];
    let expired = |boundary| Some(Task::Expire { tier: Some(0), boundary, files: vec![0] });
    assert_eq!(task(&life(None), &files), expired(Some(cut)));
    assert_eq!(task(&life(Some(cut)), &files), expired(None));
    assert_eq!(next_task(&life(None), &files[1..], NOW + DAY_US - 1, &LifeLimits::default()), None);
    // Fresh rows of a tier that goes on are never too old: they are rolled up first.
    assert_eq!(task(&life(None), &[file(0, false, cut - DAY_US, cut - 1, 5)]).unwrap().kind(), "roll");
    // In the last tier they are.
    let ancient = NOW - 1831 * DAY_US;
    let last = file(3, false, ancient, ancient, 5);
    assert_eq!(task(&life(None), &[last.clone(), young]).unwrap().kind(), "expire");
    // Without newer events, nothing is too old.
    assert_eq!(task(&life(None), &[last]), None);
}

#[test]
fn keys_are_dropped_only_when_all_files_are_read() {
    let file = |rows| FileInfo { tier: None, rolled_up: false, times: None, rows, bytes: rows };
    let life = |dropped_before| Life::Keys { retain_us: Some(10 * DAY_US), dropped_before };
    let before = NOW - 10 * DAY_US;
    let whole =
        Task::Merge { tier: None, rolled_up: false, files: vec![0, 1], drop_before: Some(before), is_whole: true };
    assert_eq!(task(&life(None), &[file(5), file(500)]), Some(whole.clone()));
    assert_eq!(task(&life(Some(before - DAY_US)), &[file(5), file(500)]), Some(whole));
    assert_eq!(task(&life(Some(before - DAY_US + 1)), &[file(5), file(500)]), None);
    assert_eq!(task(&life(None), &[file(5), file(5_000_000)]), None);
}

#[test]
fn rows_of_a_log_go_by_their_time() {
    let file = |newest| FileInfo { tier: None, rolled_up: false, times: Some((newest, newest)), rows: 1, bytes: 1 };
    let life = Life::Log { retain_us: Some(DAY_US), bucket_us: HOUR_US };
    let expire = Some(Task::Expire { tier: None, boundary: None, files: vec![0] });
    assert_eq!(task(&life, &[file(NOW - DAY_US - 1), file(NOW - DAY_US)]), expire);
    assert_eq!(task(&life, &vec![file(NOW); 4]).unwrap().kind(), "merge");
    assert_eq!(task(&Life::Log { retain_us: None, bucket_us: DAY_US }, &[file(0)]), None);
}

fn schema() -> RollupSchema {
    RollupSchema {
        name: "calls".into(),
        sources: vec!["call".into()],
        pane_us: Some(10 * SECOND_US),
        dimensions: vec![Dimension { name: "api".into(), value: DimensionType::Utf8 }],
        measures: vec![Measure { name: "requests".into(), kind: MeasureKind::Count }],
        definition: "from call".into(),
        tiers: tiers(),
        retain_us: None,
    }
}

fn batch(rows: &[(i64, &str, i64)]) -> RecordBatch {
    let starts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.0)).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(starts),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2))),
    ];
    RecordBatch::try_new(schema().arrow_schema(), columns).unwrap()
}

fn shown(outputs: &[Output]) -> Vec<String> {
    let rows = |o: &Output| {
        let starts = o.batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let counts = o.batch.column(2).as_primitive::<Int64Type>();
        let apis = o.batch.column(1).as_string::<i32>();
        let row = |i: usize| format!("{} {} {}", starts.value(i) / SECOND_US, apis.value(i), counts.value(i));
        (0..o.batch.num_rows()).map(row).collect::<Vec<_>>().join(", ")
    };
    outputs.iter().map(|o| format!("{:?} {}: {}", o.tier.unwrap(), o.rolled_up, rows(o))).collect()
}

#[test]
fn rolling_keeps_the_rows_and_adds_them_to_the_next_width() {
    let hours = 6 * 3600;
    let rows = batch(&[
        (10 * SECOND_US, "a", 1),
        (20 * SECOND_US, "a", 2),
        (20 * SECOND_US, "a", 4),
        (70 * SECOND_US, "b", 8),
        (hours * SECOND_US, "a", 16),
    ]);
    let task = Task::Roll { tier: 0, files: vec![0] };
    let out = outputs(&windows(), &task, Some(&schema()), None, std::slice::from_ref(&rows)).unwrap();
    let fresh = format!("1 false: 0 a 7, 60 b 8, {hours} a 16");
    let last = format!("0 true: {hours} a 16");
    assert_eq!(shown(&out), ["0 true: 10 a 1, 20 a 6, 70 b 8", &last, &fresh]);
    // What is older than the tier is kept for is only added to the next one.
    let mut boundaries = vec![None; 4];
    boundaries[0] = Some(60 * SECOND_US);
    let life = Life::Windows { tiers: tiers(), boundaries };
    let out = outputs(&life, &task, Some(&schema()), None, std::slice::from_ref(&rows)).unwrap();
    assert_eq!(shown(&out), ["0 true: 70 b 8", &last, &fresh]);
    // Into the last tier: at once by bucket.
    let task = Task::Roll { tier: 2, files: vec![0] };
    let out = outputs(&windows(), &task, Some(&schema()), None, &[rows]).unwrap();
    let day = "3 false: 0 a 23, 0 b 8";
    assert_eq!(shown(&out).last().unwrap(), day);
}

#[test]
fn every_width_has_a_bucket_that_it_divides() {
    for (pane, bucket) in [(10 * SECOND_US, 6 * HOUR_US), (MINUTE_US, DAY_US), (15 * MINUTE_US, DAY_US)] {
        assert_eq!(bucket_us(pane), bucket);
    }
    assert_eq!(bucket_us(HOUR_US), 30 * DAY_US);
    assert_eq!(bucket_us(DAY_US), 365 * DAY_US);
}
