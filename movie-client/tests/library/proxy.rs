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
    disconnects: watch::Sender<()>,
    behaviour: Mutex<Behaviour>,
}

struct Behaviour {
    /// Where connections lead.
    target: SocketAddr,
    /// Whether what the service says is lost.
    drops_responses: bool,
    /// Says how many bytes of what the service says each new connection lets through before it is cut.
    limit: Box<dyn FnMut() -> usize + Send>,
    connections: usize,
}

impl Proxy {
    /// Passes on all that is said.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour =
            Behaviour { target, drops_responses: false, limit: Box::new(|| usize::MAX), connections: 0 };
        let shared =
            Arc::new(Shared { disconnects: watch::Sender::default(), behaviour: Mutex::new(behaviour) });
        let connections = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut disconnects = connections.disconnects.subscribe();
                let shared = Arc::clone(&connections);
                tokio::spawn(async move {
                    tokio::select! {
                        () = shared.relay(client) => {}
                        _ = disconnects.changed() => {}
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Cuts the connections that there are.
    pub(crate) fn disconnect(&self) {
        self.shared.disconnects.send_replace(());
    }

    /// From now on, what the service says is lost.
    pub(crate) fn drop_responses(&self) {
        self.behaviour(|behaviour| behaviour.drops_responses = true);
    }

    /// From now on, what the service says is forwarded on.
    pub(crate) fn pass_responses(&self) {
        self.behaviour(|behaviour| behaviour.drops_responses = false);
    }

    /// Cuts each connection that comes once the service has said as many bytes on it as `limit` returns then.
    pub(crate) fn limit_bytes(&self, limit: impl FnMut() -> usize + Send + 'static) {
        self.behaviour(|behaviour| behaviour.limit = Box::new(limit));
    }

    /// Leads the connections that come to another service.
    pub(crate) fn set_target(&self, target: SocketAddr) {
        self.behaviour(|behaviour| behaviour.target = target);
    }

    /// Returns how many connections there were so server.
    pub(crate) fn connections(&self) -> usize {
        self.behaviour(|behaviour| behaviour.connections)
    }

    fn behaviour<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.shared.behaviour.lock().unwrap())
    }
}

impl Shared {
    /// Passes on what is said until one of the two ends it.
    async fn relay(&self, client: TcpStream) {
        let (target, mut limit) = {
            let mut behaviour = self.behaviour.lock().unwrap();
            behaviour.connections += 1;
            (behaviour.target, (behaviour.limit)())
        };
        let Ok(server) = TcpStream::connect(target).await else { return };
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let responses = async {
            let mut buffer = [0; 4096];
            while limit > 0 {
                let Ok(read @ 1..) = from_server.read(&mut buffer).await else { return };
                if self.behaviour.lock().unwrap().drops_responses {
                    continue;
                }
                let forwarded = read.min(limit);
                if to_client.write_all(&buffer[..forwarded]).await.is_err() {
                    return;
                }
                limit -= forwarded;
            }
        };
        tokio::select! {
            () = responses => {}
            _ = copy(&mut from_client, &mut to_server) => {}
        }
    }
}
