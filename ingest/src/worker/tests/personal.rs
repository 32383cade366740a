//! Planted personal data goes through the worker's whole way and is found in no byte that is written.

use super::*;
use crate::committer::{Committer, Request};
use crate::dead_letter::DEAD_LETTERS;
use datafusion::prelude::SessionContext;
use std::io::Write;
use std::path::Path;
use tidewatch_storage::Store;

const SOURCES: &str = "
personal:
  drop: [email, phone, address, access_token]
  hash: [handle]
sources:
  - name: orders
    topic: clicks
    type: test.order
    fields:
      amount: { type: int64, required: true }
      status: { enum: [paid, void] }
      state: { enum: [on, off], on_unknown: reject }
      handle: string
      note: string
      customer.name: { type: string, personal: hash }
      placed_at: timestamp
";
const ROLLUPS: &str =
    "CREATE ROLLUP by_handle AS SELECT handle, customer_name, status, state, count(*) AS n, sum(amount) AS amount,
    count(note) AS notes, max(placed_at) AS placed_at FROM orders
    GROUP BY tumble(INTERVAL '10 seconds'), handle, customer_name, status, state;";

/// What must not be found.
const PLANTED: [&str; 12] = [
    "jane.doe@example.com",
    "jane.doe",
    "+49 151 2345678",
    "151 2345678",
    "5 Planted Street",
    "Planted",
    "secret-token-value",
    "janes_handle",
    "Jane Doe",
    "act_9f8e7d6c5b4a",
    "eyJhbGciOiJIUzI1NiJ9",
    "5557654321",
];

