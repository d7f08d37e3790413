//! A client that keeps a copy of the movies with a watch, as the contract describes.

use std::collections::HashMap;
use std::time::Duration;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{Movie, WatchMoviesRequest};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::stores::{TIMEOUT, reason};
use crate::support::catalog::Stub;

/// A copy of the movies.
#[derive(Default)]
pub(super) struct Copy {
    pub(super) movies: HashMap<String, Movie>,
    /// Number of times that the copy was started again, because the history had changed.
    pub(super) restarts: usize,
    resume_token: String,
}

/// Follows a node in the background until the copy is complete and has the movie `last`.
pub(super) fn follow(mut client: Stub, last: &'static str) -> JoinHandle<Copy> {
    tokio::spawn(async move {
        let following = async {
            let mut copy = Copy::default();
            let mut start = Start::FullCopy(true);
            while let Err(status) = copy.watch(&mut client, start, last).await {
                start = if status.code() == Code::Unavailable && !copy.resume_token.is_empty() {
                    Start::ResumeToken(copy.resume_token.clone())
                } else {
                    assert_eq!(
                        (status.code(), &*reason(&status)),
                        (Code::OutOfRange, "HISTORY_CHANGED"),
                        "{status}"
                    );
                    copy.restarts += 1;
                    Start::FullCopy(true)
                };
                sleep(Duration::from_millis(20)).await;
            }
            copy
        };
        timeout(TIMEOUT, following).await.expect("the copy is not complete")
    })
}

impl Copy {
    async fn watch(&mut self, client: &mut Stub, start: Start, last: &str) -> Result<(), Status> {
        if start == Start::FullCopy(true) {
            self.movies.clear();
        }
        let request = WatchMoviesRequest { start: Some(start) };
        let mut watch = client.watch_movies(request).await?.into_inner();
        while self.resume_token.is_empty() || !self.movies.contains_key(last) {
            let message = watch.message().await?.ok_or_else(|| Status::unavailable("the watch ended"))?;
            match message.event.unwrap() {
                Event::Upserted(movie) => drop(self.movies.insert(movie.id.clone(), movie)),
                Event::DeletedId(id) => drop(self.movies.remove(&id)),
                Event::CaughtUp(_) => {}
            }
            // It is empty until a full copy is complete.
            self.resume_token = message.resume_token;
        }
        Ok(())
    }
}
