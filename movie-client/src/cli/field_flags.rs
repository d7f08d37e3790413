//! Flags that set or clear the fields of a movie.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::parse::{number, rating, word};
use crate::movie::ValueMut;
use crate::{Field, Movie};

/// A flag that sets a field. The type of the field determines which values it accepts.
struct Flag {
    field: Field,
    long: &'static str,
    value_name: &'static str,
    help: &'static str,
}

const fn flag(field: Field, long: &'static str, value_name: &'static str, help: &'static str) -> Flag {
    Flag { field, long, value_name, help }
}

/// The flags, in the order of the help and of the update mask.
const FLAGS: &[Flag] = &[
    flag(Field::Title, "title", "TITLE", "Title"),
    flag(Field::Rating, "rating", "RATING", "Rating from 0 to 10"),
    flag(Field::Director, "director", "DIRECTOR", "Director"),
    flag(Field::Year, "year", "YEAR", "Year of the first release"),
    flag(Field::Genres, "genre", "GENRE", "Genre; may be repeated, or a comma-separated list"),
    flag(Field::RuntimeMinutes, "runtime", "MINUTES", "Running time in minutes"),
    flag(Field::Countries, "country", "COUNTRY", "Country of production; several as with genres"),
    flag(Field::Languages, "language", "LANGUAGE", "Spoken language; several as with genres"),
    flag(Field::OriginalTitle, "original-title", "TITLE", "Title in the original language"),
    flag(Field::Cast, "cast", "NAME", "Actor; several as with genres"),
    flag(Field::Writers, "writer", "NAME", "Writer; several as with genres"),
    flag(Field::RatingCount, "rating-count", "COUNT", "Number of votes or reviews behind the rating"),
    flag(Field::Overview, "overview", "TEXT", "Summary of the plot"),
    flag(Field::PosterUri, "poster", "URI", "Address of a poster: an https URI"),
];

/// Field that every movie must have, so that it cannot be cleared.
const REQUIRED: Field = Field::Title;

/// Fields from the command line.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The values of the given fields.
    pub values: Movie,
    /// The given fields.
    pub given: Vec<Field>,
}

impl Args for Fields {
    fn augment_args(command: Command) -> Command {
        let mut movie = Movie::default();
        let args = FLAGS.iter().map(|flag| {
            let arg = Arg::new(flag.field.name()).long(flag.long).value_name(flag.value_name).help(flag.help);
            match movie.value_mut(flag.field) {
                ValueMut::Text(_) => arg.allow_hyphen_values(true),
                ValueMut::Rating(_) => arg.value_parser(rating).allow_negative_numbers(true),
                ValueMut::Number(_) => arg.value_parser(number::<u32>).allow_negative_numbers(true),
                ValueMut::Count(_) => arg.value_parser(number::<u64>).allow_negative_numbers(true),
                ValueMut::List(_) => arg
                    .value_delimiter(',')
                    .value_parser(|text: &str| {
                        word(text).map_err(|error| format!("{error}; `update --clear` empties a field"))
                    })
                    .allow_hyphen_values(true)
                    .action(ArgAction::Append),
                // The service sets the times.
                ValueMut::Time(_) => arg,
            }
        });
        command.args(args.collect::<Vec<_>>())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Fields {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        let mut fields = Self::default();
        for &Flag { field, .. } in FLAGS {
            let name = field.name();
            let is_given = match fields.values.value_mut(field) {
                ValueMut::Text(text) => set(text, matches.remove_one(name)),
                ValueMut::Rating(rating) => set(rating, matches.remove_one(name).map(Some)),
                ValueMut::Number(number) => set(number, matches.remove_one(name).map(Some)),
                ValueMut::Count(count) => set(count, matches.remove_one(name).map(Some)),
                ValueMut::List(list) => set(list, matches.remove_many(name).map(Iterator::collect)),
                ValueMut::Time(_) => false,
            };
            fields.given.extend(is_given.then_some(field));
        }
        Ok(fields)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Sets a value if a flag gives one, and returns whether it does.
fn set<T>(value: &mut T, given: Option<T>) -> bool {
    let is_given = given.is_some();
    if let Some(given) = given {
        *value = given;
    }
    is_given
}

/// Returns the name of the flag that sets a field of a request, such as `filter.year_from`.
pub(super) fn flag_for(path: &str) -> Option<String> {
    let name = match path.split_once('.') {
        Some(("movie" | "filter", "id")) => return None,
        Some(("filter", "decades")) => "decade".to_owned(),
        Some(("movie" | "filter", name)) => {
            let flag = FLAGS.iter().find(|flag| flag.field.name() == name);
            flag.map_or_else(|| name.replace('_', "-"), |flag| flag.long.to_owned())
        }
        _ if path == "facets" => "facets".to_owned(),
        _ if path == "order_by" => "order".to_owned(),
        _ if matches!(path, "resume_token" | "from_revision") => "from".to_owned(),
        _ => return None,
    };
    Some(format!("--{name}"))
}

/// Parses the name of a field to clear: the name of its flag, or for a list the name of the field.
pub(super) fn clearable() -> impl TypedValueParser<Value = Field> {
    let clearable = FLAGS.iter().filter(|flag| flag.field != REQUIRED);
    let names: Vec<_> = clearable.map(Flag::clear_name).collect();
    PossibleValuesParser::new(names).try_map(|name| {
        let flag = FLAGS.iter().find(|flag| flag.clear_name() == name);
        flag.map(|flag| flag.field).ok_or("expected a field")
    })
}

impl Flag {
    /// Returns the name of the field for `--clear`.
    fn clear_name(&self) -> &'static str {
        match Movie::default().value_mut(self.field) {
            ValueMut::List(_) => self.field.name(),
            ValueMut::Text(_)
            | ValueMut::Rating(_)
            | ValueMut::Number(_)
            | ValueMut::Count(_)
            | ValueMut::Time(_) => self.long,
        }
    }
}
