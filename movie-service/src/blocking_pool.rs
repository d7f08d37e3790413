//! CPU-bound work on the blocking threads of the runtime.

use std::panic;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task;

/// Runs work on blocking threads, at most as many pieces at a time as the pool allows, so that the threads that serve calls are
/// not delayed. Clones share the limit; each pool has its own.
#[derive(Clone, Debug)]
pub(crate) struct BlockingPool(Arc<Semaphore>);

impl BlockingPool {
    /// Makes a pool that runs one piece of work per core at a time.
    pub(crate) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(cores)))
    }

    /// Makes a pool that runs one piece of work at a time.
    pub(crate) fn sequential() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Runs `work` once a core is free.
    ///
    /// # Panics
    ///
    /// If `work` panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let permits = self.0.clone();
        async move {
            let permit = permits.acquire_owned().await;
            let done = task::spawn_blocking(move || {
                // Work goes on when its caller no longer waits for it.
                let _permit = permit;
                work()
            });
            done.await.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::thread::available_parallelism;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn at_most_one_piece_of_work_per_core_runs_at_a_time() {
        let pool = BlockingPool::new();
        let cores = available_parallelism().map_or(1, usize::from);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let mut blocked: Vec<_> = (0..cores)
            .map(|_| {
                let released = released.clone();
                Box::pin(pool.run(move || released.lock().unwrap().recv().is_ok()))
            })
            .collect();
        for work in &mut blocked {
            assert!(work.now_or_never().is_none());
        }
        let mut next = Box::pin(pool.run(|| true));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(pool.0.available_permits(), 0);
        for _ in 0..cores {
            release.send(()).unwrap();
        }
        for work in blocked {
            assert!(work.await);
        }
        assert!(next.await);
    }

    #[tokio::test]
    async fn a_panic_in_the_work_is_a_panic_of_the_caller() {
        let work = panic::AssertUnwindSafe(BlockingPool::new().run(|| panic!("out of luck")));
        let panic = work.catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"out of luck"));
    }
}
