//! Dead letters by the command line: looked at, repaired, put back into their windows, once.

use crate::support::{Csv, Tidewatch, sql, tidewatch, tidewatch_fails, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RUN: Duration = Duration::from_secs(120);
const MINUTES: &str = "SELECT date_trunc('minute', window_start) AS minute, sum(requests) AS n, sum(hdr_count(duration_ms)) AS h \
                       FROM api_calls GROUP BY 1 ORDER BY 1";

fn call(id: usize, minute: usize, duration: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e{id}","source":"/t","type":"com.example.apihealth.api_call.completed.v1","time":"2026-03-14T12:{minute:02}:07Z","tenantkind":"creator","tenantid":"c1","data":{{"provider":"usps","api":"rates","outcome":"success","duration_ms":{duration},"status_code":200}}}}"#
    )
}

/// A folder with settings, and a file of events that is counted already.
struct Shop {
    folder: tempfile::TempDir,
    settings: PathBuf,
}

impl Shop {
    fn new(lines: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "[storage]\nlocation = \"data\"\n[files]\npaths = [\"calls.ndjson\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
                    [ingest]\ndead_letter_bytes_max = 600\n";
        let settings = write_settings(folder.path(), text);
        let shop = Self { folder, settings };
        std::fs::write(shop.path("calls.ndjson"), lines.join("\n") + "\n").unwrap();
        Tidewatch::start(&["run", "-c", shop.config(), "--until-caught-up"]).wait(RUN);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> &str {
        self.settings.to_str().unwrap()
    }

    fn letters(&self, arguments: &[&str]) -> String {
        tidewatch(&self.command(arguments))
    }

    fn command<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["dead-letters", arguments[0], "-c", self.config()][..], &arguments[1..]].concat()
    }

    fn sql(&self, query: &str) -> String {
        sql(&self.path("data"), query)
    }
}

/// Number behind a name of the report.
fn reported(report: &str, name: &str) -> usize {
    let line = report.lines().find_map(|l| l.strip_prefix(name));
    line.map_or(0, |rest| rest.split_whitespace().next().unwrap().parse().unwrap())
}

