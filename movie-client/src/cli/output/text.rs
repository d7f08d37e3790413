//! The course's output format, extended to lookups, changes and properties.

use std::io::{self, Write};

use console::Style;

use super::text_format::{self, line};
use super::{OutputOptions, Print, Property, Row, highlight};
use crate::{Change, Event, Facet, Movie};

pub(super) struct Text<W> {
    out: W,
    added: Style,
    deleted: Style,
    matching: Style,
}

impl<W: Write> Text<W> {
    pub(super) fn new(out: W, options: &OutputOptions) -> Self {
        Self {
            out,
            added: options.style(Style::new().green()),
            deleted: options.style(Style::new().red()),
            matching: highlight::style(options),
        }
    }
}

impl<W: Write> Print for Text<W> {
    fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.out.write_all(text_format::movie(movie).as_bytes())
    }

    fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()> {
        properties
            .iter()
            .try_for_each(|(name, value)| writeln!(self.out, "{name}: {}", line(&value.to_string())))
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        let Self { out, added, deleted, matching } = self;
        match row {
            Row::Movie(movie) | Row::Lookup { movie: Some(movie), .. } => {
                writeln!(out, "Movie called {}", line(&movie.title))
            }
            Row::Lookup { id, movie: None } => writeln!(out, "No movie has the id {}", line(id)),
            Row::Hit(hit) => {
                writeln!(out, "Movie called {}", highlight::highlighted(hit, "title", 0, matching))
            }
            Row::Facet(Facet { field, values }) => {
                let counts = values.iter().map(|found| format!("{} {}", line(&found.value), found.count));
                writeln!(out, "{}: {}", line(field), counts.collect::<Vec<_>>().join(", "))
            }
            Row::Change(Change { revision, event, .. }) => match event {
                Event::Upserted(Movie { title, id, .. }) => {
                    writeln!(out, "{revision} {} {} ({})", added.apply_to('+'), line(title), line(id))
                }
                Event::Deleted(id) => writeln!(out, "{revision} {} {}", deleted.apply_to('-'), line(id)),
                Event::CaughtUp => writeln!(out, "{revision} caught up"),
            },
        }
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
