//! Client for both contracts.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};

use futures_util::TryStreamExt;
use futures_util::stream::{iter, poll_fn, try_unfold};
use movie_proto::catalog::v1;
use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieId};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::call::{Caller, ResponseStream, RetrySafety, catalog};
use crate::catalog::{Catalog, Health, ImportSummary, Page, Query, messages};
use crate::channel::Peer;
use crate::watch::{Change, Start};
use crate::{Config, Error, Field, Movie, watch};

/// Client of a movie service. Clones are cheap and share the connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) caller: Arc<Caller>,
}

/// Number of lookup requests without a response. The end of the request stream counts as one, because the service
/// must then end the response stream.
#[derive(Clone, Default)]
struct OutstandingLookups(Arc<AtomicUsize>);

impl OutstandingLookups {
    fn sent(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn received(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.caller.name()).finish()
    }
}

impl Client {
    /// Creates a client. The first call opens the connections. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the configuration is invalid.
    pub fn connect(config: &Config) -> Result<Self, Error> {
        if config.token.is_some()
            && let Some(address) =
                config.addresses.iter().find(|address| !address.is_tls() && !address.is_local())
        {
            tracing::warn!(
                "the token is sent to {address} unencrypted; anyone on the network path can read it"
            );
        }
        Ok(Self { caller: Arc::new(Caller::new(config)?) })
    }

    /// Returns the movie with this id (`GetMovie`).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or the error of the call.
    pub async fn get(&self, id: impl Into<String>) -> Result<Movie, Error> {
        let request = v1::GetMovieRequest { id: id.into() };
        let send = |channel, request| async move { catalog(channel).get_movie(request).await };
        self.caller.unary(RetrySafety::Idempotent, request, send).await.map(Movie::from)
    }

    /// Returns the movies with these ids, ordered by id and all at one revision (`BatchGetMovies`). At most 1,000
    /// ids.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with the unknown ids, or the error of the call.
    pub async fn batch<I: Into<String>>(
        &self,
        ids: impl IntoIterator<Item = I>,
    ) -> Result<Vec<Movie>, Error> {
        let request = v1::BatchGetMoviesRequest { ids: ids.into_iter().map(Into::into).collect() };
        let send = |channel, request| async move { catalog(channel).batch_get_movies(request).await };
        let found = self.caller.unary(RetrySafety::Idempotent, request, send).await?;
        Ok(found.movies.into_iter().map(Movie::from).collect())
    }

    /// Looks up each id as it arrives, and returns the movies in the same order; `None` for an unknown id
    /// (`LookupMovies`).
    ///
    /// # Errors
    ///
    /// The error of the call. The call is not retried, because its ids are consumed.
    pub async fn lookup(
        &self,
        ids: impl Stream<Item = String> + Send + 'static,
    ) -> Result<ResponseStream<(String, Option<Movie>)>, Error> {
        // Shared, because the call is sent again if its connection was lost. Only a call that was sent consumes ids.
        let ids = Arc::new(Mutex::new(Box::pin(ids)));
        let outstanding = OutstandingLookups::default();
        let send = |channel, request: tonic::Request<()>| {
            let (ids, outstanding) = (Arc::clone(&ids), outstanding.clone());
            let ids = poll_fn(move |cx| {
                let id = ready!(ids.lock().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(cx));
                outstanding.sent();
                Poll::Ready(id)
            });
            let request = request.map(|()| ids.map(|id| v1::LookupMoviesRequest { id }));
            async move { catalog(channel).lookup_movies(request).await }
        };
        let messages = self.caller.stream(RetrySafety::UnprocessedOnly, (), true, send).await?;
        let deadline = self.caller.deadline();
        Ok(Box::pin(try_unfold((messages, outstanding), move |(mut messages, outstanding)| async move {
            let response = loop {
                let before = outstanding.count();
                match timeout(deadline, messages.next()).await {
                    Ok(response) => break response?,
                    // No timeout applies while the caller has no outstanding id.
                    Err(_) if before == 0 => {}
                    Err(_) => return Err(messages.deadline_exceeded(deadline)),
                }
            };
            outstanding.received();
            Ok(response
                .map(|response| ((response.id, response.movie.map(Movie::from)), (messages, outstanding))))
        })))
    }

    /// Lists movies page by page, all at one revision (`ListMovies`). The next page is requested while the caller
    /// uses the current one.
    ///
    /// # Errors
    ///
    /// The stream ends with [`Error::Invalid`] for an invalid query, [`Error::PageTokenExpired`], or the error of a
    /// call.
    #[must_use]
    pub fn pages(&self, query: Query) -> ResponseStream<Page> {
        let client = self.clone();
        let request = move |pages: &mut JoinSet<_>, token: String, peer: Option<Arc<Peer>>| {
            let (client, query) = (client.clone(), query.clone());
            pages.spawn(async move { client.list_movies(query, token, peer.as_ref()).await });
        };
        // Holds one task, which is aborted when the stream is dropped.
        let mut pages = JoinSet::new();
        request(&mut pages, String::new(), None);
        Box::pin(try_unfold((request, pages, String::new()), |(request, mut pages, requested)| async move {
            let Some(page) = pages.join_next().await else { return Ok(None) };
            let (page, next, peer) =
                page.map_err(|_| Error::Config("a background task failed".to_owned()))??;
            if !next.is_empty() {
                if next == requested {
                    let message = "the service returned the same page token again".to_owned();
                    return Err(Error::Failed { address: peer.name.clone(), code: Code::Internal, message });
                }
                // The node that returned this page certainly has the list's revision.
                request(&mut pages, next.clone(), Some(peer));
            }
            Ok(Some((page, (request, pages, next))))
        }))
    }

