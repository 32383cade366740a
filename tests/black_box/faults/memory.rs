//! A worker that may have so much memory and no more, and a backlog in Kafka that is larger: it is worked off, memory
//! does not grow with it, every number is exact.

use crate::support::{PROGRAM, RealKafka, Tidewatch, kafka, pack, sql, wait_until, write_settings};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the process may have.
const LIMIT: u64 = 512 << 20;
/// Bytes of JSON in Kafka; of the long form by `TIDEWATCH_BACKLOG_MB`.
const BACKLOG: u64 = 1 << 30;
const LONG_BACKLOG_MB: u64 = 10 << 10;
/// What nobody reads of each event.
const PADDING: usize = 8 << 10;
const RUN: Duration = Duration::from_secs(180);
const LONG_RUN: Duration = Duration::from_secs(3600);
const LOOK: Duration = Duration::from_millis(100);
/// Memory may differ by so much between the first and the second half of the work.
const FLAT: u64 = 64 << 20;
const APIS: u64 = 200;

/// A control group with a hard limit, of whichever version the machine has; removed when dropped.
struct Cage(PathBuf);

impl Cage {
    /// `None` where this user may not make one: then memory is looked at only.
    fn new(limit: u64) -> Option<Self> {
        let name = format!("tidewatch-{}", std::process::id());
        let roots = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
        roots.into_iter().find_map(|(root, file)| {
            let cage = Self(Path::new(root).join(&name));
            std::fs::create_dir(&cage.0).ok()?;
            // A folder in a mere place for such file systems has no such file.
            let file = cage.0.join(file);
            (file.exists() && std::fs::write(file, limit.to_string()).is_ok()).then_some(cage)
        })
    }

    /// Becomes the program within the group, if there is one.
    fn command(cage: Option<&Self>, config: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "[ -z \"$0\" ] || echo $$ > \"$0\" && exec \"$@\""]);
        command.arg(cage.map_or_else(PathBuf::new, |cage| cage.0.join("cgroup.procs")));
        command.args([PROGRAM, "run", "-c"]).arg(config);
        command
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // It is empty once the process has ended; what is left hurts nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Bytes by the name of a line of `/proc/…/status`.
fn memory(process: &Tidewatch, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Writes so many bytes of calls, and says how many calls they are.
fn write(servers: &str, bytes: u64) -> u64 {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("linger.ms", "50")
        .set("compression.type", "lz4")
        .set("batch.size", "1000000")
        .create()
        .unwrap();
    let padding = "a customer's words. ".repeat(PADDING / 20);
    let (mut count, mut written) = (0, 0);
    while written < bytes {
        let (minute, second) = (count / 6000 % 60, count / 100 % 60);
        let line = format!(
            r#"{{"specversion":"1.0","id":"{count}","source":"/t","type":"apihealth.api_call.completed.v1","time":"2026-03-14T06:{minute:02}:{second:02}Z","tenantkind":"shop","tenantid":"s","data":{{"note":"{padding}","provider":"p","api":"api-{}","status_code":200,"duration_ms":{}}}}}"#,
            count % APIS,
            count % 100
        );
        let mut record = BaseRecord::<(), str>::to("apihealth.events.v1").payload(&line);
        while let Err((error, unsent)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(20));
            record = unsent;
        }
        (count, written) = (count + 1, written + line.len() as u64);
    }
    producer.flush(RUN).unwrap();
    count
}

fn work_off(bytes: u64, time: Duration) {
    let (kafka, folder) = (RealKafka::start(), tempfile::tempdir().unwrap());
    let begun = Instant::now();
    let count = write(&kafka.bootstrap_servers, bytes);
    eprintln!("{} MB, {count} calls, written in {:.1?}", bytes >> 20, begun.elapsed());
    let config = write_settings(
        folder.path(),
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerting]\nenabled = false\n\
             [ingest]\nflush_interval = \"1s\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n",
            pack("calls"),
            kafka.bootstrap_servers
        ),
    );
    let cage = Cage::new(LIMIT);
    let mut process = Tidewatch::spawn(Cage::command(cage.as_ref(), &config));
    process.address();
    let (begun, at_rest) = (Instant::now(), memory(&process, "VmRSS"));
    let (mut seen, mut looked) = (Vec::new(), Instant::now());
    wait_until("the backlog is worked off", time, || {
        assert!(!process.has_ended(), "it ended, by the limit or else:\n{}", process.log());
        std::thread::sleep(LOOK);
        seen.push(memory(&process, "VmRSS"));
        if looked.elapsed() < 10 * LOOK {
            return false;
        }
        looked = Instant::now();
        process.metric("tidewatch_ingest_records_total") as u64 >= count
    });
    let took = begun.elapsed();
    let (first, second) = seen.split_at(seen.len() / 2);
    let [first, second] = [first, second].map(|half| half.iter().max().copied().unwrap_or_default());
    let peak = memory(&process, "VmHWM");
    eprintln!(
        "worked off in {took:.1?} ({:.0} MB/s) within {} MB ({}): at rest {} MB, first half {} MB, second half {} MB, peak {} MB",
        (bytes >> 20) as f64 / took.as_secs_f64(),
        LIMIT >> 20,
        if cage.is_some() { "a control group's hard limit" } else { "no control group can be made here: observed" },
        at_rest >> 20,
        first >> 20,
        second >> 20,
        peak >> 20,
    );
    assert!(peak <= LIMIT, "{peak} bytes at once");
    assert!(second <= first + FLAT, "memory grows with the backlog: {first} bytes, then {second}");
    process.stop();
    let query = "SELECT api, sum(requests) AS n FROM api_calls GROUP BY api ORDER BY api";
    let mut expected: Vec<String> =
        (0..APIS).map(|api| format!("api-{api},{}", (count + APIS - 1 - api) / APIS)).collect();
    expected.sort();
    assert_eq!(sql(&folder.path().join("data"), query), format!("api,n\n{}\n", expected.join("\n")));
}

#[test]
fn a_backlog_larger_than_memory_is_worked_off_within_a_limit() {
    if kafka().is_some() {
        work_off(BACKLOG, RUN);
    }
}

/// Ten gigabytes, or `TIDEWATCH_BACKLOG_MB`.
#[test]
#[ignore = "takes minutes"]
fn a_backlog_of_ten_gigabytes_is_worked_off_within_a_limit() {
    if kafka().is_some() {
        let megabytes = std::env::var("TIDEWATCH_BACKLOG_MB").map_or(LONG_BACKLOG_MB, |text| text.parse().unwrap());
        work_off(megabytes << 20, LONG_RUN);
    }
}
