//! Debian's Prometheus over a block of the same counters.

use crate::store::{END_US, Shape, counted};
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running Prometheus.
pub struct Prometheus {
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts it in a folder; `None` when it is not installed.
    pub fn start(folder: &Path, shape: &Shape) -> Option<Self> {
        let (samples, blocks) = (folder.join("samples.txt"), folder.join("blocks"));
        write(&samples, shape);
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"])
            .args([&samples, &blocks])
            .stdout(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            println!("promtool is missing: install the package prometheus");
            return None;
        }
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", blocks.display()))
            .args(["--storage.tsdb.retention.time=100y", "--query.max-samples=100000000"])
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..300 {
            std::thread::sleep(Duration::from_millis(100));
            if TcpStream::connect(address).is_ok() && is_ready(address) {
                return Some(Self { address, child });
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("prometheus did not start");
    }
}

fn is_ready(address: SocketAddr) -> bool {
    use std::io::Read;
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut text = String::new();
    let asked = write!(stream, "GET /-/ready HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut text));
    asked.is_ok() && text.contains(" 200 ")
}

/// Running totals of the panes, every 15 s.
fn write(path: &Path, shape: &Shape) {
    const PANE_S: i64 = 10;
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let end_s = END_US / 1_000_000;
    let begin_s = end_s - shape.pane_hours as i64 * 3600;
    for name in ["requests", "errors"] {
        writeln!(file, "# TYPE calls_{name} counter").unwrap();
        for shop in 0..shape.shops {
            for endpoint in 0..shape.endpoints {
                let (mut total, mut next) = (0, begin_s);
                for time_s in (begin_s + 15..=end_s).step_by(15) {
                    while next + PANE_S <= time_s {
                        let (requests, errors, _) = counted(PANE_S * 1_000_000, next * 1_000_000, shop, endpoint);
                        total += if name == "requests" { requests } else { errors };
                        next += PANE_S;
                    }
                    writeln!(
                        file,
                        "calls_{name}_total{{shop=\"shop-{shop}\",endpoint=\"endpoint-{endpoint}\"}} {total} {time_s}"
                    )
                    .unwrap();
                }
            }
        }
    }
    writeln!(file, "# EOF").unwrap();
}
