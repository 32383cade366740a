//! The program under test, as a child process.

use super::http::{Response, get, post};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a command to its end; panics when it fails.
pub fn tidewatch(arguments: &[&str]) -> String {
    super::run_tool(Path::new(PROGRAM), arguments)
}

/// Runs a command that must fail; returns what it says on the standard error.
pub fn tidewatch_fails(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(
        !output.status.success(),
        "{arguments:?} should fail, but printed {}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command that ends with an error code prints as its answer.
pub fn tidewatch_finds(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} should find something");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks the committed tables for CSV.
pub fn sql(data: &Path, query: &str) -> String {
    tidewatch(&["sql", "--data", data.to_str().unwrap(), "--format", "csv", query])
}

/// A process that goes on.
pub struct Tidewatch {
    child: Child,
    lines: Receiver<String>,
    log: String,
    address: Option<String>,
}

impl Tidewatch {
    /// Starts the program.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments)
    }

    /// Starts the program with more in its environment.
    pub fn start_with(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Starts a command that becomes the program.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, log: String::new(), address: None }
    }

    /// `tidewatch run` with these settings.
    pub fn run(settings: &Path) -> Self {
        Self::start(&["run", "-c", settings.to_str().unwrap()])
    }

    /// Waits for its HTTP server and returns the address.
    pub fn address(&mut self) -> String {
        let deadline = Instant::now() + START_TIMEOUT;
        while self.address.is_none() {
            self.read_log(Duration::from_millis(50));
            let line = self.log.lines().find_map(|l| l.split("address=").nth(1));
            self.address = line.map(|rest| rest.split_whitespace().next().unwrap().to_owned());
            assert!(Instant::now() < deadline, "no address in the log:\n{}", self.log);
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read_log(Duration::from_millis(200));
                panic!("ended with {status}");
            }
        }
        self.address.clone().unwrap()
    }

    /// Where another of its servers listens, such as `postgres`.
    pub fn named_address(&mut self, name: &str) -> String {
        self.address();
        let key = format!(" {name}=");
        let rest = self.log.split(&key).nth(1).unwrap_or_else(|| panic!("no {name} in the log:\n{}", self.log));
        rest.split_whitespace().next().unwrap().to_owned()
    }

    pub fn get(&mut self, path: &str) -> Response {
        get(&self.address(), path, &[]).unwrap()
    }

    /// Asks what is committed and what is not.
    pub fn sql(&mut self, query: &str) -> String {
        let response =
            post(&self.address(), "/api/v1/sql", &["Accept: text/csv", "Content-Type: text/plain"], query.as_bytes())
                .unwrap();
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        response.text()
    }

    /// Value of one of its own metrics: of one series, or summed over labels.
    pub fn metric(&mut self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let values = text.lines().filter(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        values.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).fold(0.0, |a, b| a + b)
    }

    fn read_log(&mut self, timeout: Duration) {
        let mut wait = timeout;
        while let Ok(line) = self.lines.recv_timeout(wait) {
            self.log.push_str(&line);
            self.log.push('\n');
            wait = Duration::ZERO;
        }
    }

    pub fn log(&mut self) -> &str {
        self.read_log(Duration::ZERO);
        &self.log
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self, timeout: Duration) -> String {
        let deadline = Instant::now() + timeout;
        loop {
            self.read_log(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read_log(Duration::from_millis(200));
                assert!(status.success(), "ended with {status}:\n{}", self.log);
                return std::mem::take(&mut self.log);
            }
            assert!(Instant::now() < deadline, "still running after {timeout:?}:\n{}", self.log);
        }
    }

    /// Asks it to commit and stop, as Ctrl-C does.
    pub fn stop(self) -> String {
        self.signal("INT");
        self.wait(Duration::from_secs(60))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        super::run_tool(Path::new("/bin/kill"), &[&format!("-{name}"), &self.child.id().to_string()]);
    }

    /// Of the process, for whoever kills it from elsewhere.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Tidewatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.read_log(Duration::from_millis(100));
            eprintln!("log of process {}:\n{}", self.child.id(), self.log);
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until a condition holds.
pub fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {timeout:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
