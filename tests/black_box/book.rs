//! The book is true: every file, command and query in `docs/` is taken by a running Tidewatch, and has an answer.
//!
//! `docs/README.md` says what may stand behind the name of a language. A block without a language, or with a word that
//! is not known here, is a mistake.

mod block;

pub use self::block::form;

use self::block::{Block, Expect, Kind, read};
use crate::support::{PROGRAM, Tidewatch, post, repository, tidewatch, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the book says that the server is.
const BOOKS_ADDRESS: &str = "localhost:9890";
/// What a development build on a busy machine may take to count the events of the book.
const CAUGHT_UP: Duration = Duration::from_secs(600);
/// Seconds of events: before now, and in all. They go on beyond the end of the test, for it asks for the last minutes.
const BEFORE_S: i64 = 25 * 60;
const IN_ALL: &str = "85m";

const SETTINGS: &str = r#"
packs = ["builtin:creatorflow", "builtin:prometheus", "cafe"]
[storage]
location = "data"
[files]
paths = ["events.ndjson"]
[ingest]
future_max = "3h"
drain_timeout = "10m"
[http]
listen = "127.0.0.1:0"
[alerting]
rules = ["rules.yml"]
config = "alertmanager.yml"
[sql]
timeout = "5m"
"#;

/// What was posted a moment ago is in answers a moment later.
const LOOKS: u32 = 10;

fn looked_at_again(look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    for _ in 1..LOOKS {
        if look().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    look()
}

/// A small pack: what is checked are the settings, and the built-in one takes long to plan.
const SMALL_PACK: &str = "packs = [\"builtin:prometheus\"]\n";

#[test]
fn every_example_of_the_book_has_an_answer() {
    let blocks = chapters();
    assert!(blocks.len() > 60, "the book has only {} blocks", blocks.len());
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), &blocks);
    let mistakes: Vec<String> = blocks
        .iter()
        .filter_map(|block| world.run(block).err().map(|why| format!("{}\n{}\n{why}", block.place, block.text)))
        .collect();
    assert!(mistakes.is_empty(), "{} of {} blocks:\n\n{}", mistakes.len(), blocks.len(), mistakes.join("\n\n"));
    world.server.stop();
}

#[test]
fn links_of_the_book_lead_somewhere() {
    let mut broken = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            let there = std::fs::read_to_string(&target).is_ok_and(|text| heading.is_empty() || has(&text, heading));
            if !there {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// As GitHub names headings.
fn has(text: &str, heading: &str) -> bool {
    let headings = text.lines().filter_map(|l| l.strip_prefix('#')).map(|l| l.trim_start_matches('#').trim());
    let mut names = headings.map(|h| {
        let kept = h.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    });
    names.any(|name| name == heading)
}

fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    pages.retain(|p| p.extension().is_some_and(|e| e == "md"));
    pages.sort();
    pages
}

fn chapters() -> Vec<Block> {
    let read_page = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        read(&name, &std::fs::read_to_string(&path).unwrap())
    };
    pages().into_iter().flat_map(read_page).collect()
}

/// A folder with the files of the book, and a server over them.
struct World {
    folder: PathBuf,
    address: String,
    server: Tidewatch,
}

impl World {
    fn start(folder: &Path, blocks: &[Block]) -> Self {
        for block in blocks {
            if let Some(name) = &block.file {
                let path = folder.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &block.text).unwrap();
            }
        }
        // `tidewatch` on the path.
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, folder.join("bin/tidewatch")).unwrap();
        let start = chrono::Utc::now() - chrono::TimeDelta::seconds(BEFORE_S);
        let (start, events) = (start.to_rfc3339(), folder.join("events.ndjson").display().to_string());
        let what = ["--scenario", "demo", "--start", &start, "--duration", IN_ALL, "--rate", "4", "--seed", "7"];
        tidewatch(&[&["simulate", "--to", "file", "--path", &events], &what[..]].concat());
        let settings = write_settings(folder, SETTINGS);
        let mut server = Tidewatch::run(&settings);
        wait_until("the events of the book are counted", CAUGHT_UP, || {
            server.metric("tidewatch_ingest_events_total") > 0.0
                && server.metric("tidewatch_ingest_lag_records") == 0.0
                && server.metric("tidewatch_commit_rows_total") > 0.0
                && server.metric("tidewatch_ingest_open_rows") == 0.0
        });
        wait_until("an alert of the book fires", Duration::from_secs(300), || {
            server.sql("SELECT count(*) AS n FROM system.alert_ledger WHERE state_to = 'firing'") != "n\n0\n"
        });
        let address = server.address();
        Self { folder: folder.to_owned(), address, server }
    }

    fn run(&self, block: &Block) -> Result<(), String> {
        let text = block.text.replace(BOOKS_ADDRESS, &self.address);
        match block.expect {
            Expect::NotRun => return Ok(()),
            Expect::Answer | Expect::NoRows | Expect::Refused => {}
        }
        match block.kind {
            Kind::Shell => self.shell(&text),
            Kind::Sql => looked_at_again(|| self.sql(&text, block.expect)),
            Kind::Promql => looked_at_again(|| self.promql(&text, block.expect)),
            Kind::Settings => self.settings(&text, block.file.as_deref()),
            Kind::Rules => self.shell(&format!("tidewatch rules check {}", self.write("checked.yml", &text))),
            Kind::Routes => {
                self.write("routes.yml", &text);
                self.settings("[storage]\nlocation = \"data\"\n[alerting]\nconfig = \"routes.yml\"\n", None)
            }
            Kind::File => Ok(()),
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.join(name), text).unwrap();
        name.to_owned()
    }

    fn shell(&self, script: &str) -> Result<(), String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let done = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
            .env("TIDEWATCH_SALT", "of the book")
            .env("KAFKA_PASSWORD", "of the book")
            .output()
            .map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let wrong = format!("{}: {said}{}", done.status, String::from_utf8_lossy(&done.stderr));
        match done.status.success() && !said.trim().is_empty() {
            true => Ok(()),
            false => Err(wrong),
        }
    }

    fn sql(&self, query: &str, expect: Expect) -> Result<(), String> {
        let headers = ["Accept: text/csv", "Content-Type: text/plain"];
        let answer = post(&self.address, "/api/v1/sql", &headers, query.as_bytes()).map_err(|e| e.to_string())?;
        let rows = answer.text().lines().count().saturating_sub(1);
        let is_right = match expect {
            Expect::Refused => answer.status == 400,
            Expect::NoRows => answer.status == 200 && rows == 0,
            Expect::Answer | Expect::NotRun => answer.status == 200 && rows > 0,
        };
        if is_right { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text())) }
    }

    fn promql(&self, query: &str, expect: Expect) -> Result<(), String> {
        let form = format!("query={}", form(query));
        let headers = ["Content-Type: application/x-www-form-urlencoded"];
        let answer = post(&self.address, "/api/v1/query", &headers, form.as_bytes()).map_err(|e| e.to_string())?;
        let json: serde_json::Value = serde_json::from_str(&answer.text()).map_err(|e| e.to_string())?;
        let series = json["data"]["result"].as_array().map_or(0, Vec::len);
        let is_right = json["status"] == "success" && (series > 0) == (expect == Expect::Answer);
        if is_right { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text())) }
    }

    fn settings(&self, text: &str, file: Option<&str>) -> Result<(), String> {
        let text = if text.contains("packs = ") { text.to_owned() } else { format!("{SMALL_PACK}{text}") };
        let name = self.write(&format!("checked-{}", file.unwrap_or("settings.toml")), &text);
        self.shell(&format!("tidewatch check -c {name}"))
    }
}
