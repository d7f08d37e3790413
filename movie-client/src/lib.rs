//! Client library of the movie service.
//!
//! A program that embeds it, beside a clone of this repository in `movies`, has these lines in its `Cargo.toml`. The feature `cli`, which
//! is on by default, is for the command line only.
//!
//! ```toml
//! [dependencies]
//! movie-client = { path = "../movies/movie-client", default-features = false }
//! tokio = { version = "1", features = ["macros", "rt"] }
//! tokio-stream = "0.1"
//! ```
//!
//! This is the program:
//!
//! ```no_run
//! use movie_client::{Client, Config, Error, Filter, Query};
//! use tokio_stream::StreamExt;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Error> {
//!     let client = Client::connect(&Config::at("localhost:3001")?)?;
//!
//!     let movie = client.get("a8034f44-aee4-44cf-b32c-74cf452aaaae").await?;
//!     println!("found {}", movie.title);
//!
//!     let filter = Filter { rating_min: Some(8.0), ..Filter::default() };
//!     let query = Query { filter, order_by: "rating desc".to_owned(), ..Query::default() };
//!     let mut best = client.list(query);
//!     while let Some(movie) = best.try_next().await? {
//!         println!("{} by {}", movie.title, movie.director);
//!     }
//!
//!     match client.get("no such id").await {
//!         Ok(movie) => println!("{}", movie.title),
//!         Err(Error::NotFound { ids, .. }) => println!("no movie has the id {}", ids.join(", ")),
//!         Err(error) if error.is_temporary() => println!("{error}; try again later"),
//!         Err(error) => return Err(error),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The modules, in reading order:
//!
//! * [`Client`]: the calls of both contracts, with this crate's types [`Movie`], [`Filter`], [`Change`] and
//!   [`Error`].
//! * `search`: queries, pages of hits, and search as a person types.
//! * [`Config`]: addresses, credentials, deadlines and the retry policy.
//! * `call`: one call with its deadline and retries.
//! * `channel`: name resolution, connections, load balancing and TLS.
//! * `watch`: a change stream that survives reconnects.
//! * [`cli`]: the command line, behind the feature `cli`.
//!
//! The library logs to [`tracing`]: each step with its duration at the level debug, reconnects of a watch at the
//! level info.

mod address;
mod call;
mod catalog;
mod channel;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod config;
mod error;
mod movie;
mod search;
mod watch;

// The helpers of the tests name this crate.
#[cfg(test)]
extern crate self as movie_client;

pub use self::address::{Address, InvalidAddress};
pub use self::call::ResponseStream;
pub use self::catalog::{Catalog, Health, ImportSummary, Page, Query, RejectedMovie};
pub use self::client::Client;
pub use self::config::{Config, Identity, Resolver, RetryPolicy, Tls, Token};
pub use self::error::{Error, InvalidField};
pub use self::movie::{Field, Filter, Movie};
pub use self::search::{Facet, FacetValue, Highlight, Hit, SearchPage, SearchQuery, SearchStream};
pub use self::watch::{Change, Event, Start};
/// The gRPC status code of [`Error::Failed`].
pub use tonic::Code;
