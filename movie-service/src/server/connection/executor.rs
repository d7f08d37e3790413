//! Runs calls as tasks and enforces their deadlines.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time;

use crate::server::call::server_state::Phase;

/// Time after the deadline in which a call may send its final status; then it is dropped, which resets the stream.
pub(crate) const FINAL_STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// A panic in a call must end only its task, or the task of its connection, not the process.
const _: () = assert!(cfg!(panic = "unwind"), "build with panic = \"unwind\"");

/// Runs a call until `deadline`. Without a deadline, the call is already complete.
///
/// Most calls can be answered when they arrive, so each is polled once at first; only a pending call becomes a task.
pub(crate) fn execute(
    mut call: impl Future<Output = ()> + Unpin + Send + 'static,
    deadline: Option<Instant>,
    phase: &watch::Receiver<Phase>,
) {
    // No-op waker: the spawned task polls the call again.
    if Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(run(call, deadline, phase.clone()));
    }
}

/// Runs a call to completion. At its deadline, or when connections are force-closed, it is polled once more, so that it
/// can send its final status.
async fn run(
    mut call: impl Future<Output = ()> + Unpin,
    deadline: Option<Instant>,
    mut phase: watch::Receiver<Phase>,
) {
    // Without a deadline there is nothing to enforce.
    let Some(deadline) = deadline else { return call.await };
    tokio::select! {
        biased;
        () = &mut call => return,
        () = time::sleep_until(deadline.into()) => {}
        _ = phase.wait_for(|phase| *phase == Phase::ForceClosing) => {}
    }
    let _ = time::timeout(FINAL_STATUS_TIMEOUT, call).await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_call_that_panics_ends_its_connection_and_no_other() {
        let (_phase, phase) = watch::channel(Phase::Serving);
        let (first, second) = (phase.clone(), phase);
        let mut open = JoinSet::new();
        let panics = async { panic!("expected by this test") };
        open.spawn(async move { execute(Box::pin(panics), None, &first) });
        assert!(open.join_next().await.unwrap().unwrap_err().is_panic());

        let (answered, answer) = oneshot::channel();
        let answers = async move {
            tokio::task::yield_now().await;
            answered.send(()).unwrap();
        };
        open.spawn(async move { execute(Box::pin(answers), None, &second) });
        answer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_end_is_dropped_soon_after_its_deadline() {
        let (_phase, phase) = watch::channel(Phase::Serving);
        let (guard, mut dropped) = oneshot::channel::<()>();
        let call = async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        };
        let deadline = time::Instant::now() + Duration::from_mins(1);
        execute(Box::pin(call), Some(deadline.into_std()), &phase);
        assert!(time::timeout(Duration::from_secs(59), &mut dropped).await.is_err(), "too early");
        assert!(time::timeout(Duration::from_secs(3), &mut dropped).await.unwrap().is_err(), "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_polled_once_more_at_its_deadline_and_at_a_forced_close() {
        for is_forced in [false, true] {
            let (phases, phase) = watch::channel(Phase::Serving);
            let (answered, answer) = oneshot::channel();
            let began = time::Instant::now();
            let mut answered = Some(answered);
            let call = std::future::poll_fn(move |_| {
                let is_late = began.elapsed() >= Duration::from_secs(10);
                if let Some(answered) = answered.take_if(|_| is_late) {
                    answered.send(began.elapsed()).unwrap();
                }
                if is_late { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            });
            execute(call, Some((began + Duration::from_mins(1)).into_std()), &phase);
            if is_forced {
                time::sleep(Duration::from_secs(10)).await;
                phases.send_replace(Phase::ForceClosing);
            }
            let expected = if is_forced { 10 } else { 60 };
            assert_eq!(answer.await.unwrap().as_secs(), expected);
        }
    }
}