    /// Returns the first page of a list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid query, or the error of the call.
    pub async fn first_page(&self, query: Query) -> Result<Page, Error> {
        self.list_movies(query, String::new(), None).await.map(|(page, _, _)| page)
    }

    /// Returns a page, the token of the next page, and the peer that responded.
    async fn list_movies(
        &self,
        query: Query,
        page_token: String,
        peer: Option<&Arc<Peer>>,
    ) -> Result<(Page, String, Arc<Peer>), Error> {
        let Query { filter, order_by, page_size } = query;
        let page_size = i32::try_from(page_size).ok().filter(|size| *size > 0).unwrap_or(1000);
        let request = v1::ListMoviesRequest { page_size, page_token, filter: Some(filter.into()), order_by };
        let send = |channel, request| async move { catalog(channel).list_movies(request).await };
        let (found, peer) = self.caller.unary_at(peer, RetrySafety::Idempotent, request, send).await?;
        let total = u64::try_from(found.total_size).unwrap_or_default();
        let movies = found.movies.into_iter().map(Movie::from).collect();
        Ok((Page { movies, total }, found.next_page_token, peer))
    }

    /// Lists movies one by one; otherwise like [`Client::pages`].
    #[must_use]
    pub fn list(&self, query: Query) -> ResponseStream<Movie> {
        Box::pin(self.pages(query).map_ok(|page| iter(page.movies.into_iter().map(Ok))).try_flatten())
    }

    /// Adds a movie and returns the stored movie (`CreateMovie`). The service generates an id if the movie has none.
    /// If the response is lost, the call is retried with the same request id, so the movie is added once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let service = Service::writable();
    /// # let client = service.client();
    /// use movie_client::Movie;
    ///
    /// let movie = Movie { title: "Alien".to_owned(), year: Some(1979), ..Movie::default() };
    /// let movie = client.create(movie).await?;
    /// println!("the service generated the id {}", movie.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`], [`Error::Invalid`], [`Error::ReadOnly`], or the error of the call.
    pub async fn create(&self, movie: Movie) -> Result<Movie, Error> {
        let request_id = uuid::Uuid::new_v4().to_string();
        let request = v1::CreateMovieRequest { movie: Some(movie.into()), request_id };
        let send = |channel, request| async move { catalog(channel).create_movie(request).await };
        self.caller.unary(RetrySafety::Idempotent, request, send).await.map(Movie::from)
    }

    /// Updates the given fields of the movie with this id and returns the stored movie (`UpdateMovie`). If the movie
    /// has an etag, the update succeeds only if the stored movie has the same etag.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let service = Service::writable();
    /// # let client = service.client();
    /// # client.create(Movie { id: "alien".to_owned(), title: "Alien".to_owned(), ..Movie::default() }).await?;
    /// # use movie_client::Movie;
    /// use movie_client::{Error, Field};
    ///
    /// // Read, modify, write. The etag of the movie detects a concurrent update.
    /// let mut movie = client.get("alien").await?;
    /// movie.rating = Some(8.5);
    /// match client.update(movie, &[Field::Rating]).await {
    ///     Ok(movie) => assert_eq!(movie.rating, Some(8.5)),
    ///     Err(Error::Conflict { .. }) => println!("concurrent update: read the movie again"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Conflict`], [`Error::Invalid`], [`Error::ReadOnly`], or the error of the call.
    pub async fn update(&self, movie: Movie, fields: &[Field]) -> Result<Movie, Error> {
        let paths = fields.iter().map(|field| field.name().to_owned()).collect();
        self.write(movie, paths, false).await
    }

    /// Adds a movie or replaces the movie with the same id, and returns the stored movie (`UpdateMovie`). If the
    /// movie has an etag, an existing movie is replaced only if it has the same etag.
    ///
    /// # Errors
    ///
    /// The same as [`Client::update`].
    pub async fn put(&self, movie: Movie) -> Result<Movie, Error> {
        self.write(movie, vec!["*".to_owned()], true).await
    }

    async fn write(&self, movie: Movie, paths: Vec<String>, allow_missing: bool) -> Result<Movie, Error> {
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = v1::UpdateMovieRequest { movie: Some(movie.into()), update_mask, allow_missing };
        let send = |channel, request| async move { catalog(channel).update_movie(request).await };
        self.caller.unary(RetrySafety::UnprocessedOnly, request, send).await.map(Movie::from)
    }

