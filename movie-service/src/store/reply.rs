//! Replies to the callers of a store.
//!
//! The writer runs on a thread of its own. Waking a task of another thread takes a system call, and a connection sends at once
//! what its tasks respond at once. So the callers on a thread that wait for one batch are woken together: the writer wakes a
//! task on their thread, which wakes them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;

use crate::store::command::{Outcome, WriteError};

type WriteResult = Result<Outcome, WriteError>;

/// Returns a future reply, and its sender. The caller is woken by the runtime on which this is called, so that runtime must be
/// running for as long as the reply is awaited. On the thread that polls the reply, this saves a system call.
pub(super) fn reply() -> (ReplySender, Reply) {
    let (sender, result) = oneshot::channel();
    let inbox = Inbox::of_this_thread();
    let reply = Reply { result, waker: inbox.clone().map(DeferredWaker::new) };
    (ReplySender { result: Some(sender), inbox }, reply)
}

/// Sends the result of a command. The caller is woken when this is dropped, at the latest.
#[derive(Debug)]
pub(super) struct ReplySender {
    result: Option<oneshot::Sender<WriteResult>>,
    inbox: Option<Arc<Inbox>>,
}

impl ReplySender {
    /// Stores the result for the caller.
    pub(super) fn send(&mut self, result: WriteResult) {
        if let Some(sender) = self.result.take() {
            // Fails if the caller no longer waits for the result.
            let _ = sender.send(result);
        }
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        // Without a result, this ends the wait of the caller.
        drop(self.result.take());
        if let Some(inbox) = &self.inbox {
            inbox.wake_task();
        }
    }
}

/// The future result of a command; [`WriteError::OutcomeUnknown`] if the sender was dropped.
#[derive(Debug)]
pub(super) struct Reply {
    result: oneshot::Receiver<WriteResult>,
    /// `None` outside of a runtime.
    waker: Option<Arc<DeferredWaker>>,
}

impl Future for Reply {
    type Output = WriteResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WriteResult> {
        let Self { result, waker } = &mut *self;
        // Unconstrained: a task that has used its budget up would be deferred by a waker that only the writer may call.
        let mut result = unconstrained(result);
        let result = match waker {
            None => ready!(Pin::new(&mut result).poll(cx)),
            Some(deferred) => {
                deferred.set(cx.waker());
                let waker = Waker::from(deferred.clone());
                ready!(Pin::new(&mut result).poll(&mut Context::from_waker(&waker)))
            }
        };
        Poll::Ready(result.unwrap_or(Err(WriteError::OutcomeUnknown)))
    }
}

/// A waker that leaves a task in the inbox of its thread.
#[derive(Debug)]
struct DeferredWaker {
    inbox: Arc<Inbox>,
    task: Mutex<Option<Waker>>,
}

impl DeferredWaker {
    fn new(inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Self { inbox, task: Mutex::default() })
    }

    fn set(&self, waker: &Waker) {
        let mut task = lock(&self.task);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for DeferredWaker {
    fn wake(self: Arc<Self>) {
        let task = lock(&self.task).take();
        lock(&self.inbox.state).woken.extend(task);
    }
}

/// The tasks of a thread that are to be woken.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<InboxState>,
}

#[derive(Debug, Default)]
struct InboxState {
    woken: Vec<Waker>,
    /// The task that wakes them; `None` if it is awake.
    task: Option<Waker>,
    /// Whether that task has ended with its runtime.
    is_closed: bool,
}

thread_local! {
    static INBOX: RefCell<Option<(runtime::Id, Arc<Inbox>)>> = const { RefCell::new(None) };
}

impl Inbox {
    /// Returns the inbox of this thread; `None` outside of a runtime.
    fn of_this_thread() -> Option<Arc<Self>> {
        let runtime = Handle::try_current().ok()?;
        INBOX.with_borrow_mut(|current| match current {
            Some((id, inbox)) if *id == runtime.id() => Some(inbox.clone()),
            _ => {
                let inbox = Arc::new(Self::default());
                // It is idle, or ended, once nobody on this thread waits for a store.
                runtime.spawn(Self::run(InboxGuard(inbox.clone())));
                *current = Some((runtime.id(), inbox.clone()));
                Some(inbox)
            }
        })
    }