/// Replaces a text in the lines of an exported file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn repaired_letters_count_in_their_windows_once() {
    let cut = call(9, 6, "12").replace("usps", &"u".repeat(5000));
    let lines = [
        call(0, 0, "12"),
        call(1, 1, "\"soon\""),
        call(2, 1, "12"),
        call(3, 3, "\"soon\""),
        r#"{"specversion":"1.0","#.to_owned(),
        cut,
    ];
    let shop = Shop::new(&lines);
    assert_eq!(shop.sql(MINUTES), "minute,n,h\n2026-03-14T12:00:00.000000Z,1,1\n2026-03-14T12:01:00.000000Z,1,1\n");

    // Looking.
    let listed = shop.letters(&["list"]);
    assert!(listed.contains("file:calls.ndjson/0/3") && listed.contains("wrong_type"), "{listed}");
    let counted = "SELECT reason, topic, disposition, letters, first_arrival <= last_arrival AND last_arrival <= now() AS past \
                   FROM system.dead_letters ORDER BY reason";
    let expected = "reason,topic,disposition,letters,past\n\
                    broken_json,file:calls.ndjson,rejected,1,true\n\
                    string_too_long,file:calls.ndjson,rejected,1,true\n\
                    wrong_type,file:calls.ndjson,rejected,2,true\n";
    assert_eq!(shop.sql(counted), expected);
    let csv = Csv::parse(&shop.letters(&[
        "list",
        "--format",
        "csv",
        "--reason",
        "broken_json",
        "--reason",
        "string_too_long",
    ]));
    assert_eq!(csv.len(), 2);
    let typed =
        Csv::parse(&shop.letters(&["list", "--format", "csv", "--source", "api_call_completed", "--since", "1h"]));
    assert_eq!(typed.len(), 3, "broken JSON has no type");
    let summary = Csv::parse(&shop.letters(&["list", "--summary", "--format", "csv"]));
    assert_eq!(summary.rows(["reason", "letters", "redriven"])[0], ["wrong_type", "2", "0"]);
    let shown = shop.letters(&["show", "file:calls.ndjson/0/1"]);
    assert!(shown.contains("\n    \"duration_ms\": \"soon\",\n") && shown.contains("what to do"), "{shown}");
    let said = tidewatch_fails(&shop.command(&["show", "file:calls.ndjson/0/0"]));
    assert!(said.contains("there is no such letter"), "{said}");
    let said = tidewatch_fails(&shop.command(&["list", "--reason", "ugly"]));
    assert!(said.contains("broken_json"), "{said}");

    // As they stand none of them counts, and nothing is changed.
    let said = tidewatch_fails(&shop.command(&["redrive"]));
    assert!(said.contains("which letters?"), "{said}");
    for arguments in [&["redrive", "--all", "--dry-run"][..], &["redrive", "--all"]] {
        let report = shop.letters(arguments);
        assert_eq!((reported(&report, "selected"), reported(&report, "held back")), (4, 3), "{report}");
        assert_eq!((reported(&report, "cut off"), reported(&report, "journaled")), (1, 0), "{report}");
    }
    assert_eq!(Csv::parse(&shop.letters(&["list", "--format", "csv"])).len(), 4);

    // Export, edit, try, put back.
    let file = shop.path("letters.ndjson");
    let path = file.to_str().unwrap();
    shop.letters(&["redrive", "--reason", "wrong_type", "--reason", "broken_json", "--export", path]);
    edit(&file, "\"soon\"", "77");
    let report = shop.letters(&["redrive", "--repaired", path, "--dry-run"]);
    assert_eq!((reported(&report, "would count"), reported(&report, "not repaired")), (2, 1), "{report}");
    assert!(report.contains("file:calls.ndjson/0/3  counts as api_call_completed of 2026-03-14T12:03:07Z"), "{report}");
    let report = shop.letters(&["redrive", "--repaired", path]);
    assert_eq!((reported(&report, "journaled"), reported(&report, "counted")), (2, 2), "{report}");
    let expected = "minute,n,h\n2026-03-14T12:00:00.000000Z,1,1\n2026-03-14T12:01:00.000000Z,2,2\n2026-03-14T12:03:00.000000Z,1,1\n";
    assert_eq!(shop.sql(MINUTES), expected);
    assert!(shop.letters(&["show", "file:calls.ndjson/0/1"]).contains("redriven"));

    // Again, by every way of asking for it.
    for arguments in [&["redrive", "--repaired", path][..], &["redrive", "--letter", "file:calls.ndjson/0/1"]] {
        let report = shop.letters(arguments);
        assert!(reported(&report, "already redriven") > 0 && reported(&report, "journaled") == 0, "{report}");
        assert_eq!(shop.sql(MINUTES), expected);
    }

    // A replay of the file and the journal gives the same numbers.
    let verified = tidewatch(&["verify", "-c", shop.config(), "--scratch", shop.folder.path().to_str().unwrap()]);
    assert!(verified.contains("is as replayed"), "{verified}");

    // A letter that was cut off comes back with all of its bytes, into windows that were rolled up since.
    tidewatch(&["maintain", "-c", shop.config()]);
    let whole = format!(r#"{{"topic":"file:calls.ndjson","partition":0,"offset":5,"payload":{}}}"#, call(9, 6, "5"));
    std::fs::write(&file, whole).unwrap();
    assert_eq!(reported(&shop.letters(&["redrive", "--all", "--repaired", path]), "counted"), 1);
    tidewatch(&["maintain", "-c", shop.config()]);
    let sum = "SELECT sum(requests) AS n, sum(hdr_count(duration_ms)) AS h FROM api_calls";
    assert_eq!(shop.sql(sum), "n,h\n5,5\n");
    assert_eq!(reported(&shop.letters(&["redrive", "--repaired", path]), "already redriven"), 1);

    // A file that names no letter is refused as a whole.
    std::fs::write(&file, r#"{"topic":"calls","partition":0,"offset":5,"payload":{}}"#).unwrap();
    let said = tidewatch_fails(&shop.command(&["redrive", "--repaired", path]));
    assert!(said.contains("calls/0/5: there is no such letter"), "{said}");
}

#[test]
fn a_redrive_that_is_killed_goes_on_where_it_was() {
    let letters = 40;
    let lines: Vec<String> = (0..letters).map(|i| call(i, i % 8, "\"soon\"")).collect();
    let shop = Shop::new(&lines);
    let whole = shop.path("letters.ndjson");
    shop.letters(&["redrive", "--all", "--export", whole.to_str().unwrap()]);
    edit(&whole, "\"soon\"", "9");
    let text = std::fs::read_to_string(&whole).unwrap();
    let repaired: Vec<&str> = text.lines().collect();
    let part = shop.path("part.ndjson");
    let journaled = || {
        let log = std::fs::read_dir(shop.path("data/redriven/_delta_log"));
        log.map_or(0, |entries| entries.flatten().filter(|e| e.path().extension().is_some_and(|e| e == "json")).count())
    };
    // Some letters more each time, killed ever later after they have entered the journal.
    for (round, delay_ms) in [0, 0, 30, 100, 200, 400].into_iter().enumerate() {
        std::fs::write(&part, repaired[..5 * (round + 1)].join("\n")).unwrap();
        let commits = journaled();
        let mut process = Tidewatch::start(&shop.command(&["redrive", "--repaired", part.to_str().unwrap()]));
        // The first commit of all makes the table.
        wait_until("the letters are in the journal", RUN, || journaled() > commits.max(1) || process.has_ended());
        std::thread::sleep(Duration::from_millis(delay_ms));
        process.kill();
        if round == 0 {
            assert_eq!(shop.sql("SELECT count(*) AS n FROM redriven"), "n\n5\n");
        }
    }
    let last = whole.to_str().unwrap();
    let report = shop.letters(&["redrive", "--repaired", last]);
    assert_eq!(reported(&report, "already redriven") + reported(&report, "journaled"), letters, "{report}");
    let expected: String = (0..8).map(|m| format!("2026-03-14T12:0{m}:00.000000Z,5,5\n")).collect();
    let expected = format!("minute,n,h\n{expected}");
    assert_eq!(shop.sql(MINUTES), expected);
    assert_eq!(reported(&shop.letters(&["redrive", "--repaired", last]), "journaled"), 0);
    assert_eq!(shop.sql(MINUTES), expected);
    assert_eq!(
        shop.sql("SELECT count(*) AS n, count(DISTINCT \"offset\") AS d FROM redriven"),
        format!("n,d\n{letters},{letters}\n")
    );
}

#[test]
fn two_redrives_and_a_run_at_the_same_time_count_each_event_once() {
    let lines: Vec<String> = (0..30).map(|i| call(i, i % 3, if i < 24 { "\"soon\"" } else { "9" })).collect();
    let shop = Shop::new(&lines);
    let file = shop.path("letters.ndjson");
    shop.letters(&["redrive", "--all", "--export", file.to_str().unwrap()]);
    edit(&file, "\"soon\"", "9");
    // More events come in by a running process, which has committed to all tables before.
    let more: Vec<String> = (30..60).map(|i| call(i, i % 3, "9")).collect();
    std::fs::write(shop.path("more.ndjson"), more.join("\n") + "\n").unwrap();
    let text = std::fs::read_to_string(&shop.settings).unwrap();
    let settings =
        write_settings(shop.folder.path(), &text.replace("calls.ndjson\"", "calls.ndjson\", \"more.ndjson\""));
    assert_eq!(settings, shop.settings);
    let mut run = Tidewatch::run(&shop.settings);
    run.address();
    let redrive = || Tidewatch::start(&shop.command(&["redrive", "--repaired", file.to_str().unwrap()]));
    let both = [redrive(), redrive()];
    both.into_iter().for_each(|process| {
        process.wait(RUN);
    });
    wait_until("everything is counted", RUN, || run.sql("SELECT sum(requests) AS n FROM api_calls") == "n\n60\n");
    let letters = run.sql("SELECT reason, sum(letters) AS letters FROM system.dead_letters GROUP BY reason");
    assert_eq!(letters, "reason,letters\nwrong_type,24\n", "a letter that was put back stays one");
    run.stop();
    let expected: String = (0..3).map(|m| format!("2026-03-14T12:0{m}:00.000000Z,20,20\n")).collect();
    assert_eq!(shop.sql(MINUTES), format!("minute,n,h\n{expected}"));
    assert_eq!(shop.sql("SELECT count(*) AS n FROM redriven"), "n\n24\n");
}

#[test]
fn a_letter_that_is_refused_again_becomes_a_new_one_and_can_be_put_back_itself() {
    let shop = Shop::new(&[call(0, 0, "\"soon\"")]);
    let file = shop.path("letters.ndjson");
    let path = file.to_str().unwrap();
    shop.letters(&["redrive", "--all", "--export", path]);
    edit(&file, "\"soon\"", "9");
    edit(&file, "\"usps\"", &format!("{:?}", "u".repeat(100)));
    // It enters the journal, and the process dies before it counts.
    let mut process = Tidewatch::start(&shop.command(&["redrive", "--repaired", path]));
    let log = shop.path("data/redriven/_delta_log/00000000000000000001.json");
    wait_until("the letter is in the journal", RUN, || log.exists() || process.has_ended());
    process.kill();
    if shop.sql(MINUTES).lines().count() > 1 {
        // It was faster than the kill: nothing is left to be refused.
        return;
    }
    // Meanwhile such long texts are not wanted any more.
    let text = std::fs::read_to_string(&shop.settings).unwrap();
    write_settings(shop.folder.path(), &text.replace("[ingest]\n", "[ingest]\nstring_bytes_max = 50\n"));
    let report = shop.letters(&["redrive", "--all"]);
    assert!(report.contains("redrive:journal/0/0  refused again: string_too_long"), "{report}");
    assert_eq!((reported(&report, "refused again"), reported(&report, "caught up")), (1, 1), "{report}");
    assert!(
        shop.letters(&["show", "file:calls.ndjson/0/0"]).contains("refused again as the letter redrive:journal/0/0")
    );
    // The new letter is a letter like any other.
    let line = format!(r#"{{"topic":"redrive:journal","partition":0,"offset":0,"payload":{}}}"#, call(0, 0, "9"));
    std::fs::write(&file, line).unwrap();
    let report = shop.letters(&["redrive", "--repaired", path]);
    assert_eq!(reported(&report, "counted"), 1, "{report}");
    assert_eq!(shop.sql(MINUTES), "minute,n,h\n2026-03-14T12:00:00.000000Z,1,1\n");
}

#[test]
fn an_event_that_was_sent_again_counts_once() {
    // e1 was mended and sent again; e2 was sent twice, wrong both times.
    let lines = [call(1, 1, "\"soon\""), call(1, 1, "9"), call(2, 2, "\"soon\""), call(2, 2, "\"soon\"")];
    let shop = Shop::new(&lines);
    let file = shop.path("letters.ndjson");
    let path = file.to_str().unwrap();
    shop.letters(&["redrive", "--all", "--export", path]);
    edit(&file, "\"soon\"", "9");
    let report = shop.letters(&["redrive", "--repaired", path]);
    assert_eq!((reported(&report, "counted"), reported(&report, "copies")), (1, 2), "{report}");
    let report = shop.letters(&["redrive", "--repaired", path]);
    assert_eq!((reported(&report, "already redriven"), reported(&report, "copies")), (1, 2), "{report}");
    assert_eq!(shop.sql("SELECT sum(requests) AS n FROM api_calls"), "n\n2\n");
}
