use super::*;
use tidewatch_engine::cardinality::DAYS_REMEMBERED;
use tidewatch_engine::time::DAY_US;
use tidewatch_storage::Rows;

fn admitted(rollup: &str, tenant: Option<&str>, day: i64, series: &[u64]) -> FreshSeries {
    FreshSeries {
        table: rollup.to_owned(),
        tenant: tenant.map(str::to_owned),
        day_us: day * DAY_US,
        series: series.to_vec(),
    }
}

#[tokio::test]
async fn series_of_the_newest_days_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
    let mut table = open(&store).await.unwrap();
    assert_eq!(read(&table).await.unwrap(), [], "nothing is there yet");
    assert_eq!(batch([]).unwrap(), None);
    let commits = [
        vec![admitted("a", Some("t"), 100, &[7]), admitted("b", None, 102 - DAYS_REMEMBERED, &[5])],
        vec![
            admitted("a", Some("t"), 102, &[3, u64::MAX]),
            admitted("a", Some("t"), 102, &[1]),
            admitted("b", None, 102, &[9]),
        ],
    ];
    for series in &commits {
        let rows = Rows { batch: batch(series).unwrap(), ..Rows::default() };
        table.append(&rows).await.unwrap();
    }
    let mut found = read(&table).await.unwrap();
    found.sort_by(|a, b| (&a.table, a.day_us).cmp(&(&b.table, b.day_us)));
    let expected = [
        admitted("a", Some("t"), 100, &[7]),
        admitted("a", Some("t"), 102, &[1, 3, u64::MAX]),
        admitted("b", None, 102, &[9]),
    ];
    assert_eq!(found, expected);
}
