//! A TCP proxy between a client and a service that can disturb their connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TCP proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Changes when all connections are to be closed.
    disconnects: watch::Sender<()>,
    behaviour: Mutex<Behaviour>,
}

struct Behaviour {
    /// Target of new connections.
    target: SocketAddr,
    /// Whether bytes from the service are dropped.
    drops_responses: bool,
    /// Returns the number of bytes from the service after which a new connection is closed.
    limit: Box<dyn FnMut() -> usize + Send>,
    /// Number of bytes from the client after which a new connection is closed.
    request_limit: u64,
    connections: usize,
}

impl Proxy {
    /// Starts a proxy that forwards all bytes.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Behaviour {
            target,
            drops_responses: false,
            limit: Box::new(|| usize::MAX),
            request_limit: u64::MAX,
            connections: 0,
        };
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

    /// Closes all current connections.
    pub(crate) fn disconnect(&self) {
        self.shared.disconnects.send_replace(());
    }

    /// Drops the bytes from the service from now on.
    pub(crate) fn drop_responses(&self) {
        self.behaviour(|behaviour| behaviour.drops_responses = true);
    }

    /// Forwards the bytes from the service from now on.
    pub(crate) fn pass_responses(&self) {
        self.behaviour(|behaviour| behaviour.drops_responses = false);
    }

    /// Closes each new connection after the number of bytes from the service that `limit` returns.
    pub(crate) fn limit_bytes(&self, limit: impl FnMut() -> usize + Send + 'static) {
        self.behaviour(|behaviour| behaviour.limit = Box::new(limit));
    }

    /// Closes each new connection after this number of bytes from the client.
    pub(crate) fn limit_request_bytes(&self, bytes: u64) {
        self.behaviour(|behaviour| behaviour.request_limit = bytes);
    }

    /// Connects new connections to another service.
    pub(crate) fn set_target(&self, target: SocketAddr) {
        self.behaviour(|behaviour| behaviour.target = target);
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.behaviour(|behaviour| behaviour.connections)
    }

    fn behaviour<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.shared.behaviour.lock().unwrap())
    }
}

impl Shared {
    /// Forwards bytes until one side closes the connection.
    async fn relay(&self, client: TcpStream) {
        let (target, mut limit, request_limit) = {
            let mut behaviour = self.behaviour.lock().unwrap();
            behaviour.connections += 1;
            (behaviour.target, (behaviour.limit)(), behaviour.request_limit)
        };
        let Ok(server) = TcpStream::connect(target).await else { return };
        let ((from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let mut requests = from_client.take(request_limit);
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
            _ = copy(&mut requests, &mut to_server) => {}
        }
    }
}
