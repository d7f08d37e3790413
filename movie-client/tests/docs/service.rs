//! A service for the commands of a document.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use movie_service::catalogue::Catalogue;
use movie_service::found::Found;
use movie_service::server::accept::listener::{Address, Listener};
use movie_service::server::serve::Server;
use movie_service::store::json;
use tokio::runtime;
use tokio::sync::oneshot;

/// A service on a thread of this process. It stops when it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// `None` only while the service is dropped.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Service {
    /// Serves the database on a free port.
    pub(crate) fn start(file: &Path) -> Result<Self, String> {
        let movies = json::load(file).map_err(|error| error.to_string())?;
        let (listening, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let listener = Listener::bind(&Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())).unwrap();
            let Address::Tcp(address) = listener.address().unwrap() else { panic!("not TCP") };
            listening.send(address).unwrap();
            let catalogue = Arc::new(Catalogue::new(movies));
            let stopped = async { stopped.await.unwrap_or_default() };
            Server::new(catalogue, Found::quiet()).serve(listener, stopped).await.unwrap();
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address: address.recv().unwrap(), running: Some((stop, thread)) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}
