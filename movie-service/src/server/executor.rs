//! Runs calls, until they are done or have to be.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use tokio::sync::watch;
use tokio::time;

use super::Phase;

/// How long a call may take to say that it is late. A peer that reads nothing does not get that either; its stream is
/// reset.
pub(super) const LAST_WORD: Duration = Duration::from_millis(500);

thread_local! {
    /// The deadline of the call that hyper is about to have run: it asks the service for the call, then passes that to
    /// the executor, and does nothing else in between.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Says when the call has to be done that is run next on this thread; `None` if it is done at once.
pub(super) fn next_call_until(deadline: Option<Instant>) {
    DEADLINE.set(deadline);
}

/// A call that panics ends at most its connection: the panic stops at the task, its own or the connection's.
const _: () = assert!(cfg!(panic = "unwind"), "build with panic = \"unwind\"");

/// Runs what hyper spawns for each call.
///
/// Most calls can be answered when they arrive, so each is polled once on the spot; only one that has to wait
/// becomes a task.
#[derive(Clone)]
pub(super) struct Inline {
    phase: watch::Receiver<Phase>,
}

impl Inline {
    pub(super) fn new(phase: watch::Receiver<Phase>) -> Self {
        Self { phase }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inline {
    fn execute(&self, call: F) {
        let deadline = DEADLINE.take();
        let mut call = Box::pin(call);
        // A waker that does nothing: polling it again, as a task, is what wakes it.
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(run(call, deadline, self.phase.clone()));
        }
    }
}

/// Runs a call until it is done. At its deadline, or when the service has to stop, it is polled and sees that itself.
async fn run(
    mut call: Pin<Box<impl Future<Output = ()>>>,
    deadline: Option<Instant>,
    mut phase: watch::Receiver<Phase>,
) {
    // What is not a call is over at once.
    let Some(deadline) = deadline else { return call.await };
    tokio::select! {
        () = &mut call => return,
        () = time::sleep_until(deadline.into()) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Ending) => {}
    }
    let _ = time::timeout(LAST_WORD, call).await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    fn inline() -> (watch::Sender<Phase>, Inline) {
        let (phase, phases) = watch::channel(Phase::Serving);
        (phase, Inline::new(phases))
    }

    #[tokio::test]
    async fn a_call_that_panics_ends_its_connection_and_no_other() {
        let (_phase, inline) = inline();
        let (first, second) = (inline.clone(), inline);
        let mut open = JoinSet::new();
        open.spawn(async move { first.execute(async { panic!("a bad call, as this test wants it") }) });
        assert!(open.join_next().await.unwrap().unwrap_err().is_panic());

        let (answered, answer) = oneshot::channel();
        open.spawn(async move {
            second.execute(async move {
                tokio::task::yield_now().await;
                answered.send(()).unwrap();
            });
        });
        answer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_end_by_itself_is_dropped_soon_after_its_deadline() {
        let (_phase, inline) = inline();
        let (dropped, mut gone) = oneshot::channel::<()>();
        next_call_until(Some((time::Instant::now() + Duration::from_mins(1)).into_std()));
        inline.execute(async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        });
        assert!(time::timeout(Duration::from_secs(59), &mut gone).await.is_err(), "too early");
        assert!(time::timeout(Duration::from_secs(3), &mut gone).await.unwrap().is_err(), "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_polled_once_more_when_its_time_is_up() {
        for stops in [false, true] {
            let (phase, inline) = inline();
            let (answered, answer) = oneshot::channel();
            let began = time::Instant::now();
            let mut answered = Some(answered);
            next_call_until(Some((time::Instant::now() + Duration::from_mins(1)).into_std()));
            inline.execute(std::future::poll_fn(move |_| {
                let late = began.elapsed() >= Duration::from_secs(10);
                if let Some(answered) = answered.take_if(|_| late) {
                    answered.send(began.elapsed()).unwrap();
                }
                if late { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            }));
            if stops {
                time::sleep(Duration::from_secs(10)).await;
                phase.send_replace(Phase::Ending);
            }
            let expected = if stops { 10 } else { 60 };
            assert_eq!(answer.await.unwrap().as_secs(), expected);
        }
    }
}
