//! Calls of the benchmark, with a check of their responses.

use anyhow::ensure;
use tokio_stream::StreamExt;

use super::args::Call;
use crate::{Client, Error, Movie, Query, ResponseStream};

/// Number of movies, from the beginning of the catalogue, whose ids are requested.
const MAX_IDS: usize = 10_000;

/// The calls to measure.
pub(super) struct Workload {
    call: Call,
    /// Ids to request; empty for lists.
    ids: Vec<String>,
    /// Number of movies in a list.
    list_length: u64,
}

/// Result of a call that the service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallResult {
    pub(super) movies: u64,
    pub(super) is_correct: bool,
}

impl Workload {
    /// Requests the ids, or the length of a list.
    ///
    /// # Errors
    ///
    /// [`Error`] if a call fails, and an error if the catalogue is empty.
    pub(super) async fn prepare(client: &Client, call: Call) -> anyhow::Result<Self> {
        let mut workload = Self { call, ids: Vec::new(), list_length: 0 };
        if call.is_list() {
            workload.list_length = workload.call(client, 0).await?.movies;
            return Ok(workload);
        }
        workload.ids = match ids(client.list(Query::default())).await {
            // A server of the course implements only the course's contract.
            Err(Error::Unimplemented { .. }) if call == Call::CourseGet => {
                ids(client.course_list().await?).await?
            }
            found => found?,
        };
        ensure!(!workload.ids.is_empty(), "the catalogue has no movies; import some first");
        Ok(workload)
    }

    /// Makes the call with this number, and checks its response.
    ///
    /// # Errors
    ///
    /// The error of the call.
    pub(super) async fn call(&self, client: &Client, number: u64) -> Result<CallResult, Error> {
        match self.call {
            Call::Get => {
                let id = self.random_id(number);
                client.get(id).await.map(|movie| check_movie(Some(&movie), id))
            }
            Call::CourseGet => {
                let id = self.random_id(number);
                client.course_get(id).await.map(|movie| check_movie(movie.as_ref(), id))
            }
            Call::Page => {
                let page = client.first_page(Query::default()).await?;
                Ok(self.check_list(page.movies.len() as u64))
            }
            Call::CourseList => {
                let (mut movies, mut list_length) = (client.course_list().await?, 0);
                while movies.next().await.transpose()?.is_some() {
                    list_length += 1;
                }
                Ok(self.check_list(list_length))
            }
        }
    }

    /// Returns a pseudorandom id, which is a function of the number.
    fn random_id(&self, number: u64) -> &str {
        let index = mix(number) % (self.ids.len() as u64).max(1);
        usize::try_from(index).ok().and_then(|index| self.ids.get(index)).map_or("", String::as_str)
    }

    fn check_list(&self, movies: u64) -> CallResult {
        CallResult { movies, is_correct: movies == self.list_length }
    }
}

/// Checks a movie: it must have the requested id and a title.
fn check_movie(movie: Option<&Movie>, id: &str) -> CallResult {
    let is_correct = movie.is_some_and(|movie| movie.id == id && !movie.title.is_empty());
    CallResult { movies: movie.is_some().into(), is_correct }
}

async fn ids(movies: ResponseStream<Movie>) -> Result<Vec<String>, Error> {
    movies.take(MAX_IDS).map(|movie| movie.map(|movie| movie.id)).collect().await
}

/// Hashes a number: the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_movies_are_requested_in_pseudorandom_order() {
        let ids: Vec<String> = (0..100).map(|id| format!("{id}")).collect();
        let workload = Workload { call: Call::Get, ids: ids.clone(), list_length: 0 };
        let requested: Vec<&str> = (0..2000).map(|number| workload.random_id(number)).collect();
        assert_eq!(requested.iter().collect::<HashSet<_>>().len(), 100);
        assert_ne!(requested[..100], ids);
        assert_eq!(workload.random_id(7), workload.random_id(7));
    }

    #[test]
    fn a_movie_is_correct_with_the_requested_id_and_a_title() {
        let movie = |id: &str, title: &str| Movie { id: id.into(), title: title.into(), ..Movie::default() };
        assert_eq!(check_movie(Some(&movie("a", "A")), "a"), CallResult { movies: 1, is_correct: true });
        for wrong in [Some(movie("b", "B")), Some(movie("a", "")), None] {
            assert!(!check_movie(wrong.as_ref(), "a").is_correct, "{wrong:?}");
        }
    }

    #[test]
    fn a_list_is_correct_with_the_initial_number_of_movies() {
        let workload = Workload { call: Call::Page, ids: Vec::new(), list_length: 7 };
        assert!(workload.check_list(7).is_correct);
        assert!(!workload.check_list(6).is_correct);
    }
}
