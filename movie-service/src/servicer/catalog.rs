//! The servicer of `movie.catalog.v1.MovieCatalog`.

use std::pin::Pin;
use std::sync::Arc;

use movie_proto::catalog::v1::import_movies_response::Rejection;
use movie_proto::catalog::v1::movie_catalog_server::MovieCatalog;
use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, BatchGetMoviesResponse, Catalog, CreateMovieRequest, DeleteMovieRequest,
    GetCatalogRequest, GetMovieRequest, ImportMoviesRequest, ImportMoviesResponse, ListMoviesRequest,
    ListMoviesResponse, LookupMoviesRequest, LookupMoviesResponse, Movie, UpdateMovieRequest,
    WatchMoviesRequest, WatchMoviesResponse,
};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::catalogue::{Catalogue, Record};
use crate::movie::{self, Violation};
use crate::servicer::error::CallError;
use crate::servicer::list::{MAX_PAGE_BYTES, Pages, size};
use crate::servicer::{convert, watch as watches};
use crate::store::{Command, Outcome, Rejection as Rejected, Store};

/// The most ids of a batch.
const MAX_BATCH_IDS: usize = 1_000;

/// The most rejections that an import names.
const MAX_NAMED_REJECTIONS: usize = 100;

/// Answers the calls of `MovieCatalog`: reads from the catalogue, writes through the store.
#[derive(Clone, Debug)]
pub struct CatalogServicer {
    catalogue: Arc<Catalogue>,
    store: Store,
    pages: Pages,
    /// Dropped when the service stops.
    stopping: watch::Receiver<bool>,
    /// How many changes a watcher may be behind.
    most_behind: usize,
}

impl CatalogServicer {
    /// Serves reads from `catalogue`, the replica of `store`. Watches end when the sender of `stopping` is dropped,
    /// or when their callers are more than `most_behind` changes behind.
    #[must_use]
    pub fn new(
        catalogue: Arc<Catalogue>,
        store: Store,
        stopping: watch::Receiver<bool>,
        most_behind: usize,
    ) -> Self {
        Self { pages: Pages::of(catalogue.clone()), catalogue, store, stopping, most_behind }
    }

    async fn write_one(&self, command: Command) -> Result<Response<Movie>, Status> {
        match self.store.write(command).await.map_err(CallError::from)? {
            Outcome::Movie(record) => Ok(Response::new(convert::response(&record))),
            Outcome::Deleted | Outcome::Imported(_) => Ok(Response::new(Movie::default())),
        }
    }

    fn batch(&self, ids: &[String]) -> Result<Vec<Movie>, CallError> {
        if ids.len() > MAX_BATCH_IDS {
            let expected = format!("expected at most {MAX_BATCH_IDS}, not {}", ids.len());
            return Err(vec![Violation::new("ids", expected)].into());
        }
        let found = self.catalogue.snapshot();
        let found: Vec<_> = ids.iter().map(|id| found.get(id).as_ref().map(Record::new).ok_or(id)).collect();
        let missing: Vec<_> = found.iter().filter_map(|found| found.as_ref().err()).collect();
        if !missing.is_empty() {
            return Err(CallError::Missing(missing.into_iter().map(|id| (*id).clone()).collect()));
        }
        let found: Vec<_> = found.into_iter().flatten().collect();
        let bytes = found.iter().map(size).sum();
        if bytes > MAX_PAGE_BYTES {
            return Err(CallError::TooLarge { bytes, most: MAX_PAGE_BYTES });
        }
        Ok(found.iter().map(convert::response).collect())
    }

    fn get(&self, id: &str) -> Option<Movie> {
        self.catalogue.read(|movies| movies.get(id).as_ref().map(Record::new)).as_ref().map(convert::response)
    }

