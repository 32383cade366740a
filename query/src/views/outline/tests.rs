use super::*;
use crate::definitions::Definitions;
use crate::testing::declared;
use crate::views::Checking;

async fn outlines(sql: &str) -> Definitions {
    let files = [("views.sql".to_owned(), sql.to_owned())];
    declared().with_views(&files, Checking::Plans).await.unwrap()
}

fn time(definitions: &Definitions, name: &str) -> Time {
    let view = definitions.views().find(|v| v.name == name).unwrap();
    view.outline().unwrap().time
}

const VIEWS: &str = "
CREATE VIEW raw AS SELECT window_start, api, requests FROM calls;
CREATE VIEW minute AS SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, api, sum(requests) AS value
    FROM calls GROUP BY 1, 2;
CREATE VIEW over_minute AS SELECT m.window_start, m.api FROM (SELECT * FROM minute) m JOIN raw r ON r.api = m.api;
CREATE VIEW of_hours AS SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start FROM minute;
CREATE VIEW both AS SELECT window_start FROM minute UNION ALL
    SELECT date_trunc('minute', window_start) + INTERVAL '6 days' FROM calls;
CREATE VIEW unlike AS SELECT window_start FROM minute UNION ALL SELECT window_start FROM of_hours;
CREATE VIEW weeks AS SELECT coalesce(date_trunc('week', window_start), time_bucket(INTERVAL '7 days', window_start)) AS window_start FROM calls;
CREATE VIEW months AS SELECT date_trunc('month', window_start) AS window_start FROM calls;
CREATE VIEW state AS SELECT api, max(window_start) AS last_at FROM calls GROUP BY api;
CREATE VIEW keyed AS SELECT api, requests > 1 AS is_many, count(*) AS value FROM calls GROUP BY 1, 2;
CREATE VIEW not_keyed AS SELECT is_many, value FROM keyed;
";

#[tokio::test]
async fn widths_are_those_of_the_bins_that_windows_come_from() {
    let definitions = outlines(VIEWS).await;
    let windows = |seconds: i64| Time::Windows { width_us: seconds * SECOND_US };
    for (view, expected) in [
        ("raw", windows(10)),
        ("minute", windows(60)),
        ("over_minute", windows(60)),
        ("of_hours", windows(3600)),
        ("both", windows(60)),
        ("unlike", Time::Unknown),
        ("weeks", windows(7 * 86_400)),
        ("months", Time::Unknown),
        ("state", Time::Now),
    ] {
        assert_eq!(time(&definitions, view), expected, "{view}");
    }
}

#[tokio::test]
async fn keys_are_the_columns_of_the_grouping_as_long_as_all_are_there() {
    let definitions = outlines(VIEWS).await;
    let keys = |name: &str| {
        let view = definitions.views().find(|v| v.name == name).unwrap();
        view.outline().unwrap().keys.iter().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("keyed"), "api is_many");
    assert_eq!(keys("not_keyed"), "");
    assert_eq!(keys("minute"), "api window_start");
    assert_eq!(keys("both"), "");
}
