//! Beside a listener that answers by script: what real brokers do rarely.

use super::{ReadError, Reader};
use crate::batch::tests::Written;
use crate::compression::Codec;
use crate::fetch::tests::put_response;
use crate::fetcher::{FetchSettings, Leader, Leaders, Partition};
use crate::wire::{Cursor, Put};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a broker does when asked for an offset of the partition.
#[derive(Debug, Clone)]
enum Does {
    Answers(Vec<u8>),
    Refuses(i16),
    HangsUp,
}

/// A broker of one partition; what it does next, by offset, and what it was asked for.
#[derive(Debug, Default)]
struct Broker {
    does: Mutex<HashMap<i64, Vec<Does>>>,
    asked: Mutex<Vec<i64>>,
}

const END: i64 = 1000;

impl Broker {
    fn start(does: Vec<(i64, Vec<Does>)>) -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = Arc::new(Self { does: Mutex::new(does.into_iter().collect()), asked: Mutex::default() });
        let of_thread = Arc::clone(&broker);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let broker = Arc::clone(&of_thread);
                std::thread::spawn(move || broker.serve(stream));
            }
        });
        (broker, port)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length).ok()?;
            let mut request = vec![0; i32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).ok()?;
            let mut cursor = Cursor::new(&request);
            let [key, _] = [cursor.i16("key").ok()?, cursor.i16("version").ok()?];
            let mut answer = vec![0; 4];
            answer.put_i32(cursor.i32("correlation").ok()?);
            if key == 18 {
                [0, 0].iter().for_each(|half| answer.put_i16(*half));
                answer.put_i16(1);
                [1, 4, 17].iter().for_each(|number| answer.put_i16(*number));
            } else {
                // Behind the names of client and topic, the numbers before the offset.
                cursor.text("client").ok()?;
                cursor.bytes(29, "head").ok()?;
                cursor.text("topic").ok()?;
                cursor.bytes(12, "numbers").ok()?;
                let offset = cursor.i64("offset").ok()?;
                self.asked.lock().unwrap().push(offset);
                let mut does = self.does.lock().unwrap();
                let next = does.get_mut(&offset).filter(|does| !does.is_empty()).map(|does| does.remove(0));
                drop(does);
                match next {
                    Some(Does::Answers(records)) => put_response(&mut answer, &[("t", &[(0, 0, END, &[], &records)])]),
                    Some(Does::Refuses(error)) => put_response(&mut answer, &[("t", &[(0, error, -1, &[], &[])])]),
                    Some(Does::HangsUp) => return None,
                    None => {
                        std::thread::sleep(Duration::from_millis(5));
                        put_response(&mut answer, &[("t", &[(0, 0, END, &[], &[])])]);
                    }
                }
            }
            let length = answer.len() as i32 - 4;
            answer[..4].copy_from_slice(&length.to_be_bytes());
            stream.write_all(&answer).ok()?;
        }
    }
}

/// Each time the next of these ports leads.
struct Script(Mutex<Vec<u16>>);

impl Leaders for Script {
    fn leaders(&self, topics: &HashSet<Arc<str>>) -> Result<Vec<Leader>, String> {
        let mut ports = self.0.lock().unwrap();
        let port = if ports.len() > 1 { ports.remove(0) } else { ports[0] };
        let topic = topics.iter().next().cloned().ok_or("no topic")?;
        let partition = Partition { topic, number: 0 };
        Ok(vec![Leader { partition, broker: port.into(), host: "127.0.0.1".to_owned(), port }])
    }
}

fn reader(ports: &[u16]) -> Reader {
    let settings = FetchSettings {
        client: "test".to_owned(),
        wait: Duration::from_millis(10),
        bytes_min: 1,
        bytes_max: 1 << 20,
        partition_bytes_max: 1 << 20,
        frame_bytes_max: 1 << 20,
        read_committed: true,
    };
    Reader::new(Arc::new(Script(Mutex::new(ports.to_vec()))), settings).unwrap()
}

fn partition() -> Partition {
    Partition { topic: "t".into(), number: 0 }
}

fn batch(base_offset: i64, values: &[&str]) -> Vec<u8> {
    Written { codec: Codec::Lz4, ..Written::new(base_offset, values) }.bytes()
}

/// Reads until so many records have come, `step` at a time.
fn read(reader: &mut Reader, count: usize, step: usize) -> Result<Vec<(i64, String)>, ReadError> {
    let mut found = Vec::new();
    for _ in 0..1000 {
        reader.read(step, Duration::from_millis(10), &mut |slot, record| {
            assert_eq!(slot, 0);
            found.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
        })?;
        if found.len() >= count {
            return Ok(found);
        }
    }
    panic!("{count} were to come: {found:?}");
}

