//! A proxy between Tidewatch and its object store that knows what each request is for, makes trouble, and kills.
//!
//! What it does to one kind of request a test arms beforehand ([`Act`]); what befalls any of them is a [`Trouble`].
//! Objects are whole or not there, as S3 has it: a body that was cut is not stored.

mod call;
pub mod wire;

pub use call::{Call, Kind};

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use wire::{Answer, Request};

/// How often is looked whether the store is to be reachable.
const LOOK: Duration = Duration::from_millis(5);

/// What becomes of a request that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The process is killed, and the store never hears of it.
    KillBefore,
    /// The store carries it out, and the process is killed before it hears so.
    KillAfter,
    /// The process is killed, and the store hears of it so much later.
    KillAndDeliver(Duration),
    /// It waits until the process is dead, and the store never hears of it.
    Hold,
}

/// Which request is waited for: the `nth` of a kind, of a table unless that is "".
#[derive(Debug, Clone, Copy)]
pub struct Pick(pub Kind, pub &'static str, pub usize);

/// What may befall any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// This status is answered, and nothing is done.
    Refused(u16),
    /// It is carried out, and this status is answered.
    Denied(u16),
    /// It is carried out, and the connection is closed instead of an answer.
    Unheard,
    /// It is carried out, and answered so much later.
    Slow(Duration),
    /// Half of its body is read, then the connection is closed.
    TornWrite,
    /// It is carried out, and half of the body of the answer is sent.
    TornRead,
}

/// A request that the store has answered.
#[derive(Debug)]
struct Done {
    at: Instant,
    call: Call,
    status: u16,
}

#[derive(Debug, Default)]
struct State {
    /// Process that is killed, unless it was already.
    target: Option<u32>,
    is_dead: bool,
    armed: Vec<(Act, Pick, usize)>,
    /// One in so many requests has one of these troubles.
    storm: Option<(u64, Vec<Trouble>)>,
    troubles: u64,
    random: u64,
    done: Vec<Done>,
}

#[derive(Debug)]
struct Shared {
    /// Where the store listens.
    store: String,
    is_down: AtomicBool,
    state: Mutex<State>,
    died: Condvar,
}

/// See the module page.
#[derive(Debug)]
pub struct Proxy {
    pub address: String,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn start(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, died, store) = (Mutex::default(), Condvar::new(), store.to_owned());
        let shared = Arc::new(Shared { store, is_down: AtomicBool::new(false), state, died });
        let (serving, at) = (Arc::clone(&shared), address.clone());
        std::thread::spawn(move || listen(&serving, &at, listener));
        Self { address, shared }
    }

    /// From here on this process is meant, and nothing is armed.
    pub fn target(&self, process: u32) {
        let mut state = self.shared.state();
        (state.target, state.is_dead) = (Some(process), false);
        state.armed.clear();
    }

    /// Waits for requests, in place of those that were waited for before.
    pub fn arm(&self, acts: &[(Act, Pick)]) {
        self.shared.state().armed = acts.iter().map(|&(act, pick)| (act, pick, 0)).collect();
    }

    /// Was the process killed?
    pub fn has_killed(&self) -> bool {
        self.shared.state().is_dead
    }

    /// One in so many requests has one of these troubles from here on, the same ones in every run.
    pub fn storm(&self, one_in: u64, troubles: &[Trouble]) {
        self.shared.state().storm = Some((one_in, troubles.to_vec()));
    }

    /// How many requests had trouble since all was well.
    pub fn troubles(&self) -> u64 {
        self.shared.state().troubles
    }

    /// All is well again; returns how many requests had trouble.
    pub fn calm(&self) -> u64 {
        let mut state = self.shared.state();
        state.storm = None;
        std::mem::take(&mut state.troubles)
    }

    /// Refuses connections, or takes them again.
    pub fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// When a request of a kind was first carried out since then.
    pub fn first(&self, kind: Kind, since: Instant) -> Option<Instant> {
        let state = self.shared.state();
        let found = state.done.iter().find(|one| one.call.kind == kind && one.at >= since && one.status < 300);
        found.map(|one| one.at)
    }

    /// How many requests of a kind were carried out.
    pub fn count(&self, kind: Kind) -> usize {
        self.shared.state().done.iter().filter(|one| one.call.kind == kind && one.status < 300).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut sums: BTreeMap<(Kind, &str, u16), usize> = BTreeMap::new();
            let state = self.shared.state();
            for Done { call, status, .. } in &state.done {
                *sums.entry((call.kind, &call.table, *status)).or_default() += 1;
            }
            eprintln!("requests by kind, table and status: {sums:#?}");
        }
    }
}