    /// Deletes the movie with this id (`DeleteMovie`). With an etag, the movie is deleted only if it still has this
    /// etag.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Conflict`], [`Error::ReadOnly`], or the error of the call.
    pub async fn delete(&self, id: impl Into<String>, etag: Option<String>) -> Result<(), Error> {
        let etag = etag.unwrap_or_default();
        let request = v1::DeleteMovieRequest { id: id.into(), etag, allow_missing: false };
        let send = |channel, request| async move { catalog(channel).delete_movie(request).await };
        self.caller.unary(RetrySafety::UnprocessedOnly, request, send).await
    }

    /// Adds new movies and replaces existing ones (`ImportMovies`). Rejected movies are counted, and the first ones
    /// are returned with a reason.
    ///
    /// An interrupted import is retried as a whole; movies that had arrived then count as unchanged. The deadline applies
    /// to the whole call, so import many movies by several calls of about 1,000 each.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let service = Service::writable();
    /// # let client = service.client();
    /// use movie_client::Movie;
    ///
    /// let movies = ["Alien", "Aliens"].map(|title| Movie {
    ///     id: title.to_lowercase(),
    ///     title: title.to_owned(),
    ///     ..Movie::default()
    /// });
    /// let imported = client.import(movies).await?;
    /// assert_eq!((imported.created, imported.rejected), (2, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`], or the error of the call.
    pub async fn import(&self, movies: impl IntoIterator<Item = Movie>) -> Result<ImportSummary, Error> {
        let messages = messages(movies);
        let send = |channel, request: tonic::Request<Vec<_>>| async move {
            catalog(channel).import_movies(request.map(tokio_stream::iter)).await
        };
        self.caller.unary(RetrySafety::Idempotent, messages, send).await.map(ImportSummary::from)
    }

    /// Watches the changes of the catalogue, each once and in order (`WatchMovies`). After a lost connection or a
    /// restart of the service, the watch reconnects and resumes, without a time limit.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let service = Service::writable();
    /// # let client = service.client();
    /// # client.create(movie_client::Movie { title: "Alien".to_owned(), ..Default::default() }).await?;
    /// use movie_client::{Event, Start};
    /// use tokio_stream::StreamExt;
    ///
    /// // All movies, and then every change. To resume later, keep the last resume token for `Start::Resume`.
    /// let mut changes = client.watch(Start::FullCopy).await?;
    /// while let Some(change) = changes.try_next().await? {
    ///     match change.event {
    ///         Event::Upserted(movie) => println!("revision {}: {}", change.revision, movie.title),
    ///         Event::Deleted(id) => println!("deleted {id}"),
    ///         Event::CaughtUp => break, // The stream would continue with later changes.
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::RevisionCompacted`], [`Error::RevisionUnknown`], or the error of the first call.
    pub async fn watch(&self, start: Start) -> Result<ResponseStream<Change>, Error> {
        watch::follow(Arc::clone(&self.caller), start).await
    }

    /// Returns the state of the catalogue (`GetCatalog`).
    ///
    /// # Errors
    ///
    /// The error of the call.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        let send = |channel, request| async move { catalog(channel).get_catalog(request).await };
        self.caller.unary(RetrySafety::Idempotent, v1::GetCatalogRequest {}, send).await.map(Catalog::from)
    }

    /// Returns the health of a gRPC service, such as `movie.catalog.v1.MovieCatalog` (`grpc.health.v1`). The empty
    /// name stands for the whole server.
    ///
    /// # Errors
    ///
    /// The error of the call.
    pub async fn health(&self, service: impl Into<String>) -> Result<Health, Error> {
        let request = HealthCheckRequest { service: service.into() };
        let send = |channel, request| async move { HealthClient::new(channel).check(request).await };
        match self.caller.unary(RetrySafety::Idempotent, request, send).await {
            Ok(response) if response.status() == ServingStatus::Serving => Ok(Health::Serving),
            Ok(_) => Ok(Health::NotServing),
            Err(Error::NotFound { .. }) => Ok(Health::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Returns a movie by the course's contract (`GetMovieByID`), or `None`. The course's messages have the first
    /// four fields only.
    ///
    /// # Errors
    ///
    /// The error of the call.
    pub async fn course_get(&self, id: impl Into<String>) -> Result<Option<Movie>, Error> {
        let send = |channel, request| async move { MovieClient::new(channel).get_movie_by_id(request).await };
        let movie = self.caller.unary(RetrySafety::Idempotent, MovieId { id: id.into() }, send).await?;
        // The course's contract returns an empty message for an unknown id.
        Ok(Some(movie).filter(|movie| !movie.id.is_empty()).map(Movie::from))
    }

    /// Lists all movies by the course's contract (`GetListMovies`). The course's messages have the first four fields
    /// only.
    ///
    /// # Errors
    ///
    /// The error of the call. The stream may also end with an error.
    pub async fn course_list(&self) -> Result<ResponseStream<Movie>, Error> {
        let send = |channel, request| async move { MovieClient::new(channel).get_list_movies(request).await };
        let messages = self.caller.stream(RetrySafety::Idempotent, Empty {}, false, send).await?;
        Ok(Box::pin(try_unfold(messages, async |mut messages| {
            Ok(messages.next().await?.map(|movie| (Movie::from(movie), messages)))
        })))
    }
}
