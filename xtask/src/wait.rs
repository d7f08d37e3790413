//! Waiting for what other programs do.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats a step until it succeeds, and returns its result.
///
/// # Errors
///
/// If it does not succeed within `limit`: its last error, with `what`.
pub(crate) fn until<T>(what: &str, limit: Duration, mut step: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match step() {
            Ok(result) => return Ok(result),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what}: not within {limit:?}"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn a_step_is_repeated_until_it_succeeds() {
        let mut count = 0;
        let result = until("three", Duration::from_mins(1), || {
            count += 1;
            ensure!(count == 3, "{count}");
            Ok(count)
        });
        assert_eq!(result.unwrap(), 3);
    }

    #[test]
    fn the_last_error_is_kept() {
        let mut count = 0;
        let error = until("a hundred", Duration::from_millis(1), || {
            count += 1;
            ensure!(count == 100, "only {count}");
            Ok(())
        });
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.starts_with("a hundred: not within 1ms: only "), "{error}");
    }
}
