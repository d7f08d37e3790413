//! The calls of both contracts, in the terms of this crate.

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

use crate::call::{Caller, Items, Repeat, catalog};
use crate::catalog::{Catalog, Health, Imported, Page, Query, messages};
use crate::channel::Peer;
use crate::watch::{Change, Start};
use crate::{Config, Error, Field, Movie, watch};

/// A movie service. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    caller: Arc<Caller>,
}

/// The questions of a lookup that are not answered. Its end is one, too: the service has to end, then.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>);

impl Open {
    fn asked(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn questions(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.caller.name()).finish()
    }
}

impl Client {
    /// Prepares to call a service. Connections are made when the first call needs them. Has to be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the configuration cannot work.
    pub fn connect(config: &Config) -> Result<Self, Error> {
        if config.token.is_some()
            && let Some(address) =
                config.addresses.iter().find(|address| !address.is_tls() && !address.is_local())
        {
            tracing::warn!("the token goes to {address} unencrypted: whoever is on the way can read it");
        }
        Ok(Self { caller: Arc::new(Caller::new(config)?) })
    }

    /// Returns a movie (`GetMovie`).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or why the call failed.
    pub async fn get(&self, id: impl Into<String>) -> Result<Movie, Error> {
        let request = v1::GetMovieRequest { id: id.into() };
        let send = |channel, request| async move { catalog(channel).get_movie(request).await };
        self.caller.unary(Repeat::Safe, request, send).await.map(Movie::from)
    }

    /// Returns movies in the order of their ids, at most 1,000, all at one revision (`BatchGetMovies`).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with the ids that no movie has, or why the call failed.
    pub async fn batch<I: Into<String>>(
        &self,
        ids: impl IntoIterator<Item = I>,
    ) -> Result<Vec<Movie>, Error> {
        let request = v1::BatchGetMoviesRequest { ids: ids.into_iter().map(Into::into).collect() };
        let send = |channel, request| async move { catalog(channel).batch_get_movies(request).await };
        let found = self.caller.unary(Repeat::Safe, request, send).await?;
        Ok(found.movies.into_iter().map(Movie::from).collect())
    }

    /// Answers each id as it comes, in order, with the movie or `None` (`LookupMovies`).
    ///
    /// # Errors
    ///
    /// Why the call failed; it is not made again, as its ids are gone.
    pub async fn lookup(
        &self,
        ids: impl Stream<Item = String> + Send + 'static,
    ) -> Result<Items<(String, Option<Movie>)>, Error> {
        // Shared, as a call that finds no connection is made anew; only one that has left takes ids.
        let ids = Arc::new(Mutex::new(Box::pin(ids)));
        let open = Open::default();
        let send = |channel, request: tonic::Request<()>| {
            let (ids, open) = (Arc::clone(&ids), open.clone());
            let ids = poll_fn(move |cx| {
                let id = ready!(ids.lock().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(cx));
                open.asked();
                Poll::Ready(id)
            });
            let request = request.map(|()| ids.map(|id| v1::LookupMoviesRequest { id }));
            async move { catalog(channel).lookup_movies(request).await }
        };
        let messages = self.caller.stream(Repeat::Never, (), true, send).await?;
        let deadline = self.caller.deadline();
        Ok(Box::pin(try_unfold((messages, open), move |(mut messages, open)| async move {
            let answer = loop {
                let before = open.questions();
                match timeout(deadline, messages.next()).await {
                    Ok(answer) => break answer?,
                    // Whoever asks may take its time, but not whoever answers.
                    Err(_) if before == 0 => {}
                    Err(_) => return Err(messages.late(deadline)),
                }
            };
            open.answered();
            Ok(answer.map(|answer| ((answer.id, answer.movie.map(Movie::from)), (messages, open))))
        })))
    }

    /// Lists movies page by page, all at one revision (`ListMovies`). The next page is asked for while one is used.
    ///
    /// # Errors
    ///
    /// The stream ends with [`Error::Invalid`] if the query makes no sense, [`Error::ListExpired`], or why a call failed.
    #[must_use]
    pub fn pages(&self, query: Query) -> Items<Page> {
        let client = self.clone();
        let ask = move |pages: &mut JoinSet<_>, token: String, peer: Option<Arc<Peer>>| {
            let (client, query) = (client.clone(), query.clone());
            pages.spawn(async move { client.list_movies(query, token, peer.as_ref()).await });
        };
        // One task, which ends with the stream.
        let mut pages = JoinSet::new();
        ask(&mut pages, String::new(), None);
        Box::pin(try_unfold((ask, pages, String::new()), |(ask, mut pages, asked)| async move {
            let Some(page) = pages.join_next().await else { return Ok(None) };
            let (page, next, peer) = page.map_err(|_| Error::Config("a task has failed".to_owned()))??;
            if !next.is_empty() {
                if next == asked {
                    let message = "it gives the same page again and again".to_owned();
                    return Err(Error::Failed { address: peer.name.clone(), code: Code::Internal, message });
                }
                // Whoever gave a page knows how the list was then, for certain.
                ask(&mut pages, next.clone(), Some(peer));
            }
            Ok(Some((page, (ask, pages, next))))
        }))
    }

