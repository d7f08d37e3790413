//! What is asked of the service, and whether the answer is right.

use anyhow::ensure;
use tokio_stream::StreamExt;

use super::args::Call;
use crate::{Client, Error, Movie, Query, ResponseStream};

/// How many movies are asked for, at most: those at the beginning of the catalogue.
const MOST_IDS: usize = 10_000;

/// What is asked of the service.
pub(super) struct Questions {
    call: Call,
    /// The movies to ask for one by one; none for lists.
    ids: Vec<String>,
    /// How many movies are in a list.
    length: u64,
}

/// What the service has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) movies: u64,
    pub(super) is_right: bool,
}

impl Questions {
    /// Finds out from the service what can be asked.
    ///
    /// # Errors
    ///
    /// [`Error`] if the service cannot tell, and if it has no movies to ask for.
    pub(super) async fn prepare(client: &Client, call: Call) -> anyhow::Result<Self> {
        let mut questions = Self { call, ids: Vec::new(), length: 0 };
        if call.is_list() {
            questions.length = questions.ask(client, 0).await?.movies;
            return Ok(questions);
        }
        questions.ids = match ids(client.list(Query::default())).await {
            // A server of the course has that contract only.
            Err(Error::Unimplemented { .. }) if call == Call::CourseGet => {
                ids(client.course_list().await?).await?
            }
            found => found?,
        };
        ensure!(!questions.ids.is_empty(), "the catalogue has no movie to ask for; import some first");
        Ok(questions)
    }

    /// Asks the question that has this number, and checks the answer.
    ///
    /// # Errors
    ///
    /// Why the call failed.
    pub(super) async fn ask(&self, client: &Client, number: u64) -> Result<Answer, Error> {
        match self.call {
            Call::Get => {
                let id = self.id(number);
                client.get(id).await.map(|movie| one(Some(&movie), id))
            }
            Call::CourseGet => {
                let id = self.id(number);
                client.course_get(id).await.map(|movie| one(movie.as_ref(), id))
            }
            Call::Page => {
                let page = client.first_page(Query::default()).await?;
                Ok(self.list(page.movies.len() as u64))
            }
            Call::CourseList => {
                let (mut movies, mut length) = (client.course_list().await?, 0);
                while movies.next().await.transpose()?.is_some() {
                    length += 1;
                }
                Ok(self.list(length))
            }
        }
    }

    /// Returns one of the ids: any for any number, and always the same for the same.
    fn id(&self, number: u64) -> &str {
        let place = mix(number) % (self.ids.len() as u64).max(1);
        usize::try_from(place).ok().and_then(|place| self.ids.get(place)).map_or("", String::as_str)
    }

    fn list(&self, movies: u64) -> Answer {
        Answer { movies, is_right: movies == self.length }
    }
}

/// The contracts: a movie has the id that was asked for, and a title.
fn one(movie: Option<&Movie>, id: &str) -> Answer {
    let is_right = movie.is_some_and(|movie| movie.id == id && !movie.title.is_empty());
    Answer { movies: movie.is_some().into(), is_right }
}

async fn ids(movies: ResponseStream<Movie>) -> Result<Vec<String>, Error> {
    movies.take(MOST_IDS).map(|movie| movie.map(|movie| movie.id)).collect().await
}

/// Makes a number that looks like chance out of any other: the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014).
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
    fn all_movies_are_asked_for_in_no_order() {
        let ids: Vec<String> = (0..100).map(|id| format!("{id}")).collect();
        let questions = Questions { call: Call::Get, ids: ids.clone(), length: 0 };
        let asked: Vec<&str> = (0..2000).map(|number| questions.id(number)).collect();
        assert_eq!(asked.iter().collect::<HashSet<_>>().len(), 100);
        assert_ne!(asked[..100], ids);
        assert_eq!(questions.id(7), questions.id(7));
    }

    #[test]
    fn an_answer_is_right_with_the_id_that_was_asked_for_and_a_title() {
        let movie = |id: &str, title: &str| Movie { id: id.into(), title: title.into(), ..Movie::default() };
        assert_eq!(one(Some(&movie("a", "A")), "a"), Answer { movies: 1, is_right: true });
        for wrong in [Some(movie("b", "B")), Some(movie("a", "")), None] {
            assert!(!one(wrong.as_ref(), "a").is_right, "{wrong:?}");
        }
    }

    #[test]
    fn a_list_is_right_with_as_many_movies_as_at_first() {
        let questions = Questions { call: Call::Page, ids: Vec::new(), length: 7 };
        assert!(questions.list(7).is_right);
        assert!(!questions.list(6).is_right);
    }
}