/// Payloads; each plants something, the first three count.
fn payloads() -> Vec<Vec<u8>> {
    let event = |id: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"t","type":"test.order","time":"2026-01-01T00:00:00Z","tenantkind":"creator","tenantid":"c","data":{data}}}"#
        )
    };
    let plant = r#""handle":"janes_handle","email":"jane.doe@example.com","customer":{"name":"Jane Doe","Phone":"+49 151 2345678","home":{"address":{"line":"5 Planted Street"}}},"list":[{"ACCESS_TOKEN":"secret-token-value"}]"#;
    let mut payloads: Vec<String> = vec![
        // declared, unknown and nested fields of an event that counts
        event("ok-1", &format!(r#"{{"amount":1,{plant}}}"#)),
        event("ok-2", &format!(r#"{{"amount":1,"status":"jane.doe@example.com",{plant}}}"#)),
        event("ok-3", &format!(r#"{{"amount":1,"status":"act_9f8e7d6c5b4a",{plant}}}"#)),
        // rejected: missing field, wrong types, unlisted value, ids
        event("r-1", &format!("{{{plant}}}")),
        event("r-2", &format!(r#"{{"amount":"jane.doe@example.com",{plant}}}"#)),
        event("r-3", &format!(r#"{{"amount":"Bearer secret-token-value",{plant}}}"#)),
        event("r-4", &format!(r#"{{"amount":1,"state":"+49 151 2345678",{plant}}}"#)),
        event("r-5", &format!(r#"{{"amount":1,"placed_at":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJKYW5lIn0.x",{plant}}}"#)),
        event("r-6", r#"{"amount":1,"handle":{"first":"Jane Doe"}}"#),
        event("r-7", r#"{"amount":1,"handle":["janes_handle"]}"#),
        event("r-8", r#"{"amount":1,"customer":"jane.doe@example.com"}"#),
        event("jane.doe@example.com", &format!("{{{plant}}}")),
        event("order +49 151 2345678", &format!("{{{plant}}}")),
        event("r-9", r#""{\"email\":\"Jane Doe\",\"address\":\"5 Planted Street\"}""#),
        event(
            "r-10",
            &format!(r#"{{"body":"{{\"handle\":\"janes_handle\",\"address\":\"5 Planted Street\"}}",{plant}}}"#),
        ),
        event("r-11", &format!("{{{plant}}}")).replace("\"time\":\"", "\"time\":\"jane.doe@example.com"),
        event("r-12", &format!("{{{plant}}}")).replace("\"source\"", "\"Email\":\"Jane Doe\",\"x\""),
        event("r-13", &format!("{{{plant}}}")).replace("\"1.0\"", "\"act_9f8e7d6c5b4a\""),
        event("r-14", &format!("{{{plant}}}")).replace("\"data\"", "\"data_base64\""),
        event("r-15", &format!("{{{}}}", plant.replace("email", "e\\u006dail").replace("handle\"", "h\\u0061ndle\""))),
        // no event at all
        "jane.doe@example.com 5557654321 Bearer secret-token-value".to_owned(),
        r#"{"email": "Jane Doe", "address": "5 Planted Street", }"#.to_owned(),
        r#"{'handle': 'janes_handle', 'customer': {'name': 'Jane Doe'}}"#.to_owned(),
        r#"{"x": "unclosed, "address": "5 Planted Street", "name": "Jane Doe"}"#.to_owned(),
        format!("{{{plant}"),
        format!("[{}", plant.replace('"', "\\\"")),
    ];
    // Cut off at many places, as a sender that dies would.
    let whole = payloads[0].clone();
    payloads.extend((0..whole.len()).step_by(7).map(|at| whole[..at].to_owned()));
    // Too large: what is kept is a part.
    payloads.push(event("large", &format!(r#"{{{plant},"pad":"{}"}}"#, "x".repeat(20_000))));
    let mut payloads: Vec<Vec<u8>> = payloads.into_iter().map(String::into_bytes).collect();
    payloads.push(whole.encode_utf16().flat_map(u16::to_be_bytes).collect());
    payloads.push([whole.as_bytes(), b"\xff"].concat());
    payloads
}

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn planted_personal_data_is_found_nowhere() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let folder = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let metrics = IngestMetrics::register(&registry).unwrap();
    tracing::subscriber::with_default(subscriber, || write(folder.path(), metrics));

    let mut seen = vec![("log".to_owned(), lines.0.lock().unwrap().clone())];
    assert!(!seen[0].1.is_empty());
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains(r#"tidewatch_ingest_personal_values_total{action="drop",source="orders"} 12"#), "{text}");
    assert!(text.contains(r#"tidewatch_ingest_personal_values_total{action="hash",source="orders"} 6"#), "{text}");
    assert!(text.contains(r#"tidewatch_ingest_personal_values_total{action="drop",source="dead_letters"}"#), "{text}");
    seen.push(("metrics".to_owned(), text.into_bytes()));
    collect_files(folder.path(), &mut seen);
    seen.extend(cells(folder.path()));
    assert!(seen.iter().any(|(name, bytes)| name == "dead_letters.payload" && bytes.len() > 10_000));
    let handle = HashKey::from_salt("salt").hash("janes_handle");
    let find = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes());
    let has = |name: &str, text: &str| seen.iter().any(|(n, bytes)| n == name && find(bytes, text).is_some());
    assert!(has("by_handle.handle", &handle) && has("dead_letters.payload", &handle), "the hash is what stays");
    for (name, bytes) in &seen {
        for planted in PLANTED {
            if let Some(at) = find(bytes, planted) {
                let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 100)];
                panic!("{planted:?} in {name}: {}", String::from_utf8_lossy(around));
            }
        }
    }
}

/// Counts all payloads and commits what came of them.
fn write(folder: &Path, metrics: IngestMetrics) {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    let catalog = Catalog::parse(&text("s", SOURCES), &text("r", ROLLUPS)).unwrap();
    let settings = WorkerSettings { hash_key: HashKey::from_salt("salt"), dead_letter_bytes_max: 2000, ..settings() };
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
    let mut counting = Counting::new(&catalog, &settings, metrics.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(folder.to_str().unwrap(), Default::default()).unwrap();
        let committer = Committer::open(&store, &catalog, 0, metrics, clock).await.unwrap();
        let (requests, inbox) = mpsc::channel(2);
        let (outbox, answers) = sync_channel(2);
        requests.send(Request::Positions(vec![partition()])).await.unwrap();
        let worker = async {
            let positions = loop {
                match answers.try_recv() {
                    Ok(Answer::Positions(positions)) => break positions,
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            counting.assign(&positions, 0);
            counting.begin_poll(1_800_000_000_000_000);
            for (offset, payload) in payloads().iter().enumerate() {
                let raw = RawRecord { topic: Some("clicks"), payload, timestamp_us: None, headers: &NoHeaders };
                counting.take(&SourceRecord { slot: 0, partition: &partition(), offset: offset as i64, raw });
            }
            counting.end_poll().unwrap();
            let piece = Arc::new(counting.freeze().unwrap().unwrap());
            requests.send(Request::Commit { pieces: vec![piece], watermarks: counting.watermarks() }).await.unwrap();
            drop(requests);
        };
        futures::join!(committer.run(inbox, outbox), worker);
        assert!(matches!(answers.try_recv(), Ok(Answer::Committed)));
    });
}

fn collect_files(folder: &Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect_files(&path, seen),
            false => seen.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

/// Every cell of every table by column: the files are compressed.
fn cells(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(folder.to_str().unwrap(), Default::default()).unwrap();
        let mut cells = Vec::new();
        for name in store.table_names().await.unwrap() {
            let provider = store.table(&name).await.unwrap().unwrap().provider().unwrap();
            let batches = SessionContext::new().read_table(provider).unwrap().collect().await.unwrap();
            for batch in &batches {
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    let data = arrow::array::Array::to_data(column);
                    let texts = data.child_data().iter().flat_map(|texts| texts.buffers().to_vec());
                    let bytes: Vec<arrow::buffer::Buffer> = data.buffers().iter().cloned().chain(texts).collect();
                    let bytes = bytes.iter().flat_map(|b| b.as_slice().to_vec()).collect();
                    cells.push((format!("{name}.{}", field.name()), bytes));
                }
            }
        }
        assert!(cells.iter().any(|(name, _)| name.starts_with(DEAD_LETTERS)));
        cells
    })
}