    /// Returns the first page of a list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the query makes no sense, or why the call failed.
    pub async fn first_page(&self, query: Query) -> Result<Page, Error> {
        self.list_movies(query, String::new(), None).await.map(|(page, _, _)| page)
    }

    /// Returns a page, what to ask for the next one with, and who has given it.
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
        let (found, peer) = self.caller.unary_at(peer, Repeat::Safe, request, send).await?;
        let total = u64::try_from(found.total_size).unwrap_or_default();
        let movies = found.movies.into_iter().map(Movie::from).collect();
        Ok((Page { movies, total }, found.next_page_token, peer))
    }

    /// Lists movies one by one, as [`Client::pages`] does.
    #[must_use]
    pub fn list(&self, query: Query) -> Items<Movie> {
        Box::pin(self.pages(query).map_ok(|page| iter(page.movies.into_iter().map(Ok))).try_flatten())
    }

    /// Adds a movie and returns it as it is now (`CreateMovie`). Without an id, the service makes one. If the answer is
    /// lost, the movie is sent again and added once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let client = Service::writable().await.client();
    /// use movie_client::Movie;
    ///
    /// let movie = Movie { title: "Alien".to_owned(), year: Some(1979), ..Movie::default() };
    /// let movie = client.create(movie).await?;
    /// println!("it is {} from now on", movie.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`], [`Error::Invalid`], [`Error::ReadOnly`], or why the call failed.
    pub async fn create(&self, movie: Movie) -> Result<Movie, Error> {
        let request_id = uuid::Uuid::new_v4().to_string();
        let request = v1::CreateMovieRequest { movie: Some(movie.into()), request_id };
        let send = |channel, request| async move { catalog(channel).create_movie(request).await };
        self.caller.unary(Repeat::Safe, request, send).await.map(Movie::from)
    }

    /// Changes these fields of the movie that has its id, and returns it as it is now (`UpdateMovie`). If the movie has
    /// an etag, it is changed only if that is still its etag.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let client = Service::writable().await.client();
    /// # client.create(Movie { id: "alien".to_owned(), title: "Alien".to_owned(), ..Movie::default() }).await?;
    /// # use movie_client::Movie;
    /// use movie_client::{Error, Field};
    ///
    /// // Reads, changes and writes again, unless somebody else has changed the movie meanwhile: it has its etag with it.
    /// let mut movie = client.get("alien").await?;
    /// movie.rating = Some(8.5);
    /// match client.update(movie, &[Field::Rating]).await {
    ///     Ok(movie) => assert_eq!(movie.rating, Some(8.5)),
    ///     Err(Error::Conflict { .. }) => println!("somebody was faster: read it again"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Conflict`], [`Error::Invalid`], [`Error::ReadOnly`], or why the call failed.
    pub async fn update(&self, movie: Movie, fields: &[Field]) -> Result<Movie, Error> {
        let paths = fields.iter().map(|field| field.name().to_owned()).collect();
        self.write(movie, paths, false).await
    }

    /// Adds a movie, or replaces the one that has its id, and returns it as it is now (`UpdateMovie`). If the movie has
    /// an etag, one that is there is replaced only if that is still its etag.
    ///
    /// # Errors
    ///
    /// As of [`Client::update`].
    pub async fn put(&self, movie: Movie) -> Result<Movie, Error> {
        self.write(movie, vec!["*".to_owned()], true).await
    }

    async fn write(&self, movie: Movie, paths: Vec<String>, allow_missing: bool) -> Result<Movie, Error> {
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = v1::UpdateMovieRequest { movie: Some(movie.into()), update_mask, allow_missing };
        let send = |channel, request| async move { catalog(channel).update_movie(request).await };
        self.caller.unary(Repeat::Never, request, send).await.map(Movie::from)
    }

    /// Removes a movie (`DeleteMovie`); with an etag, only if that is still its etag.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Conflict`], [`Error::ReadOnly`], or why the call failed.
    pub async fn delete(&self, id: impl Into<String>, etag: Option<String>) -> Result<(), Error> {
        let etag = etag.unwrap_or_default();
        let request = v1::DeleteMovieRequest { id: id.into(), etag, allow_missing: false };
        let send = |channel, request| async move { catalog(channel).delete_movie(request).await };
        self.caller.unary(Repeat::Never, request, send).await
    }

    /// Adds the movies that are not there and replaces those that are (`ImportMovies`). A movie that cannot be taken is
    /// counted and named. What is cut off is sent again, and then counted as unchanged where it had arrived: some ten
    /// thousand movies at a time are a good size. The deadline is for the answer to all of them.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let client = Service::writable().await.client();
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
    /// [`Error::ReadOnly`], or why the call failed.
    pub async fn import(&self, movies: impl IntoIterator<Item = Movie>) -> Result<Imported, Error> {
        let messages = messages(movies);
        let send = |channel, request: tonic::Request<Vec<_>>| async move {
            catalog(channel).import_movies(request.map(tokio_stream::iter)).await
        };
        self.caller.unary(Repeat::Safe, messages, send).await.map(Imported::from)
    }

    /// Follows the changes of the catalogue, each once and in order (`WatchMovies`). When the connection is cut or the
    /// service stops, the stream goes on where it was, for as long as it takes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let client = Service::writable().await.client();
    /// # client.create(movie_client::Movie { title: "Alien".to_owned(), ..Default::default() }).await?;
    /// use movie_client::{Event, Start};
    /// use tokio_stream::StreamExt;
    ///
    /// // All movies, and then every change. To go on later, keep the last resume token and begin with `Start::Resume`.
    /// let mut changes = client.watch(Start::Copy).await?;
    /// while let Some(change) = changes.try_next().await? {
    ///     match change.event {
    ///         Event::Upserted(movie) => println!("{} is there as of revision {}", movie.title, change.revision),
    ///         Event::Deleted(id) => println!("{id} is gone"),
    ///         Event::CaughtUp => break, // That was all for now; others would go on.
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`], [`Error::RevisionUnknown`], or why the first call failed.
    pub async fn watch(&self, start: Start) -> Result<Items<Change>, Error> {
        watch::follow(Arc::clone(&self.caller), start).await
    }

    /// Returns what there is to know of the catalogue as a whole (`GetCatalog`).
    ///
    /// # Errors
    ///
    /// Why the call failed.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        let send = |channel, request| async move { catalog(channel).get_catalog(request).await };
        self.caller.unary(Repeat::Safe, v1::GetCatalogRequest {}, send).await.map(Catalog::from)
    }

    /// Returns whether a gRPC service can be called, such as `movie.catalog.v1.MovieCatalog`; "" is all of them.
    ///
    /// # Errors
    ///
    /// Why the call failed.
    pub async fn health(&self, service: impl Into<String>) -> Result<Health, Error> {
        let request = HealthCheckRequest { service: service.into() };
        let send = |channel, request| async move { HealthClient::new(channel).check(request).await };
        match self.caller.unary(Repeat::Safe, request, send).await {
            Ok(answer) if answer.status() == ServingStatus::Serving => Ok(Health::Serving),
            Ok(_) => Ok(Health::NotServing),
            Err(Error::NotFound { .. }) => Ok(Health::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Returns a movie by the course's contract (`GetMovieByID`), or `None`. It has the first four fields only.
    ///
    /// # Errors
    ///
    /// Why the call failed.
    pub async fn course_get(&self, id: impl Into<String>) -> Result<Option<Movie>, Error> {
        let send = |channel, request| async move { MovieClient::new(channel).get_movie_by_id(request).await };
        let movie = self.caller.unary(Repeat::Safe, MovieId { id: id.into() }, send).await?;
        // The contract: a movie without an id is no movie.
        Ok(Some(movie).filter(|movie| !movie.id.is_empty()).map(Movie::from))
    }

    /// Lists all movies by the course's contract (`GetListMovies`). They have the first four fields only.
    ///
    /// # Errors
    ///
    /// Why the call failed; the stream may also end with it.
    pub async fn course_list(&self) -> Result<Items<Movie>, Error> {
        let send = |channel, request| async move { MovieClient::new(channel).get_list_movies(request).await };
        let messages = self.caller.stream(Repeat::Safe, Empty {}, false, send).await?;
        Ok(Box::pin(try_unfold(messages, async |mut messages| {
            Ok(messages.next().await?.map(|movie| (Movie::from(movie), messages)))
        })))
    }
}
