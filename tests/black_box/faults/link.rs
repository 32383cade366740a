//! A network that can be cut: a proxy of bytes between a client and one port.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a thread looks whether the network is whole again.
const PAUSE: Duration = Duration::from_millis(10);

/// The proxy; what goes through it ends with it.
pub struct Link {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    upstream: AtomicU16,
    /// Bytes go nowhere, and nobody is told.
    is_black_hole: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Link {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, shared) = (listener.local_addr().unwrap().port(), Arc::<Shared>::default());
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                of_thread.connect(client);
            }
        });
        Self { port, shared }
    }

    /// Where bytes go.
    pub fn towards(&self, port: u16) {
        self.shared.upstream.store(port, Ordering::SeqCst);
    }

    /// Lets bytes vanish from here on, or come through again: those that were under way, too.
    pub fn black_hole(&self, is_on: bool) {
        self.shared.is_black_hole.store(is_on, Ordering::SeqCst);
    }

    /// Breaks all connections off.
    pub fn reset(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            // It may have ended already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.black_hole(false);
        self.reset();
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream.load(Ordering::SeqCst))) else { return };
        let ends = [(&client, &server), (&server, &client)].map(|(from, to)| (from.try_clone(), to.try_clone()));
        for (from, to) in ends {
            let (shared, from, to) = (Arc::clone(self), from.unwrap(), to.unwrap());
            std::thread::spawn(move || shared.copy(from, to));
        }
        self.connections.lock().unwrap().extend([client, server]);
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            while self.is_black_hole.load(Ordering::SeqCst) {
                std::thread::sleep(PAUSE);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // Either end may have gone already.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
