//! Calls without a pause, which show whether a restart refuses connections.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CloneFlags, setns};

/// Where the service of the package listens.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 3001);

/// Time for a response, and for a call with its repetitions: the service stops and starts meanwhile.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Pause before a call is made again.
const PAUSE: Duration = Duration::from_millis(10);

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
                call(&over)?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { thread, is_over, count }
    }

    /// Waits until a call that began after this one was made is answered.
    ///
    /// # Errors
    ///
    /// If a connection was refused or a call was not served.
    pub(super) fn wait_for_more(self) -> Result<Self> {
        // The next one may have begun before.
        let enough = self.count.load(Ordering::Relaxed) + 2;
        while self.count.load(Ordering::Relaxed) < enough {
            if self.thread.is_finished() {
                let count = self.stop()?;
                bail!("the calls ended after {count}");
            }
            thread::sleep(PAUSE);
        }
        Ok(self)
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

/// Makes a call on a connection of its own. One that the service closes without an answer, or answers with 503, since it stops, is made
/// again until the calls are over.
fn call(over: &AtomicBool) -> Result<()> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    loop {
        let mut stream = TcpStream::connect(SocketAddr::from(ADDRESS)).context("a connection was refused")?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut response = Vec::new();
        let exchanged = stream.write_all(request).and_then(|()| stream.read_to_end(&mut response));
        let text = String::from_utf8_lossy(&response);
        match exchanged {
            Ok(_) if text.starts_with("HTTP/1.1 200 ") => return Ok(()),
            // While it stops, the service says so, or closes the connection.
            Ok(_) => ensure!(
                text.is_empty() || text.starts_with("HTTP/1.1 503 "),
                "an unexpected response: {text}"
            ),
            Err(error) => ensure!(!is_timeout(&error), "no response within {CALL_TIMEOUT:?}"),
        }
        if over.load(Ordering::Relaxed) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no call is served within {CALL_TIMEOUT:?}");
        thread::sleep(PAUSE);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