    /// Wakes the tasks of the inbox whenever [`Self::wake_task`] is called, until the runtime ends.
    async fn run(inbox: InboxGuard) {
        poll_fn(|cx| -> Poll<()> {
            let woken = {
                let mut state = lock(&inbox.0.state);
                state.task = Some(cx.waker().clone());
                mem::take(&mut state.woken)
            };
            woken.into_iter().for_each(Waker::wake);
            Poll::Pending
        })
        .await;
    }

    /// Wakes the task of the inbox, if the inbox has wakers.
    fn wake_task(&self) {
        let mut state = lock(&self.state);
        if state.woken.is_empty() {
            return;
        }
        let wakers = if state.is_closed { mem::take(&mut state.woken) } else { Vec::new() };
        let task = state.task.take();
        drop(state);
        task.into_iter().chain(wakers).for_each(Waker::wake);
    }
}

/// Closes an inbox when its task is dropped.
struct InboxGuard(Arc<Inbox>);

impl Drop for InboxGuard {
    fn drop(&mut self) {
        lock(&self.0.state).is_closed = true;
        self.0.wake_task();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::task::JoinSet;

    use super::*;

    fn current_thread() -> runtime::Runtime {
        runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn a_task_that_awaits_many_replies_gets_them_all() {
        current_thread().block_on(async {
            let (senders, mut replies): (Vec<_>, Vec<_>) = (0..300).map(|_| reply()).unzip();
            let mut poll_all = |cx: &mut Context<'_>| {
                replies.retain_mut(|reply| Pin::new(reply).poll(cx).is_pending());
                replies.is_empty()
            };
            poll_fn(|cx| Poll::Ready(poll_all(cx))).await;
            drop(senders);
            let all = poll_fn(|cx| if poll_all(cx) { Poll::Ready(()) } else { Poll::Pending });
            tokio::time::timeout(std::time::Duration::from_secs(30), all).await.unwrap();
        });
    }

    #[test]
    fn all_callers_of_a_batch_get_their_results_from_another_thread() {
        current_thread().block_on(async {
            for callers in [1, 2, 300] {
                let (senders, replies): (Vec<_>, Vec<_>) = (0..callers).map(|_| reply()).unzip();
                let mut waiting = JoinSet::new();
                for reply in replies {
                    waiting.spawn(reply);
                }
                let writer = thread::spawn(move || {
                    let mut senders = senders;
                    for sender in &mut senders {
                        sender.send(Ok(Outcome::Deleted));
                    }
                });
                assert_eq!(waiting.join_all().await, vec![Ok(Outcome::Deleted); callers]);
                writer.join().unwrap();
            }
        });
    }

    #[test]
    fn a_caller_without_a_result_learns_that_the_outcome_is_unknown() {
        current_thread().block_on(async {
            let (sender, reply) = reply();
            let writer = thread::spawn(move || drop(sender));
            assert_eq!(reply.await, Err(WriteError::OutcomeUnknown));
            writer.join().unwrap();
        });
    }

    #[test]
    fn a_caller_that_outlives_the_runtime_it_began_on_is_woken() {
        let (first, second) = (current_thread(), current_thread());
        let (mut sender, mut reply) = first.block_on(async {
            let (sender, mut reply) = reply();
            assert!(futures_util::poll!(&mut reply).is_pending());
            (sender, reply)
        });
        drop(first);
        let result = second.block_on(async {
            assert!(futures_util::poll!(&mut reply).is_pending());
            let writer = thread::spawn(move || sender.send(Ok(Outcome::Deleted)));
            let result = reply.await;
            writer.join().unwrap();
            result
        });
        assert_eq!(result, Ok(Outcome::Deleted));
    }

    #[test]
    fn a_caller_that_no_longer_waits_does_not_keep_others_from_being_woken() {
        current_thread().block_on(async {
            let ((mut gone_sender, gone), (mut sender, reply)) = (reply(), reply());
            drop(gone);
            let writer = thread::spawn(move || {
                gone_sender.send(Ok(Outcome::Deleted));
                sender.send(Ok(Outcome::Deleted));
            });
            assert_eq!(reply.await, Ok(Outcome::Deleted));
            writer.join().unwrap();
        });
    }
}
