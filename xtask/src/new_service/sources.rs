//! The contract and the programs for another resource, from the course's contract and the first programs of the tutorial. Their
//! names are still those of movies.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::rename::replace;
use super::resource::{Field, Resource};

/// Makes the contract.
pub(super) fn contract(file: &str, resource: &Resource) -> Result<String> {
    let (_, file) = file.split_once("syntax = \"proto3\";\n").context("it is not in proto3")?;
    let not_found = "  // An unknown or empty id is not an error: the response is an empty MovieData with status OK.\n  \
        // Every movie has an id, so an empty `id` in the response means \"not found\".\n";
    let file = replace(file, not_found, "  // NOT_FOUND if there is none.\n")?;
    let examples = " Any non-empty text may be an id; `databases/movies.json` uses\n  // UUIDs.";
    let file = replace(&file, examples, "")?;
    let (before, message) =
        file.split_once("message MovieData {\n").context("there is no message MovieData")?;
    let (_, after) = message.split_once("\n}\n").context("the message MovieData does not end")?;
    let mut fields =
        "  // The id for `GetMovieByID`. Unique, and never empty.\n  string id = 1;\n".to_owned();
    for (number, Field { name, kind }) in (2..).zip(&resource.fields) {
        let kind = kind.proto();
        write!(
            fields,
            "\n  // `{name}`: describe here its unit, its bounds, and what an empty value means.\n"
        )?;
        writeln!(fields, "  {kind} {name} = {number};")?;
    }
    let head = "// The contract of the movie service.\n//\n// In proto3, a field with its default value (an empty string, the \
        number 0) is not sent.\n\nsyntax = \"proto3\";\n\npackage movie.v1;\n";
    Ok(format!("{head}{before}message MovieData {{\n{fields}}}\n{after}"))
}

/// Makes the library of the service, and the end of its program.
pub(super) fn service(file: &str, resource: &Resource) -> Result<(String, String)> {
    let file = replace(file, " with tonic alone: `first_service [ADDRESS]`", ".")?;
    let entry =
        "struct Entry {\n    title: String,\n    rating: f32,\n    director: String,\n    id: String,\n}";
    let fields = resource.fields.iter().map(|Field { name, kind }| format!("{name}: {},\n", kind.rust()));
    let fields: String = fields.collect();
    let allowed = "#[allow(clippy::struct_excessive_bools, reason = \"the fields of the contract\")]\n";
    let allowed = if fields.matches("bool,").count() > 3 { allowed } else { "" };
    let file = replace(&file, entry, &format!("{allowed}struct Entry {{\nid: String,\n{fields}}}"))?;
    let names = resource.fields.iter().fold("id".to_owned(), |names, field| names + ", " + &field.name);
    let file = replace(&file, "title, rating, director, id", &names)?;
    // A new contract has errors.
    let found = "movie.cloned().map(Response::new).ok_or_else(|| Status::not_found(format!(\"no movie has the id `{id}`\")))";
    let file = replace(&file, "Ok(Response::new(movie.cloned().unwrap_or_default()))", found)?;
    let serve = "///\n/// # Errors\n///\n/// If the database cannot be read, or the listener fails.\npub async fn serve(";
    let file = replace(&file, "async fn serve(", serve)?;
    let main = file.find("#[tokio::main]").context("there is no `#[tokio::main]`")?;
    Ok((file[..main].to_owned(), file[main..].to_owned()))
}

/// Makes the program of the client.
pub(super) fn client(file: &str) -> Result<String> {
    let header = "The course's client with tonic alone: `first_client [ADDRESS]`";
    let file = replace(file, header, "Calls the movie service: `movie-client [ADDRESS]`")?;
    let file = replace(&file, "a8034f44-aee4-44cf-b32c-74cf452aaaae", "movie-1")?;
    let file = replace(&file, "MovieData { title, rating, director, id } =", "movie =")?;
    let file = replace(&file, "    let rating = f64::from(rating);\n", "")?;
    let fields = r#""title: {title:?}\nrating: {rating}\ndirector: {director:?}\nid: {id:?}\n""#;
    let file = replace(&file, fields, r#""{movie:#?}\n""#)?;
    let file = replace(&file, "{Empty, MovieData, MovieId}", "{Empty, MovieId}")?;
    replace(&file, "\"Movie called {}\", movie.title", "\"{movie:?}\"")
}
