//! A receiver of webhooks, on a thread.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// What was answered.
    pub status: u16,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Takes whatever is sent and answers with the status that is set.
pub struct Sink {
    pub address: String,
    status: Arc<AtomicU16>,
    words: Arc<Mutex<String>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (status, received) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let words = Arc::new(Mutex::new("ok".to_owned()));
        let (answers, said, taken) = (Arc::clone(&status), Arc::clone(&words), Arc::clone(&received));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, said, taken) = (Arc::clone(&answers), Arc::clone(&said), Arc::clone(&taken));
                std::thread::spawn(move || serve(stream, (&*answers, &*said), &taken));
            }
        });
        Self { address, status, words, received }
    }

    /// What is answered from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The body of answers from now on.
    pub fn say(&self, words: &str) {
        *self.words.lock().unwrap() = words.to_owned();
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What was taken.
    pub fn taken(&self) -> Vec<Received> {
        self.received().into_iter().filter(|one| one.status == 200).collect()
    }
}

fn serve(stream: TcpStream, (status, words): (&AtomicU16, &Mutex<String>), received: &Mutex<Vec<Received>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, n)| n.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let status = status.load(Ordering::SeqCst);
        let body = String::from_utf8_lossy(&body).into_owned();
        received.lock().unwrap().push(Received { at: Instant::now(), path, headers, body, status });
        let words = words.lock().unwrap().clone();
        let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{words}", words.len());
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
