//! A connection of a client, counted on its way to a server.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

/// Relays one connection to a server.
pub(super) struct Relay {
    /// Where the client has to connect.
    pub(super) address: String,
    relaying: JoinHandle<io::Result<(u64, u64)>>,
}

impl Relay {
    /// Waits for a connection, which is relayed to `server`.
    ///
    /// # Errors
    ///
    /// If there is no port to listen on.
    pub(super) fn start(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for a client")?;
        let (address, server) = (listener.local_addr()?.to_string(), server.to_owned());
        let relaying = thread::spawn(move || {
            let (client, _) = listener.accept()?;
            let server = TcpStream::connect(server)?;
            thread::scope(|scope| {
                let requests = scope.spawn(|| relay(&client, &server));
                let responses = relay(&server, &client)?;
                Ok((requests.join().map_err(|_| io::Error::other("a thread panicked"))??, responses))
            })
        });
        Ok(Self { address, relaying })
    }

    /// Waits for the end of the connection; returns how many bytes the client sent, and how many it was sent.
    ///
    /// # Errors
    ///
    /// If the connection broke off.
    pub(super) fn finish(self) -> Result<(u64, u64)> {
        let relayed = self.relaying.join().map_err(|_| anyhow!("the relay of a connection panicked"))?;
        relayed.context("relay a connection")
    }
}

/// Relays one direction to its end; returns how many bytes that were.
fn relay(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<u64> {
    let bytes = io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)?;
    Ok(bytes)
}
