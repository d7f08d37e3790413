//! Renaming of the movies in a file of this repository.

use anyhow::{Result, bail, ensure};

use super::resource::Resource;

/// Replaces a text that the file must have, so that a change of the file is noticed.
///
/// # Errors
///
/// If the file does not have the text.
pub(super) fn replace(file: &str, from: &str, to: &str) -> Result<String> {
    ensure!(file.contains(from), "the text has changed: adapt xtask/src/new_service/, which expects\n{from}");
    Ok(file.replace(from, to))
}

/// Renames what is named after movies, also in paths.
///
/// # Errors
///
/// If a name is not known.
pub(super) fn rename(file: &str, resource: &Resource) -> Result<String> {
    // Most names with a `u`, such as `user`, start with the sound of a consonant.
    let starts_with_vowel = resource.name.starts_with(['a', 'e', 'i', 'o']);
    let an = file.replace("A movie", "An movie").replace(" a movie", " an movie");
    let mut renamed = String::with_capacity(file.len());
    for line in if starts_with_vowel { &an } else { file }.split_inclusive('\n') {
        let is_comment = line.trim_start().starts_with("//");
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|next| is_of_name(next) != is_of_name(first)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(length);
            // Names of crates and ids of samples have hyphens.
            let between = if after.starts_with('-') {
                "-"
            } else if is_comment {
                " "
            } else {
                "_"
            };
            match name_for(part, resource, between) {
                Some(name) => renamed += &name,
                None if part.to_lowercase().contains("movie") => {
                    bail!("the name `{part}` is new: adapt `name_for` in xtask/src/new_service/rename.rs")
                }
                None => renamed += part,
            }
            rest = after;
        }
    }
    Ok(renamed)
}

/// Returns the names in a file of Rust, without those in comments.
pub(super) fn names(file: &str) -> impl Iterator<Item = &str> {
    let code = file.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split(|next| !is_of_name(next)))
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Returns what stands for a name of the course's contract, or of a program for it. The names of the methods and their requests are those of
/// AIP-131 and AIP-132. `between` is between the words of a name that stands alone.
fn name_for(name: &str, resource: &Resource, between: &str) -> Option<String> {
    let Resource { name: one, plural: many, .. } = resource;
    let (one_type, many_type) = (resource.type_name(), resource.type_plural());
    Some(match name {
        "movie" => one.replace('_', between),
        "movies" => many.replace('_', between),
        "CARGO_BIN_EXE_movie" => name.replace("movie", &one.replace('_', between)),
        "movie_proto" | "movie_service" => name.replace("movie", one),
        "movie_client" | "movie_server" => name.replace("movie", &format!("{one}_service")),
        "Movie" => format!("{one_type}Service"),
        "MovieClient" | "MovieServer" => name.replace("Movie", &format!("{one_type}Service")),
        "MovieServicer" => format!("{one_type}Servicer"),
        "MovieData" => one_type,
        "MovieID" | "MovieId" => format!("Get{one_type}Request"),
        "Empty" => format!("List{many_type}Request"),
        "GetMovieByID" => format!("Get{one_type}"),
        "GetListMovies" => format!("List{many_type}"),
        "GetListMoviesStream" => format!("List{many_type}Stream"),
        "get_movie_by_id" => format!("get_{one}"),
        "get_list_movies" => format!("list_{many}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_as_a_whole_and_crates_have_hyphens() {
        let resource = Resource::new("audio_book", None, &[]).unwrap();
        let text =
            "A movie, a movie and movies: movie-proto, `movie_proto::movie_server::{Movie, MovieServer}`";
        let renamed = "An audio_book, an audio_book and audio_books: audio-book-proto, \
            `audio_book_proto::audio_book_service_server::{AudioBookService, AudioBookServiceServer}`";
        assert_eq!(rename(text, &resource).unwrap(), renamed);
        let rpc = rename("rpc GetListMovies(Empty) returns (stream MovieData)", &resource).unwrap();
        assert_eq!(rpc, "rpc ListAudioBooks(ListAudioBooksRequest) returns (stream AudioBook)");
    }

    #[test]
    fn a_comment_has_the_words_of_the_resource() {
        let resource = Resource::new("tv_show", None, &[]).unwrap();
        let renamed = rename("// A movie of `movie-proto`.\nlet movie = movies;", &resource).unwrap();
        assert_eq!(renamed, "// A tv show of `tv-show-proto`.\nlet tv_show = tv_shows;");
    }

    #[test]
    fn an_unknown_name_or_a_missing_text_is_an_error_that_says_what_to_adapt() {
        let resource = Resource::new("book", None, &[]).unwrap();
        let error = rename("best_movie", &resource).unwrap_err().to_string();
        assert!(error.starts_with("the name `best_movie` is new: adapt"), "{error}");
        let error = replace("a", "b", "c").unwrap_err().to_string();
        assert!(error.contains("adapt xtask/src/new_service/") && error.ends_with("\nb"), "{error}");
    }
}
