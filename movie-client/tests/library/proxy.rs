//! What stands between a client and a service, and breaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy of TCP connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Changes when all connections are to be cut.
    cuts: watch::Sender<()>,
    manner: Mutex<Manner>,
}

struct Manner {
    /// Where connections lead.
    target: SocketAddr,
    /// Whether what the service says is lost.
    is_mute: bool,
    /// Says how many bytes of what the service says each new connection lets through before it is cut.
    room: Box<dyn FnMut() -> usize + Send>,
    connections: usize,
}

impl Proxy {
    /// Passes on all that is said.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Manner { target, is_mute: false, room: Box::new(|| usize::MAX), connections: 0 };
        let shared = Arc::new(Shared { cuts: watch::Sender::default(), manner: Mutex::new(manner) });
        let connections = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut cuts = connections.cuts.subscribe();
                let shared = Arc::clone(&connections);
                tokio::spawn(async move {
                    tokio::select! {
                        () = shared.relay(near) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Cuts the connections that there are.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// From now on, what the service says is lost.
    pub(crate) fn mute(&self) {
        self.manner(|manner| manner.is_mute = true);
    }

    /// From now on, what the service says is passed on.
    pub(crate) fn unmute(&self) {
        self.manner(|manner| manner.is_mute = false);
    }

    /// Cuts each connection that comes once the service has said as many bytes on it as `room` returns then.
    pub(crate) fn cut_after(&self, room: impl FnMut() -> usize + Send + 'static) {
        self.manner(|manner| manner.room = Box::new(room));
    }

    /// Leads the connections that come to another service.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.manner(|manner| manner.target = target);
    }

    /// Returns how many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.manner(|manner| manner.connections)
    }

    fn manner<T>(&self, change: impl FnOnce(&mut Manner) -> T) -> T {
        change(&mut self.shared.manner.lock().unwrap())
    }
}

impl Shared {
    /// Passes on what is said until one of the two ends it.
    async fn relay(&self, near: TcpStream) {
        let (target, mut room) = {
            let mut manner = self.manner.lock().unwrap();
            manner.connections += 1;
            (manner.target, (manner.room)())
        };
        let Ok(far) = TcpStream::connect(target).await else { return };
        let ((mut from_near, mut to_near), (mut from_far, mut to_far)) =
            (near.into_split(), far.into_split());
        let answers = async {
            let mut buffer = [0; 4096];
            while room > 0 {
                let Ok(read @ 1..) = from_far.read(&mut buffer).await else { return };
                if self.manner.lock().unwrap().is_mute {
                    continue;
                }
                let passed = read.min(room);
                if to_near.write_all(&buffer[..passed]).await.is_err() {
                    return;
                }
                room -= passed;
            }
        };
        tokio::select! {
            () = answers => {}
            _ = copy(&mut from_near, &mut to_far) => {}
        }
    }
}
