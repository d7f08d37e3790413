use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;
use tokio::task::yield_now;

use super::*;
use crate::catalogue::{Change, MovieView};

/// What the stream of a watch does with a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Taking {
    Sends,
    Waits,
    Panics,
}

/// A peer with a watch: what it was told, and how.
struct Peer {
    told: Mutex<Told>,
    is_woken: AtomicBool,
    /// Number of batches that were sent without waking it.
    batches: AtomicUsize,
}

struct Told {
    watch: Watch,
    frames: Vec<Bytes>,
    taking: Taking,
}

impl Peer {
    /// Starts a watch that has caught up.
    fn start(watches: &Watches, taking: Taking) -> Arc<Self> {
        let peer = Arc::new_cyclic(|sink: &Weak<Self>| {
            let watch = watches.start(WatchMoviesRequest::default());
            watch.attach(sink.clone());
            let told = Mutex::new(Told { watch, frames: Vec::new(), taking });
            Self { told, is_woken: AtomicBool::new(false), batches: AtomicUsize::new(0) }
        });
        peer.poll();
        peer
    }

    /// Polls the watch as its task would.
    fn poll(self: &Arc<Self>) {
        self.is_woken.store(false, Ordering::Relaxed);
        let (waker, told) = (Waker::from(self.clone()), &mut *self.told.lock().unwrap());
        while let Poll::Ready(frames) = Pin::new(&mut told.watch).poll_next(&mut Context::from_waker(&waker))
        {
            told.frames.push(frames.expect("the watch goes on").unwrap());
        }
    }

    /// Returns how many batches it was sent without being woken, and whether it was woken since the last poll.
    fn state(&self) -> (usize, bool) {
        (self.batches.load(Ordering::Relaxed), self.is_woken.load(Ordering::Relaxed))
    }
}

impl BatchSink for Peer {
    fn try_send(&self, batch: &Batch) -> bool {
        let told = &mut *self.told.lock().unwrap();
        assert!(told.taking != Taking::Panics, "expected by this test");
        let frames = if told.taking == Taking::Sends { told.watch.advance(batch) } else { None };
        self.batches.fetch_add(usize::from(frames.is_some()), Ordering::Relaxed);
        let is_sent = frames.is_some();
        told.frames.extend(frames);
        is_sent
    }
}

impl Wake for Peer {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
    }
}

/// Changes a movie several times at once, and lets the feed run.
async fn change(catalogue: &Catalogue, times: usize) {
    let movie = || Change::Put(MovieView { id: "7", title: "Creed", ..MovieView::default() });
    catalogue.apply((0..times).map(|_| movie())).unwrap();
    settle().await;
}

async fn settle() {
    for _ in 0..8 {
        yield_now().await;
    }
}

#[tokio::test]
async fn only_a_watch_that_cannot_take_a_batch_is_woken() {
    let (stop, stopping) = watch::channel(false);
    let catalogue = Arc::new(Catalogue::default());
    let watches = Watches::new(catalogue.clone(), stopping, 1_000);
    let peers = [Taking::Sends, Taking::Waits, Taking::Panics, Taking::Sends]
        .map(|taking| Peer::start(&watches, taking));
    let states = || peers.each_ref().map(|peer| peer.state());
    settle().await;
    change(&catalogue, 2).await;
    assert_eq!(states(), [(1, false), (0, true), (0, true), (1, false)]);
    // A watch that was behind and has caught up is sent the next batch.
    peers[1].told.lock().unwrap().taking = Taking::Sends;
    peers[1].poll();
    change(&catalogue, 1).await;
    assert_eq!(states(), [(2, false), (1, false), (0, true), (2, false)]);
    // More changes than a batch holds.
    change(&catalogue, 100).await;
    assert_eq!(states(), [(2, true), (1, true), (0, true), (2, true)]);
    peers[0].poll();
    drop(stop);
    settle().await;
    assert_eq!(states(), [(2, true), (1, true), (0, true), (2, true)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_watch_is_told_each_change_once_and_in_order(
        steps in proptest::collection::vec((1..90_usize, any::<bool>(), any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_stop, stopping) = watch::channel(false);
            let catalogue = Arc::new(Catalogue::default());
            let watches = Watches::new(catalogue.clone(), stopping, 100_000);
            let peer = Peer::start(&watches, Taking::Sends);
            settle().await;
            for (times, sends, is_polled) in steps {
                peer.told.lock().unwrap().taking = if sends { Taking::Sends } else { Taking::Waits };
                change(&catalogue, times).await;
                if is_polled && peer.state().1 {
                    peer.poll();
                }
            }
            peer.poll();
            let frames = std::mem::take(&mut peer.told.lock().unwrap().frames);
            let messages = frames.into_iter().flat_map(message::decode);
            let revisions: Vec<_> = messages.map(|message| message.revision).collect();
            // The first message says that the watch has caught up, at revision 0.
            let newest = catalogue.snapshot().revision().to_i64();
            assert_eq!(revisions, (0..=newest).collect::<Vec<_>>());
        });
    }
}
