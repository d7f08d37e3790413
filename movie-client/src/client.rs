//! The stub, with addresses, deadlines and errors for people.

use std::error::Error as StdError;
use std::time::Duration;

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieData, MovieId};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// How long a connection, and the answer to a call, may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the next movie of a list may take.
const PATIENCE_IN_LIST: Duration = Duration::from_secs(10);

/// A connection to a movie service.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    stub: MovieClient<Channel>,
}

/// The movies of a list, as they arrive.
#[derive(Debug)]
pub struct Movies {
    address: String,
    messages: Streaming<MovieData>,
}

/// Why a call failed, for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address makes no sense.
    #[error("`{}` is not an address; expected HOST:PORT, for example localhost:3001", .0.escape_debug())]
    Address(String),
    /// Nobody answers at the address.
    #[error(
        "no movie service at {address} ({reason}); start one with `cargo run -p movie-service` or name another \
         with --address HOST:PORT"
    )]
    Unreachable {
        /// The address.
        address: String,
        /// What the operating system says.
        reason: String,
    },
    /// The service took too long.
    #[error("{address} gave no answer within {} seconds; is it a movie service?", after.as_secs())]
    TimedOut {
        /// The address.
        address: String,
        /// How long it had.
        after: Duration,
    },
    /// The service refused, or broke off.
    #[error("the call to {address} failed: {code:?}: {message}")]
    Failed {
        /// The address.
        address: String,
        /// The gRPC status code.
        code: Code,
        /// What the service says.
        message: String,
    },
}

impl Client {
    /// Connects to `address`, as `HOST:PORT` or `http://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`], or [`Error::Unreachable`] within four seconds.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .ok()
            .filter(|endpoint| {
                let uri = endpoint.uri();
                uri.port().is_some()
                    && uri.path_and_query().is_none_or(|path| path == "/")
                    && !authority.contains('@')
            })
            .ok_or_else(|| Error::Address(address.to_owned()))?;
        let unreachable = |reason: String| Error::Unreachable { address: authority.to_owned(), reason };
        let channel = timeout(PATIENCE, endpoint.tcp_nodelay(true).connect())
            .await
            .map_err(|_| unreachable(format!("no connection within {} seconds", PATIENCE.as_secs())))?
            .map_err(|error| unreachable(root_cause(&error)))?;
        Ok(Self { address: authority.to_owned(), stub: MovieClient::new(channel) })
    }

    /// Returns the movie that has this id, or `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] or [`Error::TimedOut`].
    pub async fn get(&mut self, id: &str) -> Result<Option<MovieData>, Error> {
        let call = self.stub.get_movie_by_id(MovieId { id: id.to_owned() });
        let movie = answer(&self.address, PATIENCE, call).await?.into_inner();
        // The contract: a movie without an id is no movie.
        Ok(Some(movie).filter(|movie| !movie.id.is_empty()))
    }

    /// Returns every movie, in the order of the service.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] or [`Error::TimedOut`].
    pub async fn list(&mut self) -> Result<Movies, Error> {
        let call = self.stub.get_list_movies(Empty {});
        let messages = answer(&self.address, PATIENCE, call).await?.into_inner();
        Ok(Movies { address: self.address.clone(), messages })
    }
}

impl Movies {
    /// Returns the next movie, `None` after the last. Can be cancelled and called again.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] or [`Error::TimedOut`].
    pub async fn next(&mut self) -> Result<Option<MovieData>, Error> {
        answer(&self.address, PATIENCE_IN_LIST, self.messages.message()).await
    }
}

/// Waits for an answer, and no longer than `patience`.
async fn answer<T>(
    address: &str,
    patience: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Error> {
    let address = || address.to_owned();
    match timeout(patience, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => {
            // What went wrong on the way is at the bottom of the chain.
            let cause = status.source().map(|_| format!(" ({})", root_cause(&status)));
            let message = status.message().chars().take(500).collect::<String>() + &cause.unwrap_or_default();
            let message = message.escape_debug().to_string();
            Err(Error::Failed { address: address(), code: status.code(), message })
        }
        Err(_) => Err(Error::TimedOut { address: address(), after: patience }),
    }
}

/// Returns what is at the bottom of an error: the layers above it say no more than "transport error".
fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