    async fn import(
        &self,
        mut requests: Streaming<ImportMoviesRequest>,
    ) -> Result<ImportMoviesResponse, Status> {
        let mut answer = ImportMoviesResponse::default();
        let mut index = 0;
        while let Some(ImportMoviesRequest { movies }) = requests.message().await? {
            let sent = movies.len();
            let Outcome::Imported(imported) = self
                .store
                .write(Command::Import(movies.into_iter().map(|movie| convert::movie(movie).0).collect()))
                .await
                .map_err(CallError::from)?
            else {
                continue;
            };
            answer.created += signed(imported.created);
            answer.updated += signed(imported.updated);
            answer.unchanged += signed(imported.unchanged);
            answer.rejected += signed(imported.rejected.len() as u64);
            let named = imported.rejected.into_iter().map(|Rejected { index: number, id, reason }| {
                Rejection { index: signed(index + number as u64), id, reason }
            });
            let room = MAX_NAMED_REJECTIONS - answer.rejections.len();
            answer.rejections.extend(named.take(room));
            index += sent as u64;
        }
        Ok(answer)
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MovieCatalog for CatalogServicer {
    async fn get_movie(&self, request: Request<GetMovieRequest>) -> Result<Response<Movie>, Status> {
        let id = request.into_inner().id;
        if id.is_empty() {
            let expected = Violation::new("id", format!("expected {}", movie::ID));
            return Err(CallError::from(vec![expected]).into());
        }
        let movie = self.get(&id).ok_or(CallError::Missing(vec![id]))?;
        Ok(Response::new(movie))
    }

    async fn batch_get_movies(
        &self,
        request: Request<BatchGetMoviesRequest>,
    ) -> Result<Response<BatchGetMoviesResponse>, Status> {
        let movies = self.batch(&request.get_ref().ids)?;
        Ok(Response::new(BatchGetMoviesResponse { movies }))
    }

    type LookupMoviesStream = Answers<LookupMoviesResponse>;

    async fn lookup_movies(
        &self,
        request: Request<Streaming<LookupMoviesRequest>>,
    ) -> Result<Response<Self::LookupMoviesStream>, Status> {
        let servicer = self.clone();
        let answers = request.into_inner().map(move |request| {
            let id = request?.id;
            Ok(LookupMoviesResponse { movie: servicer.get(&id), id })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_movies(
        &self,
        request: Request<ListMoviesRequest>,
    ) -> Result<Response<ListMoviesResponse>, Status> {
        Ok(Response::new(self.pages.list(request.into_inner()).await?))
    }

    async fn create_movie(&self, request: Request<CreateMovieRequest>) -> Result<Response<Movie>, Status> {
        let CreateMovieRequest { movie, request_id } = request.into_inner();
        let (movie, _) = convert::movie(movie.unwrap_or_default());
        self.write_one(Command::Create { movie, request_id }).await
    }

    async fn update_movie(&self, request: Request<UpdateMovieRequest>) -> Result<Response<Movie>, Status> {
        let UpdateMovieRequest { movie, update_mask, allow_missing } = request.into_inner();
        let (movie, etag) = convert::movie(movie.unwrap_or_default());
        let fields = convert::fields(&movie, update_mask.as_ref()).map_err(CallError::from)?;
        self.write_one(Command::Update { movie, etag, fields, allow_missing }).await
    }

    async fn delete_movie(&self, request: Request<DeleteMovieRequest>) -> Result<Response<()>, Status> {
        let DeleteMovieRequest { id, etag, allow_missing } = request.into_inner();
        let delete = Command::Delete { id, etag, allow_missing };
        self.store.write(delete).await.map_err(CallError::from)?;
        Ok(Response::new(()))
    }

    async fn import_movies(
        &self,
        request: Request<Streaming<ImportMoviesRequest>>,
    ) -> Result<Response<ImportMoviesResponse>, Status> {
        if self.store.is_read_only() {
            return Err(CallError::Write(crate::store::WriteError::ReadOnly).into());
        }
        Ok(Response::new(self.import(request.into_inner()).await?))
    }

    type WatchMoviesStream = Answers<WatchMoviesResponse>;

    async fn watch_movies(
        &self,
        request: Request<WatchMoviesRequest>,
    ) -> Result<Response<Self::WatchMoviesStream>, Status> {
        let (catalogue, stopping) = (self.catalogue.clone(), self.stopping.clone());
        let messages = watches::begin(catalogue, request.get_ref(), self.most_behind, stopping);
        let messages = ReceiverStream::new(messages).map(|message| message.map_err(Status::from));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_catalog(&self, _: Request<GetCatalogRequest>) -> Result<Response<Catalog>, Status> {
        let (revision, movies) = self.catalogue.read(|movies| (movies.revision(), movies.len()));
        Ok(Response::new(Catalog {
            revision: revision.to_i64(),
            movie_count: signed(movies as u64),
            store: self.store.name().to_owned(),
            read_only: self.store.is_read_only(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
