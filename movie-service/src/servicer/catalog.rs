//! The servicer of `movie.catalog.v1.MovieCatalog`. [`server`] makes a service of it; `lookups` responds
//! to the ids of a stream.

mod lookups;
pub mod server;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use movie_proto::catalog::v1::movie_catalog_server::MovieCatalog;
use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, BatchGetMoviesResponse, Catalog, CreateMovieRequest, DeleteMovieRequest,
    GetCatalogRequest, GetMovieRequest, ImportMoviesRequest, ImportMoviesResponse, ListMoviesRequest,
    ListMoviesResponse, LookupMoviesRequest, LookupMoviesResponse, Movie, SearchMoviesRequest,
    SearchMoviesResponse, UpdateMovieRequest, WatchMoviesRequest, WatchMoviesResponse,
};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::catalogue::encoding::frame;
use crate::catalogue::{Catalogue, Record};
use crate::movie::MovieId;
use crate::servicer::encoded::Encoded;
use crate::servicer::error::CallError;
use crate::servicer::list::Pages;
use crate::servicer::search::Searches;
use crate::servicer::watch::Watches;
use crate::servicer::{batch, convert, import};
use crate::store::{Command, Outcome, Store};
use crate::telemetry::search_metrics::SearchMetrics;
use crate::telemetry::watch_metrics::WatchMetrics;

/// Implements `MovieCatalog`: reads from the catalogue, writes through the store. Its methods only decode requests and
/// encode responses.
#[derive(Clone, Debug)]
pub struct CatalogServicer {
    catalogue: Arc<Catalogue>,
    store: Store,
    pages: Pages,
    /// `None` if search is off.
    searches: Option<Searches>,
    watches: Watches,
}

impl CatalogServicer {
    /// Serves reads from `catalogue`, the replica of `store`. Watches end when the sender of `stopping` is dropped,
    /// or when their callers are more than `max_watch_lag` changes behind.
    #[must_use]
    pub fn new(
        catalogue: Arc<Catalogue>,
        store: Store,
        stopping: watch::Receiver<bool>,
        max_watch_lag: usize,
    ) -> Self {
        Self {
            pages: Pages::new(catalogue.clone()),
            searches: None,
            watches: Watches::new(catalogue.clone(), stopping, max_watch_lag),
            catalogue,
            store,
        }
    }

    /// Serves searches, too, and counts them in `metrics`. The index must be built by [`Catalogue::start_indexing`].
    #[must_use]
    pub fn with_search(self, metrics: SearchMetrics) -> Self {
        Self { searches: Some(Searches::new(self.catalogue.clone(), metrics)), ..self }
    }

    /// Counts watches in `metrics`.
    #[must_use]
    pub fn with_watch_metrics(self, metrics: WatchMetrics) -> Self {
        Self { watches: self.watches.with_metrics(metrics), ..self }
    }

    /// Returns the part that serves watches.
    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// `BatchGetMovies`, encoded.
    pub(super) fn batch(
        &self,
        request: &BatchGetMoviesRequest,
    ) -> Result<Encoded<BatchGetMoviesResponse>, Status> {
        Ok(batch::get(&self.catalogue, &request.ids)?)
    }

    /// Reads the memory that responses to these ids need, so that it is in the cache.
    pub(super) fn prefetch<'i>(&self, ids: impl Iterator<Item = &'i [u8]>) {
        self.catalogue.read(|movies| movies.prefetch(ids));
    }

    /// A response of `LookupMovies`, encoded.
    pub(super) fn look_up(
        &self,
        LookupMoviesRequest { id }: LookupMoviesRequest,
    ) -> Encoded<LookupMoviesResponse> {
        /// The number of the field `movie` of a response.
        const MOVIE: u32 = 2;
        let mut response = Encoded::new(LookupMoviesResponse { id, movie: None });
        self.catalogue.read(|movies| {
            if let Some(movie) = movies.stored(response.rest.id.as_bytes()) {
                response.add_movie(MOVIE, movie);
            }
        });
        response
    }

    /// `ListMovies`, encoded.
    pub(super) async fn list(
        &self,
        request: ListMoviesRequest,
    ) -> Result<Encoded<ListMoviesResponse>, Status> {
        Ok(self.pages.list(request).await?)
    }

    /// `SearchMovies`, encoded.
    pub(super) async fn search(
        &self,
        request: SearchMoviesRequest,
    ) -> Result<Encoded<SearchMoviesResponse>, Status> {
        let searches = self.searches.as_ref().ok_or(CallError::SearchOff)?;
        Ok(searches.search(request).await?)
    }

    /// Writes a movie, and returns it as a gRPC frame; an empty one if it was deleted.
    pub(crate) fn write_encoded(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + use<> {
        let store = self.store.clone();
        async move {
            match store.write(command).await? {
                Outcome::Movie(record) => Ok(record.stored().full_frame().into()),
                Outcome::Deleted | Outcome::Imported(_) => Ok(Bytes::from_static(frame::EMPTY)),
            }
        }
    }

    async fn write_one(&self, command: Command) -> Result<Response<Movie>, Status> {
        match self.store.write(command).await.map_err(CallError::from)? {
            Outcome::Movie(record) => Ok(Response::new(convert::response(&record))),
            // Unreachable: creates and updates return a movie.
            Outcome::Deleted | Outcome::Imported(_) => Ok(Response::new(Movie::default())),
        }
    }

    fn get(&self, id: &str) -> Option<Movie> {
        self.catalogue.read(|movies| movies.get(id).as_ref().map(Record::new)).as_ref().map(convert::response)
    }
}

