//! Commands that write a single movie.

use std::io::Write;

use anyhow::Result;

use super::args::{Create, Delete, Update};
use super::failure::{Exit, Hint, UsageError};
use super::field_flags::Fields;
use super::output::Printer;
use crate::{Client, Error, Movie};

pub(super) async fn create<W: Write>(
    client: &Client,
    args: Create,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    let movie = Movie { id: args.id.unwrap_or_default(), ..args.fields.values };
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
    let Update { id, fields: Fields { mut values, given: mut changed }, clear, etag, dry_run } = args;
    let stored = if dry_run { Some(read(client, id.clone(), etag.as_deref()).await?) } else { None };
    for field in clear {
        if changed.contains(&field) {
            let message = format!("{} cannot be both set and cleared", field.name());
            return Err(UsageError(message).into());
        }
        changed.push(field);
    }
    if changed.is_empty() {
        let message = "no field to update is given; use --title, --rating, …, or --clear FIELD";
        return Err(UsageError(message.to_owned()).into());
    }
    let movie = match stored {
        Some(mut movie) => {
            for field in changed {
                movie.take(field, &mut values);
            }
            movie
        }
        None => client.update(Movie { id, etag: etag.unwrap_or_default(), ..values }, &changed).await?,
    };
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
