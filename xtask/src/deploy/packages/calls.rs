//! Calls without a pause, which show whether a restart refuses connections.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};

/// Where the service of the package listens.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 3001);

/// Time that a call may take: the service stops and starts meanwhile.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// A thread that calls in the network of a machine until it is stopped.
pub(super) struct Calls {
    thread: JoinHandle<Result<()>>,
    is_over: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
}

impl Calls {
    /// Starts to call in the network that the file `network` stands for.
    pub(super) fn start(network: String) -> Self {
        let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (over, counted) = (is_over.clone(), count.clone());
        let thread = thread::spawn(move || {
            let network = File::open(&network).with_context(|| format!("open {network}"))?;
            // Only this thread enters it.
            setns(network, CloneFlags::CLONE_NEWNET).context("enter the network of the machine")?;
            while !over.load(Ordering::Relaxed) {
                call()?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { thread, is_over, count }
    }

    /// Returns the number of calls so far.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends the calls; returns their number.
    ///
    /// # Errors
    ///
    /// If a connection was refused or a call was not served.
    pub(super) fn stop(self) -> Result<u32> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the calls panicked"))??;
        Ok(self.count.load(Ordering::Relaxed))
    }
}

/// Makes a call on a connection of its own. One that the service closes without an answer, since it stops, is made again.
fn call() -> Result<()> {
    loop {
        let address = SocketAddr::from(ADDRESS);
        let mut stream = TcpStream::connect(address).context("a connection was refused")?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut response = Vec::new();
        let exchanged = stream.write_all(request).and_then(|()| stream.read_to_end(&mut response));
        if exchanged.is_ok() && !response.is_empty() {
            let text = String::from_utf8_lossy(&response);
            // While it stops, the service says so.
            let is_served = text.starts_with("HTTP/1.1 200 ") || text.starts_with("HTTP/1.1 503 ");
            ensure!(is_served, "an unexpected response: {text}");
            if text.starts_with("HTTP/1.1 200 ") {
                return Ok(());
            }
        }
    }
}
