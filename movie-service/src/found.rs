//! Prints the line `Movie found!` on a separate thread, so that calls do not wait for standard output.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What is printed for each hit.
const LINE: &[u8] = b"Movie found!\n";

/// Maximum number of lines waiting to be printed; further ones are dropped.
const MAX_PENDING_LINES: u64 = 100_000;

/// The least time between two writes, so that under load many lines go out in one.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);

/// How long [`Found::flush`] waits for a reader.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Prints a line for each hit, or nothing.
///
/// All lines are the same, so what waits to be printed is only a number: a reader that stalls or goes away
/// costs neither time nor memory, only lines.
#[derive(Clone, Debug)]
pub struct Found(Option<Arc<Printer>>);

#[derive(Debug)]
struct Printer {
    waiting: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Found {
    /// Prints nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self(None)
    }

    /// Prints to `out`, on a thread of its own.
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

    /// Has one line printed, soon.
    pub fn announce(&self) {
        if let Some(printer) = &self.0
            && printer.waiting.fetch_add(1, Ordering::Relaxed) == 0
        {
            printer.thread.thread().unpark();
        }
    }

    /// Waits a moment for the last lines to be printed. Blocks; for the end of the process.
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

/// Prints what waits, until the reader of `out` goes away.
fn print(waiting: &AtomicU64, mut out: impl Write) {
    let block = LINE.repeat(1024);
    loop {
        let all = waiting.load(Ordering::Relaxed);
        if all == 0 {
            thread::park();
            continue;
        }
        let mut left = usize::try_from(all.min(MAX_PENDING_LINES)).unwrap_or(usize::MAX) * LINE.len();
        // What was written is counted at once; what is flushed is what was written.
        let mut flushed = false;
        while left > 0 || !flushed {
            // A whole number of lines is left, or a part of the first of them is out.
            let skip = (LINE.len() - left % LINE.len()) % LINE.len();
            let done = match left {
                0 => out.flush().map(|()| flushed = true),
                _ => out.write(&block[skip..block.len().min(skip + left)]).map(|written| left -= written),
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                // A pipe that is full and does not wait, a disk that is full: perhaps not for long.
                Err(_) => thread::sleep(WRITE_INTERVAL),
            }
        }
        thread::sleep(WRITE_INTERVAL);
        // Only now, so that `flush` and `announce` see lines as waiting until they are out.
        waiting.fetch_sub(all, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A pipe that takes a little, and then not for a while.
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
    fn each_line_comes_once_and_whole_through_a_pipe_that_does_not_wait() {
        let pipe = Pipe::default();
        let found = Found::printing_to(pipe.clone()).unwrap();
        for _ in 0..10 {
            found.announce();
        }
        found.flush();
        assert_eq!(pipe.0.lock().unwrap().0, LINE.repeat(10));
    }
}
