//! MovieLens's data sets: <https://files.grouplens.org/datasets/movielens/ml-latest-README.html>.
//!
//! The movies are in `movies.csv`. The related files in the same directory are optional, and may be compressed:
//! `ratings.csv`, with ratings from half a star to five stars, and `links.csv`, with IMDb's ids.

use std::collections::HashMap;

use super::Rows;
use super::source::Source;
use super::table::{self, Cell};
use crate::Movie;

/// Reads the movies with the means and the numbers of their ratings, and IMDb's ids.
///
/// A rating is doubled, because the service's scale ends at 10. A movie without an id of IMDb gets the id
/// `movielens-` with the number of MovieLens. Trailing articles are moved to the front: `Matrix, The (1999)` becomes
/// `The Matrix`.
///
/// # Errors
///
/// A file that is unreadable or lacks a column, or an error of `rows`.
pub(super) fn read(movies: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let ratings = movies.open_related("ratings.csv", "ratings", rows)?;
    let links = movies.open_related("links.csv", "ids of IMDb", rows)?;
    let ratings = ratings.map(|ratings| read_ratings(ratings, rows)).transpose()?.unwrap_or_default();
    let links = links.map(|links| read_links(links, rows)).transpose()?.unwrap_or_default();
    table::read(movies, ["movieId", "title", "genres"], [], rows, |[id, title, genres], []| {
        let id = id.whole()?;
        let (title, year) = title_and_year(title.text()?);
        let genres = genres.value().map(Cell::text).transpose()?;
        let genres = genres.filter(|genres| *genres != "(no genres listed)");
        let movie = Movie {
            id: links.get(&id).map_or_else(|| format!("movielens-{id}"), |imdb| format!("tt{imdb:07}")),
            title,
            rating: ratings.get(&id).map(Ratings::mean),
            rating_count: ratings.get(&id).map(|ratings| ratings.count.into()),
            year,
            genres: genres.map(|genres| genres.split('|').map(str::to_owned).collect()).unwrap_or_default(),
            ..Movie::default()
        };
        Ok(Some(movie))
    })
}

/// Ratings of a movie, in stars.
#[derive(Default)]
struct Ratings {
    sum: f64,
    count: u32,
}

impl Ratings {
    #[expect(clippy::cast_possible_truncation, reason = "the contract's rating is a float")]
    fn mean(&self) -> f32 {
        (self.sum * 2.0 / f64::from(self.count)) as f32
    }
}

fn read_ratings(ratings: Source, rows: Rows<'_>) -> anyhow::Result<HashMap<u32, Ratings>> {
    let mut all = HashMap::<_, Ratings>::new();
    table::read_related(ratings, ["movieId", "rating"], [], rows, |[movie, rating], []| {
        let stars = |text: &str| text.parse::<f64>().ok().filter(|stars| (0.5..=5.0).contains(stars));
        let (movie, stars) = (movie.whole()?, rating.parsed("a number from 0.5 to 5", stars)?);
        let ratings = all.entry(movie).or_default();
        ratings.sum += stars;
        ratings.count += 1;
        Ok(())
    })?;
    Ok(all)
}

/// Returns the numbers in IMDb's ids, by the ids of MovieLens.
fn read_links(links: Source, rows: Rows<'_>) -> anyhow::Result<HashMap<u32, u32>> {
    let mut all = HashMap::new();
    table::read_related(links, ["movieId", "imdbId"], [], rows, |[movie, imdb], []| {
        if let Some(imdb) = imdb.value() {
            all.insert(movie.whole()?, imdb.whole()?);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Splits `Name (Year)`. Without a year, the whole text is the title.
fn title_and_year(text: &str) -> (String, Option<u32>) {
    let text = text.trim();
    let apart = text.strip_suffix(')').and_then(|text| text.rsplit_once('('));
    let year = apart.filter(|(_, year)| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()));
    match year {
        Some((title, year)) => (with_article(title.trim_end()), year.parse().ok()),
        None => (with_article(text), None),
    }
}

/// Articles that may trail a title, in the form that they have at the front.
const ARTICLES: [&str; 28] = [
    "The ", "A ", "An ", "Les ", "La ", "Le ", "L'", "Un ", "Une ", "El ", "Los ", "Las ", "Una ", "Il ",
    "Lo ", "Gli ", "Der ", "Die ", "Das ", "Ein ", "Eine ", "De ", "Het ", "Den ", "Det ", "En ", "O ",
    "Os ",
];

/// Moves a trailing article to the front: `Matrix, The`. Another name in brackets may follow: `City, The (Ville,
/// La)`.
fn with_article(title: &str) -> String {
    for end in [Some(title.len()), title.find(" (")].into_iter().flatten() {
        let (name, rest) = title.split_at(end);
        for article in ARTICLES {
            let name = name.strip_suffix(article.trim_end()).and_then(|name| name.strip_suffix(", "));
            if let Some(name) = name {
                return format!("{article}{name}{rest}");
            }
        }
    }
    title.to_owned()
}
