//! The course's two calls.

use std::io::Write;

use anyhow::Result;

use super::failure::Exit;
use super::output::text_format;
use super::print_notice;
use super::stream::print_stream;
use crate::{Client, Movie};

/// Id that the course's client requests: The Martian.
const COURSE_ID: &str = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/// Makes the course's two calls, and prints the output of the course's client.
pub(super) async fn run(client: &Client, out: &mut impl Write) -> Result<Exit> {
    let movie = client.course_get(COURSE_ID).await?;
    if movie.is_none() {
        print_notice(&format!(
            "no movie has the course's id {COURSE_ID}; `list` and `get ID` show other databases than databases/movies.json"
        ));
    }
    let movie = movie.unwrap_or_default();
    writeln!(out, "----- GetMovieByID -----")?;
    writeln!(out, "{}", text_format::movie(&movie))?;
    writeln!(out, "----- GetListMovies -----")?;
    print_stream(client.course_list().await?, out, |out, movie: Option<Movie>| match movie {
        Some(movie) => writeln!(out, "Movie called {}", text_format::line(&movie.title)),
        None => out.flush(),
    })
    .await?;
    Ok(Exit::Done)
}