fn listen(shared: &Arc<Shared>, address: &str, first: TcpListener) {
    let mut listener = Some(first);
    loop {
        match (&listener, shared.is_down.load(Ordering::SeqCst)) {
            (Some(_), true) => listener = None,
            (None, false) => listener = TcpListener::bind(address).ok(),
            (Some(open), false) => {
                open.set_nonblocking(true).unwrap();
                if let Ok((client, _)) = open.accept() {
                    client.set_nonblocking(false).unwrap();
                    client.set_nodelay(true).unwrap();
                    let shared = Arc::clone(shared);
                    std::thread::spawn(move || {
                        let mut client = BufReader::new(client);
                        while shared.exchange(&mut client).is_some() {}
                    });
                    continue;
                }
            }
            (None, true) => {}
        }
        std::thread::sleep(LOOK);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// One request and its answer; `None` when the connection is to be closed.
    fn exchange(&self, client: &mut BufReader<TcpStream>) -> Option<()> {
        let mut request = Request::head(client)?;
        if self.is_down.load(Ordering::SeqCst) {
            return None;
        }
        let length = request.length();
        let trouble = self.trouble(&request);
        if trouble == Some(Trouble::TornWrite) {
            request.read(client, length / 2)?;
            return None;
        }
        request.read(client, length)?;
        let call = Call::of(&request);
        match self.act(&call)? {
            Some(Act::KillAndDeliver(later)) => {
                std::thread::sleep(later);
                self.forward(&call, &request);
                return None;
            }
            Some(Act::KillAfter) => {
                self.forward(&call, &request);
                self.kill(&mut self.state());
                return None;
            }
            Some(Act::KillBefore | Act::Hold) => return None,
            None => {}
        }
        if let Some(Trouble::Refused(status)) = trouble {
            return Answer::empty(status).send(client, 0);
        }
        let answer = self.forward(&call, &request)?;
        match trouble {
            Some(Trouble::Unheard) => None,
            Some(Trouble::Denied(status)) => Answer::empty(status).send(client, 0),
            Some(Trouble::TornRead) => answer.send(client, answer.body.len() / 2),
            Some(Trouble::Slow(time)) => {
                std::thread::sleep(time);
                answer.send(client, usize::MAX)
            }
            _ => answer.send(client, usize::MAX),
        }
    }

    fn forward(&self, call: &Call, request: &Request) -> Option<Answer> {
        let answer = request.forward(&self.store).ok()?;
        self.state().done.push(Done { at: Instant::now(), call: call.clone(), status: answer.status });
        Some(answer)
    }

    /// The trouble of the next request, if it is to have one that it can have.
    fn trouble(&self, request: &Request) -> Option<Trouble> {
        let mut state = self.state();
        let (one_in, troubles) = state.storm.clone()?;
        state.random = state.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = state.random >> 33;
        let trouble = troubles[(random / one_in) as usize % troubles.len()];
        let fits = match trouble {
            Trouble::TornWrite => request.length() > 1,
            Trouble::TornRead => request.method == "GET",
            _ => true,
        };
        let trouble = (random.is_multiple_of(one_in) && fits).then_some(trouble);
        state.troubles += u64::from(trouble.is_some());
        trouble
    }

    /// What becomes of a request; `None`: its process is dead, and nothing does.
    fn act(&self, call: &Call) -> Option<Option<Act>> {
        let mut state = self.state();
        if state.is_dead {
            return None;
        }
        let mut chosen = None;
        for (act, Pick(kind, table, nth), seen) in &mut state.armed {
            if call.kind == *kind && (table.is_empty() || call.table == *table) {
                *seen += 1;
                let is_due = if *act == Act::Hold { *seen >= *nth } else { *seen == *nth };
                chosen = chosen.or(is_due.then_some(*act));
            }
        }
        match chosen {
            // Nothing else is decided before it is dead.
            Some(Act::KillBefore | Act::KillAndDeliver(_)) => self.kill(&mut state),
            Some(Act::Hold) => drop(self.died.wait_while(state, |state| !state.is_dead).unwrap()),
            Some(Act::KillAfter) | None => {}
        }
        Some(chosen)
    }

    fn kill(&self, state: &mut State) {
        if let Some(target) = state.target.filter(|_| !state.is_dead) {
            assert!(Command::new("/bin/kill").args(["-9", &target.to_string()]).status().unwrap().success());
            state.is_dead = true;
            self.died.notify_all();
        }
    }
}
