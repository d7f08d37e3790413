//! Commands that write a single movie.

use std::io::Write;

use anyhow::Result;

use super::args::{Clearable, Create, Delete, Fields, Update};
use super::failure::{Exit, Hint, UsageError};
use super::output::Printer;
use crate::{Client, Error, Field, Movie};

pub(super) async fn create<W: Write>(
    client: &Client,
    args: Create,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    let mut movie = Movie { id: args.id.unwrap_or_default(), ..Movie::default() };
    apply(&mut movie, args.fields);
    let movie = if args.dry_run { movie } else { add(client, movie).await? };
    printer.one(&movie)?;
    printer.finish()?;
    Ok(Exit::Done)
}

async fn add(client: &Client, movie: Movie) -> Result<Movie> {
    let has_id = !movie.id.is_empty();
    let hint = if has_id {
        "the movie may have been added; run the command again: an id is added only once"
    } else {
        "the movie may have been added, and the same command would add it again; use --id to prevent this"
    };
    client.create(movie).await.map_err(|error| {
        let may_be_there = matches!(error, Error::DeadlineExceeded { .. } | Error::OutcomeUnknown { .. });
        let error = anyhow::Error::new(error);
        if may_be_there { error.context(Hint(hint.to_owned())) } else { error }
    })
}

pub(super) async fn update<W: Write>(
    client: &Client,
    args: Update,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    let Update { id, fields, clear, etag, dry_run } = args;
    let mut movie =
        if dry_run { read(client, id, etag.as_deref()).await? } else { Movie { id, ..Movie::default() } };
    let mut changed = apply(&mut movie, fields);
    for field in clear {
        let field = clear_field(&mut movie, field);
        if changed.contains(&field) {
            let message = format!("{} cannot be both set and cleared", field.name());
            return Err(UsageError(message).into());
        }
        changed.push(field);
    }
    if changed.is_empty() {
        let message = "no field to update is given; use --title, --rating, …";
        return Err(UsageError(message.to_owned()).into());
    }
    if !dry_run {
        movie.etag = etag.unwrap_or_default();
        movie = client.update(movie, &changed).await?;
    }
    printer.one(&movie)?;
    printer.finish()?;
    Ok(Exit::Done)
}

pub(super) async fn delete<W: Write>(
    client: &Client,
    args: Delete,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    if args.dry_run {
        printer.one(&read(client, args.id, args.etag.as_deref()).await?)?;
        printer.finish()?;
    } else {
        client.delete(args.id, args.etag).await?;
    }
    Ok(Exit::Done)
}

/// Returns the movie that would be written, if it still has the given etag.
async fn read(client: &Client, id: String, etag: Option<&str>) -> Result<Movie, Error> {
    let movie = client.get(id).await?;
    match etag {
        Some(etag) if etag != movie.etag => Err(Error::Conflict {
            message: format!("the movie `{}` has changed since its etag was read", movie.id.escape_debug()),
        }),
        _ => Ok(movie),
    }
}

/// Sets the given fields, and returns which ones.
fn apply(movie: &mut Movie, fields: Fields) -> Vec<Field> {
    let Fields { title, rating, director, year, genres, runtime_minutes, countries, languages } = fields;
    let mut updated = Vec::new();
    let mut add = |field, is_set: bool| updated.extend(is_set.then_some(field));
    add(Field::Title, title.is_some());
    add(Field::Rating, rating.is_some());
    add(Field::Director, director.is_some());
    add(Field::Year, year.is_some());
    add(Field::Genres, !genres.is_empty());
    add(Field::RuntimeMinutes, runtime_minutes.is_some());
    add(Field::Countries, !countries.is_empty());
    add(Field::Languages, !languages.is_empty());
    let or = |new: Vec<String>, old: &mut Vec<String>| if new.is_empty() { std::mem::take(old) } else { new };
    movie.title = title.unwrap_or_else(|| std::mem::take(&mut movie.title));
    movie.rating = rating.or(movie.rating);
    movie.director = director.unwrap_or_else(|| std::mem::take(&mut movie.director));
    movie.year = year.or(movie.year);
    movie.genres = or(genres, &mut movie.genres);
    movie.runtime_minutes = runtime_minutes.or(movie.runtime_minutes);
    movie.countries = or(countries, &mut movie.countries);
    movie.languages = or(languages, &mut movie.languages);
    updated
}

/// Clears a field, and returns which one.
fn clear_field(movie: &mut Movie, field: Clearable) -> Field {
    match field {
        Clearable::Rating => (movie.rating = None, Field::Rating).1,
        Clearable::Director => (movie.director.clear(), Field::Director).1,
        Clearable::Year => (movie.year = None, Field::Year).1,
        Clearable::Genres => (movie.genres.clear(), Field::Genres).1,
        Clearable::Runtime => (movie.runtime_minutes = None, Field::RuntimeMinutes).1,
        Clearable::Countries => (movie.countries.clear(), Field::Countries).1,
        Clearable::Languages => (movie.languages.clear(), Field::Languages).1,
    }
}
