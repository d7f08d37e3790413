//! Standard output, with an error if it was closed when the process started.

use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Size of the output buffer. It is also flushed whenever no more output is ready.
const BUFFER_BYTES: usize = 64 << 10;

/// Whether standard output was closed when the process started, as by `>&-`. Before Rust's runtime calls `main`, it opens
/// `/dev/null` in its place, and the output would be lost without an error.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Checks standard output. Runs before Rust's runtime starts.
#[ctor::ctor]
fn check() {
    let is_closed = io::stdout().as_fd().try_clone_to_owned().is_err();
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Returns standard output, buffered.
pub(super) fn buffered() -> impl Write {
    let is_closed = IS_CLOSED.load(Ordering::Relaxed);
    let stdout: Box<dyn Write> = if is_closed { Box::new(Closed) } else { Box::new(io::stdout()) };
    BufWriter::with_capacity(BUFFER_BYTES, stdout)
}

/// A closed standard output.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("cannot print: standard output is closed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
