//! Behaviour common to HTTP/1.1 and HTTP/2 connections.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection that serves calls.
pub(crate) trait Serving {
    /// Whether each call is a task that ends at its deadline. Otherwise a single call is polled as part of the
    /// connection.
    const HAS_TASKS: bool;

    /// Serves calls until either side ends the connection.
    fn poll_serve(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Left>;

    /// Has the peer leave once its calls are done.
    fn leave(self: Pin<&mut Self>);

    /// Closes a connection without calls in flight; the peer retries calls on their way elsewhere.
    fn end(self: Pin<&mut Self>);

    /// Asks the peer whether it is still there; returns whether that can be asked.
    fn ping(self: Pin<&mut Self>) -> bool;
}

/// How a connection ended.
pub(crate) type Left = Result<(), Box<dyn Error + Send + Sync>>;
