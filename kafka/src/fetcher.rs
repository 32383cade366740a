//! Who fetches what: a thread for each broker that leads a partition, and one that asks for leaders.
//!
//! Threads and reader share what is wanted of each partition. A thread asks its broker for all partitions that the
//! broker leads, notes how far the answer goes, hands it over and asks again; while the queue is full it waits.
//! When anything is wrong with a broker, its partitions have no leader until the cluster was asked again. What is
//! still under way when a partition is started anew is known by its generation, and thrown away.

use crate::batch;
use crate::broker;
use crate::fetch::{Answer, Limits};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Responses that wait for the reader; a broker's thread holds one more.
const QUEUE_MAX: usize = 1;
/// Pause between two questions for leaders.
const LEADERS_WAIT: Duration = Duration::from_millis(200);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// The number.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// Who leads a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The partition.
    pub partition: Partition,
    /// The broker's number.
    pub broker: i32,
    /// Where it listens.
    pub host: String,
    /// And its port.
    pub port: u16,
}

/// Knows the cluster.
pub trait Leaders: Send + Sync {
    /// The leaders of all partitions of these topics that have one.
    ///
    /// # Errors
    ///
    /// Says why the cluster cannot be asked; it will be asked again.
    fn leaders(&self, topics: &HashSet<Arc<str>>) -> Result<Vec<Leader>, String>;
}

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// How the broker names us in its log.
    pub client: String,
    /// How long a broker waits for new records.
    pub wait: Duration,
    /// How many bytes it waits for.
    pub bytes_min: i32,
    /// About how many bytes a response has at most; the first batch comes whole.
    pub bytes_max: i32,
    /// About how many of them of one partition.
    pub partition_bytes_max: i32,
    /// A larger response breaks the connection off.
    pub frame_bytes_max: usize,
    /// Pass over records of aborted transactions, and wait at those of open ones.
    pub read_committed: bool,
}

impl FetchSettings {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            wait_ms: i32::try_from(self.wait.as_millis()).unwrap_or(i32::MAX),
            bytes_min: self.bytes_min,
            bytes_max: self.bytes_max,
            partition_bytes_max: self.partition_bytes_max,
            read_committed: self.read_committed,
        }
    }
}

/// What a broker said of one partition.
#[derive(Debug)]
pub(crate) struct Part {
    pub slot: usize,
    pub generation: u64,
    /// One of the protocol's error codes that asking again does not mend, or 0.
    pub error: i16,
    pub high_watermark: i64,
    pub last_stable: i64,
    pub aborted: Vec<(i64, i64)>,
    pub records: Range<usize>,
}

/// A response on its way to the reader.
#[derive(Debug)]
pub(crate) struct Response {
    pub buffer: Vec<u8>,
    pub parts: Vec<Part>,
}

/// What is wanted of a broker next.
#[derive(Debug)]
pub(crate) struct Job {
    pub host: String,
    pub port: u16,
    pub wanted: Vec<JobPart>,
}

#[derive(Debug)]
pub(crate) struct JobPart {
    pub partition: Partition,
    pub offset: i64,
    slot: usize,
    generation: u64,
}

#[derive(Debug)]
struct Slot {
    partition: Partition,
    /// Grows with each start and stop.
    generation: u64,
    wanted: Option<Fetching>,
}

#[derive(Debug)]
struct Fetching {
    offset: i64,
    leader: Option<i32>,
    /// High watermark and last stable offset as the reader was told.
    told: Option<(i64, i64)>,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    brokers: HashMap<i32, (String, u16)>,
    /// Brokers that have a thread.
    served: HashSet<i32>,
    sockets: HashMap<i32, TcpStream>,
    is_closed: bool,
}

