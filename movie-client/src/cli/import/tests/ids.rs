//! Ids of movies that have none.

use super::*;
use crate::cli::import::ids::ID_NAMESPACE;

fn with_ids(text: &str) -> (Vec<Movie>, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, text).unwrap();
    read_with_ids(&[file], true).unwrap()
}

#[test]
fn an_id_is_generated_from_title_year_and_director_as_documented() {
    let (movies, wrong) = with_ids(
        "{\"title\": \"Amélie\", \"year\": 2001.0, \"director\": \"Jean-Pierre Jeunet\"}\n\
         {\"id\": null, \"title\": \"Ran\", \"rating\": 8.2}\n{\"id\": \"\", \"title\": \"Ran\", \"rating\": 8.2}\n\
         {\"id\": 7, \"title\": \"Ran\"}\n{\"year\": 1999}\n",
    );
    // As `uuid.uuid5` of Python makes them.
    let (amelie, ran) = ("a3f47c91-7620-5d6a-ac3c-61b92da66b55", "b7e69411-cc1b-5c85-a533-195dd07a67b7");
    assert_eq!(ids(&movies), [amelie, ran, ran, "7"]);
    assert_eq!(wrong, ["file:5: the movie has neither an id nor a title from which to generate one"]);
    let document = include_str!("../../../../../docs/client.md");
    assert!(document.contains(amelie) && document.contains(&ID_NAMESPACE.to_string()));
}

#[test]
fn the_second_of_two_different_movies_with_the_same_generated_id_is_rejected() {
    let text = "{\"title\": \"Ran\", \"rating\": 8}\n{\"title\": \"Ran\", \"rating\": 8}\n{\"title\": \"Ran\", \"rating\": 7}\n";
    let (movies, wrong) = with_ids(text);
    assert_eq!(movies.iter().map(|movie| movie.rating).collect::<Vec<_>>(), [Some(8.0), Some(8.0)]);
    let expected = "file:3: the movie of line 1 has the same title, year and director, and got the id \
                    `b7e69411-cc1b-5c85-a533-195dd07a67b7`; give this movie an explicit id";
    assert_eq!(wrong, [expected]);
}

#[test]
fn a_movie_without_an_id_is_rejected_unless_ids_are_generated() {
    let (movies, wrong) =
        read_text("[{\"title\": \"A\"}, {\"id\": \"1\"},\n{\"title\": \"B\", \"id\": \"\"}]").unwrap();
    assert_eq!(
        (ids(&movies), wrong),
        (vec!["1"], words(&["file:1: the first without an id", "file:2: without an id"]))
    );
}
