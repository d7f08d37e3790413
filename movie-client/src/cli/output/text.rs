//! Text as the course prints it, and in its manner what the course does not have.

use std::io::{self, Write};

use console::Style;

use super::text_format::{self, line};
use super::{Fact, Form, Print, Row};
use crate::{Change, Event, Movie};

pub(super) struct Text<W> {
    out: W,
    added: Style,
    deleted: Style,
}

impl<W: Write> Text<W> {
    pub(super) fn new(out: W, form: &Form) -> Self {
        Self { out, added: form.style(Style::new().green()), deleted: form.style(Style::new().red()) }
    }
}

impl<W: Write> Print for Text<W> {
    fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.out.write_all(text_format::movie(movie).as_bytes())
    }

    fn facts(&mut self, facts: &[(&'static str, Fact)]) -> io::Result<()> {
        facts.iter().try_for_each(|(name, fact)| writeln!(self.out, "{name}: {}", line(&fact.to_string())))
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        let Self { out, added, deleted } = self;
        match row {
            Row::Movie(movie) | Row::Found { movie: Some(movie), .. } => {
                writeln!(out, "Movie called {}", line(&movie.title))
            }
            Row::Found { id, movie: None } => writeln!(out, "No movie has the id {}", line(id)),
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
