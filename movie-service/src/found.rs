//! Prints the line `Movie found!` on a separate thread, so that calls do not wait for standard output.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The line that is printed for each movie found.
const LINE: &[u8] = b"Movie found!\n";

/// Maximum number of lines waiting to be printed; further ones are dropped.
const MAX_PENDING_LINES: u64 = 100_000;

/// Minimum time between two writes, so that many lines are written at once under load.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum time that [`FoundPrinter::flush`] waits for the lines to be printed.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Prints `Movie found!` for each movie found, or nothing.
///
/// All lines are the same, so the queue is a counter. If the reader of standard output stalls or exits, lines are
/// lost, but no call waits and memory use does not grow.
#[derive(Clone, Debug)]
pub struct FoundPrinter(Option<Arc<Printer>>);

#[derive(Debug)]
struct Printer {
    waiting: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl FoundPrinter {
    /// Prints nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self(None)
    }

    /// Prints to `out` on a separate thread.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn printing_to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let waiting = Arc::new(AtomicU64::new(0));
        let to_print = waiting.clone();
        let thread =
            thread::Builder::new().name("movie-found".into()).spawn(move || print(&to_print, out))?;
        Ok(Self(Some(Arc::new(Printer { waiting, thread }))))
    }

    /// Queues one line.
    pub fn announce(&self) {
        if let Some(printer) = &self.0
            && printer.waiting.fetch_add(1, Ordering::Relaxed) == 0
        {
            printer.thread.thread().unpark();
        }
    }

    /// Waits up to half a second until all lines are printed. Blocks; to be called at the end of the process.
    pub fn flush(&self) {
        let Some(printer) = &self.0 else { return };
        let end = Instant::now() + FLUSH_TIMEOUT;
        while printer.waiting.load(Ordering::Acquire) > 0
            && !printer.thread.is_finished()
            && Instant::now() < end
        {
            thread::sleep(WRITE_INTERVAL);
        }
    }
}

/// Prints queued lines until the reader of `out` goes away.
fn print(waiting: &AtomicU64, mut out: impl Write) {
    let block = LINE.repeat(1024);
    loop {
        let all = waiting.load(Ordering::Relaxed);
        if all == 0 {
            thread::park();
            continue;
        }
        let mut left = usize::try_from(all.min(MAX_PENDING_LINES)).unwrap_or(usize::MAX) * LINE.len();
        // `left` counts the bytes that are not written yet; one flush follows the last of them.
        let mut flushed = false;
        while left > 0 || !flushed {
            // Bytes of the first line that are already written, after a partial write.
            let skip = (LINE.len() - left % LINE.len()) % LINE.len();
            let done = match left {
                0 => out.flush().map(|()| flushed = true),
                _ => out.write(&block[skip..block.len().min(skip + left)]).map(|written| left -= written),
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                // A full non-blocking pipe or a full disk, possibly only for a while.
                Err(_) => thread::sleep(WRITE_INTERVAL),
            }
        }
        thread::sleep(WRITE_INTERVAL);
        // Subtracted only now, because `flush` and `announce` count a line as waiting until it is written.
        waiting.fetch_sub(all, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A non-blocking pipe that takes up to 20 bytes at every other call.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Pipe {
        fn busy(&self) -> io::Result<()> {
            let turn = &mut self.0.lock().unwrap().1;
            *turn += 1;
            if turn.is_multiple_of(2) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.busy()?;
            let some = bytes.len().min(20);
            self.0.lock().unwrap().0.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.busy()
        }
    }

    #[test]
    fn each_line_is_printed_once_and_whole_to_a_non_blocking_pipe() {
        let pipe = Pipe::default();
        let found = FoundPrinter::printing_to(pipe.clone()).unwrap();
        for _ in 0..10 {
            found.announce();
        }
        found.flush();
        assert_eq!(pipe.0.lock().unwrap().0, LINE.repeat(10));
    }
}
