//! Behaviour common to HTTP/1.1 and HTTP/2 connections.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection that serves calls.
pub(crate) trait ServeConnection {
    /// Whether each call is a task that ends at its deadline. Otherwise a single call is polled as part of the
    /// connection.
    const HAS_TASKS: bool;

    /// Serves calls until either side ends the connection.
    fn poll_serve(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ServeResult>;

    /// Starts a graceful shutdown: the peer opens no more calls, and calls in flight end.
    fn start_shutdown(self: Pin<&mut Self>);

    /// Closes a connection without calls in flight; the peer retries calls on their way elsewhere.
    fn close(self: Pin<&mut Self>);

    /// Sends a keep-alive PING; returns `false` if the protocol has none.
    fn ping(self: Pin<&mut Self>) -> bool;
}

/// How a connection ended.
pub(crate) type ServeResult = Result<(), Box<dyn Error + Send + Sync>>;
