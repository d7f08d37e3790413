//! Opens regular files only.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file with these options, without blocking. Opening a FIFO would otherwise wait until another process
/// opens its other end, which may never happen.
///
/// # Errors
///
/// If the file cannot be opened, or is not a regular file.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Checked after opening, so that the file cannot be replaced in between.
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = match file.metadata()?.file_type() {
        kind if kind.is_file() => return Ok(file),
        kind if kind.is_dir() => "a directory",
        _ => "a special file, such as a pipe or a device",
    };
    Err(io::Error::other(format!("it is {found}, expected a regular file")))
}

/// Opens a regular file for reading, see [`open`].
///
/// # Errors
///
/// If the file cannot be opened, or is not a regular file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, File::options().read(true))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Time after which a test fails.
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Replaces a file by a FIFO that no other process opens.
    pub(crate) fn replace_by_fifo(path: &Path) {
        fs::remove_file(path).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    /// Returns the result of `work`, and fails if it does not end.
    pub(crate) fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        thread::spawn(move || sender.send(work()));
        result.recv_timeout(TIMEOUT).unwrap()
    }

    #[test]
    fn only_a_regular_file_is_opened_and_a_pipe_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "text").unwrap();
        assert_eq!(io::read_to_string(open_to_read(&path).unwrap()).unwrap(), "text");
        replace_by_fifo(&path);
        let refused = ends(move || open_to_read(&path).unwrap_err().to_string());
        assert_eq!(refused, "it is a special file, such as a pipe or a device, expected a regular file");
        let refused = open_to_read(dir.path()).unwrap_err().to_string();
        assert_eq!(refused, "it is a directory, expected a regular file");
    }
}