/// What threads and reader share.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    buffers: Mutex<Vec<Vec<u8>>>,
    pub settings: FetchSettings,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    /// Starts the thread that finds leaders, which starts the others.
    pub fn start(leaders: Arc<dyn Leaders>, settings: FetchSettings) -> io::Result<(Arc<Self>, Receiver<Response>)> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let (state, changed, buffers) = Default::default();
        let shared = Arc::new(Self { state, changed, buffers, settings });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("kafka-leaders".to_owned());
        thread.spawn(move || of_thread.find_leaders(leaders.as_ref(), &sender))?;
        Ok((shared, receiver))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches from `offset` on, or stops fetching; says the generation of what will come.
    pub fn want(&self, slot: usize, partition: &Partition, offset: Option<i64>) -> u64 {
        let mut state = self.lock();
        if slot >= state.slots.len() {
            let empty = || Slot { partition: partition.clone(), generation: 0, wanted: None };
            state.slots.resize_with(slot + 1, empty);
        }
        let slot = &mut state.slots[slot];
        slot.partition = partition.clone();
        slot.generation += 1;
        let leader = slot.wanted.take().and_then(|fetching| fetching.leader);
        slot.wanted = offset.map(|offset| Fetching { offset, leader, told: None });
        self.changed.notify_all();
        slot.generation
    }

    /// Breaks all connections off: whoever waits on one that is dead begins anew.
    pub fn reconnect(&self) {
        for (_, socket) in self.lock().sockets.drain() {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends all threads.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
        self.reconnect();
    }

    pub fn take_buffer(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// A buffer that was read, to be used again; one that a huge batch has stretched is given back.
    pub fn give_buffer(&self, buffer: Vec<u8>) {
        if buffer.len() <= 2 * self.settings.bytes_max.max(0) as usize {
            self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }

    /// What to fetch from a broker, as soon as there is anything; `None` at the end. Another partition comes first
    /// each `turn`, because the first ones fill the response.
    pub fn next_job(&self, broker: i32, turn: usize) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let mut wanted: Vec<JobPart> = Vec::new();
            for (index, slot) in state.slots.iter().enumerate() {
                if let Some(fetching) = slot.wanted.as_ref().filter(|fetching| fetching.leader == Some(broker)) {
                    let (partition, generation) = (slot.partition.clone(), slot.generation);
                    wanted.push(JobPart { partition, offset: fetching.offset, slot: index, generation });
                }
            }
            if let (false, Some((host, port))) = (wanted.is_empty(), state.brokers.get(&broker)) {
                let first = turn % wanted.len();
                wanted.rotate_left(first);
                return Some(Job { host: host.clone(), port: *port, wanted });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Remembers a connection, to break it off.
    pub fn connected(&self, broker: i32, socket: TcpStream) {
        let mut state = self.lock();
        if state.is_closed {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.sockets.insert(broker, socket);
    }

    /// The broker cannot be asked: others may lead its partitions now.
    pub fn lost(&self, broker: i32, error: &std::io::Error) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        tracing::warn!(broker, %error, "fetching from a kafka broker; asking who leads its partitions");
        let led = state.slots.iter_mut().filter_map(|slot| slot.wanted.as_mut());
        led.filter(|fetching| fetching.leader == Some(broker)).for_each(|fetching| fetching.leader = None);
        self.changed.notify_all();
    }

    /// Notes how far the answers to a job go; what the reader has to know of them.
    pub fn note(&self, job: &Job, answers: &[Answer<'_>], body: &[u8]) -> Vec<Part> {
        let mut state = self.lock();
        let mut parts = Vec::new();
        for answer in answers {
            let is_asked =
                |part: &&JobPart| part.partition.number == answer.number && *part.partition.topic == *answer.topic;
            let Some(asked) = job.wanted.iter().find(is_asked) else { continue };
            let slot = &mut state.slots[asked.slot];
            let Some(fetching) = slot.wanted.as_mut().filter(|_| slot.generation == asked.generation) else { continue };
            let is_passing = ErrorCode(answer.error).is_passing();
            if is_passing {
                tracing::warn!(partition = %asked.partition, error = %ErrorCode(answer.error), "kafka broker; asking who leads it");
                fetching.leader = None;
                self.changed.notify_all();
                continue;
            }
            let watermarks = (answer.high_watermark, answer.last_stable);
            let mut at = answer.records.start;
            while let Some((length, next)) = batch::first(&body[at..answer.records.end]) {
                at += length;
                fetching.offset = fetching.offset.max(next);
            }
            if at > answer.records.start || fetching.told != Some(watermarks) || answer.error != 0 {
                parts.push(Part {
                    slot: asked.slot,
                    generation: asked.generation,
                    error: answer.error,
                    high_watermark: answer.high_watermark,
                    last_stable: answer.last_stable,
                    aborted: answer.aborted.clone(),
                    records: answer.records.start..at,
                });
            }
            fetching.told = Some(watermarks);
            if answer.error != 0 {
                // Asking again would give the same; the reader decides.
                slot.wanted = None;
            }
        }
        parts
    }

    fn find_leaders(self: Arc<Self>, leaders: &dyn Leaders, responses: &SyncSender<Response>) {
        loop {
            let mut state = self.lock();
            let topics: HashSet<Arc<str>> = loop {
                if state.is_closed {
                    return;
                }
                let homeless =
                    state.slots.iter().filter(|slot| slot.wanted.as_ref().is_some_and(|w| w.leader.is_none()));
                let topics: HashSet<_> = homeless.map(|slot| Arc::clone(&slot.partition.topic)).collect();
                if !topics.is_empty() {
                    break topics;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            match leaders.leaders(&topics) {
                Ok(found) => self.appoint(found, responses),
                Err(error) => tracing::warn!(error, "asking who leads partitions; asking again"),
            }
            thread::sleep(LEADERS_WAIT);
        }
    }

    fn appoint(self: &Arc<Self>, found: Vec<Leader>, responses: &SyncSender<Response>) {
        let mut state = self.lock();
        let mut by_partition: HashMap<Partition, i32> = HashMap::new();
        for leader in found {
            state.brokers.insert(leader.broker, (leader.host, leader.port));
            by_partition.insert(leader.partition, leader.broker);
        }
        let mut fresh = Vec::new();
        let State { slots, served, .. } = &mut *state;
        for slot in slots.iter_mut() {
            let Some(fetching) = slot.wanted.as_mut().filter(|fetching| fetching.leader.is_none()) else { continue };
            fetching.leader = by_partition.get(&slot.partition).copied();
            fresh.extend(fetching.leader.filter(|&leader| served.insert(leader)));
        }
        for broker in fresh {
            let (shared, responses) = (Arc::clone(self), responses.clone());
            let thread = thread::Builder::new().name(format!("kafka-{broker}"));
            if let Err(error) = thread.spawn(move || broker::serve(&shared, broker, &responses)) {
                tracing::error!(broker, %error, "no thread to fetch from a kafka broker with; trying again");
                served.remove(&broker);
                let led = slots.iter_mut().filter_map(|slot| slot.wanted.as_mut());
                led.filter(|fetching| fetching.leader == Some(broker)).for_each(|fetching| fetching.leader = None);
            }
        }
        self.changed.notify_all();
    }
}

/// One of <https://kafka.apache.org/protocol#protocol_error_codes>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// The wanted offset is not there.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);

    /// Asking again, perhaps another broker, may help.
    fn is_passing(self) -> bool {
        // What cannot be mended by waiting: offsets, rights, versions, formats.
        !matches!(self.0, 0 | 1 | 29 | 35 | 43 | 76)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "OFFSET_OUT_OF_RANGE",
            2 => "CORRUPT_MESSAGE",
            3 => "UNKNOWN_TOPIC_OR_PARTITION",
            5 => "LEADER_NOT_AVAILABLE",
            6 => "NOT_LEADER_OR_FOLLOWER",
            9 => "REPLICA_NOT_AVAILABLE",
            29 => "TOPIC_AUTHORIZATION_FAILED",
            35 => "UNSUPPORTED_VERSION",
            43 => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
            56 => "KAFKA_STORAGE_ERROR",
            74 => "FENCED_LEADER_EPOCH",
            75 => "UNKNOWN_LEADER_EPOCH",
            76 => "UNSUPPORTED_COMPRESSION_TYPE",
            78 => "OFFSET_NOT_AVAILABLE",
            code => return write!(f, "error {code}"),
        };
        f.write_str(name)
    }
}
