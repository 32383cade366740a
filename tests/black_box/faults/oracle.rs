//! What must have come of the events: every row as in a straight run over the same lines into a folder, as replayed
//! from the log, and no file in the store that no table lists.

use super::{LOCATION, last_pass};
use crate::object_store::S3;
use crate::support::{Tidewatch, pack, repository, run_tool, tidewatch, write_settings};
use std::path::Path;
use std::time::Duration;

const RUN: Duration = Duration::from_secs(180);

/// Windows by the hour: finer ones of old events were kept long enough. Sketches are compared byte for byte.
const QUESTIONS: [&str; 3] = [
    "SELECT date_trunc('hour', window_start) AS hour, tenant, currency, sum(orders) AS orders, \
     sum(total_minor) AS total_minor, hdr_merge(totals) AS totals FROM orders GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "SELECT tenant, order_id, created_at, shipped_at FROM order_way ORDER BY 1, 2",
    // A batch that was not answered is sent again: of what has no id that can be read, there may be copies.
    "SELECT DISTINCT reason, payload FROM dead_letters ORDER BY 1, 2",
];

/// The rows of `lines` in a straight run.
fn straight(folder: &Path, lines: &str) -> Vec<String> {
    let folder = folder.join("straight");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("all.ndjson"), lines).unwrap();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[files]\npaths = [\"all.ndjson\"]\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[maintenance]\nenabled = false\n",
        pack("shop")
    );
    let config = write_settings(&folder, &text);
    Tidewatch::start(&["run", "-c", config.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    rows(&config)
}

fn rows(config: &Path) -> Vec<String> {
    let ask = |query| tidewatch(&["sql", "-c", config.to_str().unwrap(), "--format", "csv", query]);
    QUESTIONS.map(ask).to_vec()
}

/// Compares the store with a straight run over the same lines, the log, and the files that the tables list. No process
/// may be at work on it any more.
pub fn is_exact(folder: &Path, python: &Path, s3: &S3, lines: &str) {
    let config = last_pass(folder, s3);
    let config_path = config.to_str().unwrap();
    let expected = straight(folder, lines);
    assert!(expected.iter().all(|rows| rows.lines().count() > 10), "{expected:?}");
    let compare = |when: &str| {
        for ((question, expected), found) in QUESTIONS.iter().zip(&expected).zip(rows(&config)) {
            let differs = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
            let counts = (expected.lines().count(), found.lines().count());
            assert!(*expected == found, "{when}: {question}: {counts:?} rows, first other one {differs:?}");
        }
    };
    compare("as it was left");
    tidewatch(&["maintain", "-c", config_path]);
    compare("after the last pass of maintenance");
    let twice = "SELECT count(*) - count(DISTINCT \"offset\") AS n FROM dead_letters";
    let found = tidewatch(&["sql", "-c", config_path, "--format", "csv", twice]);
    assert_eq!(found, "n\n0\n", "dead letters that were kept twice");
    let verified = tidewatch(&["verify", "-c", config_path]);
    assert!(verified.contains("is as replayed") && !verified.contains("DIFFERENT"), "{verified}");
    let script = repository().join("tests/truth/store_files.py").display().to_string();
    let other = run_tool(python, &[&script, &format!("http://{}", s3.address), LOCATION]);
    assert!(other.starts_with("tables: "), "files that do not belong there:\n{other}");
}