fn expected(records: &[(i64, &str)]) -> Vec<(i64, String)> {
    records.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

#[test]
fn records_come_in_order_from_the_offset_on_however_few_at_a_time() {
    for step in [1, 2, 100] {
        let plain = Written::new(7, &["e", "f"]).bytes();
        // The last batch of a response may be cut off.
        let answer = [batch(4, &["b", "c", "d"]), plain, batch(9, &["g"])[..40].to_vec()].concat();
        let (_broker, port) =
            Broker::start(vec![(5, vec![Does::Answers(answer)]), (9, vec![Does::Answers(batch(9, &["g"]))])]);
        let mut reader = reader(&[port]);
        reader.start(0, &partition(), 5);
        assert_eq!(read(&mut reader, 5, step).unwrap(), expected(&[(5, "c"), (6, "d"), (7, "e"), (8, "f"), (9, "g")]));
        assert_eq!((reader.position(0), reader.high_watermark(0)), (Some(10), Some(END)));
        assert!(!reader.is_at_end(0));
    }
}

#[test]
fn offsets_whose_records_are_gone_are_passed() {
    let hole = Written { last: 9, ..Written::new(0, &["a"]) }.bytes();
    let marker = Written { attributes: 48, ..Written::new(10, &["abort"]) }.bytes();
    let (_broker, port) = Broker::start(vec![(0, vec![Does::Answers([hole, marker].concat())])]);
    let mut reader = reader(&[port]);
    reader.start(0, &partition(), 0);
    assert_eq!(read(&mut reader, 1, 10).unwrap(), expected(&[(0, "a")]));
    reader.read(1, Duration::from_millis(10), &mut |_, _| panic!("no record is left")).unwrap();
    assert_eq!(reader.position(0), Some(11));
}

#[test]
fn what_was_under_way_when_a_partition_is_started_anew_is_thrown_away() {
    let (_broker, port) = Broker::start(vec![
        (0, vec![Does::Answers(batch(0, &["a", "b"])), Does::Answers(batch(0, &["a", "b"]))]),
        (2, vec![Does::Answers(batch(2, &["c"])), Does::Answers(batch(2, &["c"]))]),
    ]);
    let mut reader = reader(&[port]);
    reader.start(0, &partition(), 0);
    assert_eq!(read(&mut reader, 1, 1).unwrap(), expected(&[(0, "a")]));
    std::thread::sleep(Duration::from_millis(50));
    reader.start(0, &partition(), 0);
    assert_eq!(reader.position(0), None);
    assert_eq!(read(&mut reader, 3, 10).unwrap(), expected(&[(0, "a"), (1, "b"), (2, "c")]));
    reader.stop(0);
    assert_eq!(reader.position(0), None);
}

#[test]
fn a_lost_connection_and_a_leader_that_moved_lose_and_repeat_nothing() {
    let (new, new_port) = Broker::start(vec![(2, vec![Does::Answers(batch(2, &["c"]))])]);
    let (old, old_port) = Broker::start(vec![
        (0, vec![Does::HangsUp, Does::Answers(batch(0, &["a", "b"]))]),
        (2, vec![Does::Refuses(6)]),
    ]);
    // At first nobody listens where the leader should be.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut reader = reader(&[nobody, old_port, old_port, new_port]);
    reader.start(0, &partition(), 0);
    assert_eq!(read(&mut reader, 3, 10).unwrap(), expected(&[(0, "a"), (1, "b"), (2, "c")]));
    assert_eq!(*old.asked.lock().unwrap(), [0, 0, 2]);
    assert_eq!(new.asked.lock().unwrap()[0], 2);
}

#[test]
fn what_waiting_does_not_mend_is_said() {
    let mut damaged = batch(3, &["d"]);
    *damaged.last_mut().unwrap() ^= 1;
    let (_broker, port) = Broker::start(vec![
        (0, vec![Does::Refuses(1)]),
        (1, vec![Does::Refuses(29)]),
        (2, vec![Does::Answers([batch(2, &["c"]), damaged].concat())]),
    ]);
    for (offset, said) in [
        (0, "t/0: offset 0 is not there"),
        (1, "t/0: the broker says TOPIC_AUTHORIZATION_FAILED"),
        (2, "t/0: the batch at offset 3: its checksum is "),
    ] {
        let mut reader = reader(&[port]);
        reader.start(0, &partition(), offset);
        let error = read(&mut reader, 2, 10).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_partition_without_records_is_at_its_end_once_the_broker_has_said_so() {
    let (_broker, port) = Broker::start(Vec::new());
    let mut reader = reader(&[port]);
    reader.start(0, &partition(), END);
    assert!(!reader.is_at_end(0));
    let is_at_end = (0..1000).any(|_| {
        reader.read(1, Duration::from_millis(10), &mut |_, _| panic!("no record is there")).unwrap();
        reader.is_at_end(0)
    });
    assert!(is_at_end);
    assert_eq!(reader.position(0), None);
}