/// Returns the command of a `CreateMovie`.
pub(crate) fn create(CreateMovieRequest { movie, request_id }: CreateMovieRequest) -> Command {
    let (movie, _) = convert::movie(movie.unwrap_or_default());
    Command::Create { movie, request_id }
}

/// Returns the command of an `UpdateMovie`.
pub(crate) fn update(
    UpdateMovieRequest { movie, update_mask, allow_missing }: UpdateMovieRequest,
) -> Result<Command, CallError> {
    let (movie, etag) = convert::movie(movie.unwrap_or_default());
    let fields = convert::fields(&movie, update_mask.as_ref())?;
    Ok(Command::Update { movie, etag, fields, allow_missing })
}

/// Returns the command of a `DeleteMovie`.
pub(crate) fn delete(DeleteMovieRequest { id, etag, allow_missing }: DeleteMovieRequest) -> Command {
    Command::Delete { id, etag, allow_missing }
}

/// Whether the caller may write; an extension of requests that ask for it.
#[derive(Clone, Copy, Debug)]
pub struct MayWrite(pub bool);

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MovieCatalog for CatalogServicer {
    async fn get_movie(&self, request: Request<GetMovieRequest>) -> Result<Response<Movie>, Status> {
        let id = request.into_inner().id;
        if id.is_empty() {
            let expected = MovieId::violation("id");
            return Err(CallError::from(vec![expected]).into());
        }
        let movie = self.get(&id).ok_or(CallError::Missing(vec![id]))?;
        Ok(Response::new(movie))
    }

    async fn batch_get_movies(
        &self,
        request: Request<BatchGetMoviesRequest>,
    ) -> Result<Response<BatchGetMoviesResponse>, Status> {
        self.batch(request.get_ref()).map(|response| Response::new(response.decoded()))
    }

    type LookupMoviesStream = ResponseStream<LookupMoviesResponse>;

    async fn lookup_movies(
        &self,
        request: Request<Streaming<LookupMoviesRequest>>,
    ) -> Result<Response<Self::LookupMoviesStream>, Status> {
        let servicer = self.clone();
        let responses = request.into_inner().map(move |request| {
            let id = request?.id;
            Ok(LookupMoviesResponse { movie: servicer.get(&id), id })
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_movies(
        &self,
        request: Request<ListMoviesRequest>,
    ) -> Result<Response<ListMoviesResponse>, Status> {
        self.list(request.into_inner()).await.map(|response| Response::new(response.decoded()))
    }

    async fn search_movies(
        &self,
        request: Request<SearchMoviesRequest>,
    ) -> Result<Response<SearchMoviesResponse>, Status> {
        self.search(request.into_inner()).await.map(|response| Response::new(response.decoded()))
    }

    async fn create_movie(&self, request: Request<CreateMovieRequest>) -> Result<Response<Movie>, Status> {
        self.write_one(create(request.into_inner())).await
    }

    async fn update_movie(&self, request: Request<UpdateMovieRequest>) -> Result<Response<Movie>, Status> {
        self.write_one(update(request.into_inner())?).await
    }

    async fn delete_movie(&self, request: Request<DeleteMovieRequest>) -> Result<Response<()>, Status> {
        self.store.write(delete(request.into_inner())).await.map_err(CallError::from)?;
        Ok(Response::new(()))
    }

    async fn import_movies(
        &self,
        request: Request<Streaming<ImportMoviesRequest>>,
    ) -> Result<Response<ImportMoviesResponse>, Status> {
        Ok(Response::new(import::import(&self.store, request.into_inner()).await?))
    }

    type WatchMoviesStream = ResponseStream<WatchMoviesResponse>;

    async fn watch_movies(
        &self,
        request: Request<WatchMoviesRequest>,
    ) -> Result<Response<Self::WatchMoviesStream>, Status> {
        let messages = self.watches.start(request.into_inner()).into_messages();
        Ok(Response::new(Box::pin(messages.map(|message| message.map_err(Status::from)))))
    }

    async fn get_catalog(&self, request: Request<GetCatalogRequest>) -> Result<Response<Catalog>, Status> {
        let may_write = request.extensions().get().is_some_and(|MayWrite(may_write)| *may_write);
        let (revision, movies) = self.catalogue.read(|movies| (movies.revision(), movies.len()));
        Ok(Response::new(Catalog {
            revision: revision.to_i64(),
            movie_count: (movies as u64).cast_signed(),
            store: self.store.name().to_owned(),
            read_only: self.store.is_read_only(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            can_write: may_write && !self.store.is_read_only(),
        }))
    }
}
