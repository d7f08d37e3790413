//! Checks of a document, part by part, in the order in which it is read.

use std::fs;
use std::ops::Range;
use std::path::Path;

use clap::CommandFactory;
use movie_client::cli::args::Args;
use movie_proto::MovieData;
use movie_service::access::tokens::Tokens;
use movie_service::config::Config;
use movie_service::store::json;
use nix::sys::signal::Signal;

use crate::command::{self, Command, Running};
use crate::exchange::exchange;
use crate::files::Files;
use crate::markdown::{self, Kind};
use crate::{arrows, operations, translation, wire};

/// Line that stands for omitted lines.
const ELLIPSIS: &str = "…";

/// What a terminal prints for Ctrl-Z, which suspends the program in it.
const SUSPEND: &str = "^Z";

/// A problem in a part of a document: the line, relative to the first line of the part, and the description.
type Problem = (usize, String);

/// Returns the problems of a document: file, line, problem, and the first line of the block.
pub(crate) fn problems(name: &str, document: &str) -> Vec<String> {
    follow(name, document).1
}

/// Follows a document; returns the files with its changes, and the problems of the document.
pub(crate) fn follow(name: &str, document: &str) -> (Files, Vec<String>) {
    let is_translation = name.starts_with(translation::FOLDER);
    let mut reader = Reader { document: name.to_owned(), is_translation, files: Files::new(), service: None };
    let lines: Vec<&str> = document.lines().collect();
    let problems = markdown::parts(document).into_iter().filter_map(|part| {
        let (below, problem) = reader.follow(&part.kind).err()?;
        Some(format!("{name}:{}: {problem}\n  in: {}", part.line + below, lines[part.line - 1]))
    });
    let problems = problems.collect();
    (reader.files, problems)
}

/// State of a reader who follows the document.
struct Reader {
    document: String,
    /// Whether all blocks are those of another document.
    is_translation: bool,
    files: Files,
    service: Option<Running>,
}

impl Reader {
    fn follow(&mut self, part: &Kind) -> Result<(), Problem> {
        match part {
            Kind::Block { info, lines } => self.block(info, lines),
            Kind::Code(code) => self.code(code).map_err(at_first_line),
            Kind::Link(target) => self.link(target).map_err(at_first_line),
            Kind::Unreadable(problem) => Err(at_first_line(format!("unverified: {problem}"))),
        }
    }

    fn block(&mut self, info: &str, lines: &[String]) -> Result<(), Problem> {
        let words: Vec<&str> = info.split_whitespace().flat_map(|word| word.splitn(2, '=')).collect();
        match words.as_slice() {
            ["console"] => self.console(lines),
            ["diff", "file", path] => self.change(path, lines),
            [language, "file", path] if *language == language_of(path) => self.quote(path, lines),
            [language, "new", path] if *language == language_of(path) => self.create(path, lines),
            ["json", "database"] => self.database(lines).map_err(at_first_line),
            ["json", "refused", path] => self.broken(path, lines).map_err(at_first_line),
            ["text", "refused", path] => self.refusal(path, lines),
            ["text", "movie", id] => self.bytes(id, lines),
            // The block is that of the original, and so is the service that responds.
            ["text", "exchange", _] if self.is_translation => Ok(()),
            ["text", "exchange", protocol] => self.exchange(protocol, lines),
            ["text", "tokens"] => {
                Tokens::parse(&lines.join("\n")).map(drop).map_err(|error| at_first_line(error.to_string()))
            }
            ["promql"] => operations::query(lines),
            ["ini"] => operations::unit(lines),
            ["text", "log"] => operations::log(lines),
            ["text", "arrows"] => arrows::check(&lines.join("\n")).map_err(at_first_line),
            _ => Err(at_first_line(format!(
                "unverified block `{info}`: movie-client/tests/docs/check.rs has no check for it"
            ))),
        }
    }

    /// Checks that the file contains the lines of the block.
    fn quote(&self, path: &str, lines: &[String]) -> Result<(), Problem> {
        let file = self.files.read(path).map_err(at_first_line)?;
        let file: Vec<&str> = file.lines().collect();
        let mut from = 0;
        for range in pieces(lines)? {
            let piece: Vec<&str> = lines[range.clone()].iter().map(String::as_str).collect();
            let place = find(&file, from, &piece);
            from = place.map_err(|line| not_in(path, piece[line], range.start + line))?.end;
        }
        Ok(())
    }

    /// Checks a block with a new file against the finished exercise, and creates the file.
    fn create(&self, path: &str, lines: &[String]) -> Result<(), Problem> {
        let finished = self.files.finished(path).map_err(at_first_line)?;
        same(lines, &finished, &format!("the finished {path} has"))?;
        self.files.change(path, &finished);
        Ok(())
    }

    /// Applies a block with a diff to its file.
    fn change(&self, path: &str, lines: &[String]) -> Result<(), Problem> {
        let file = self.files.read(path).map_err(at_first_line)?;
        let mut file: Vec<&str> = file.lines().collect();
        let mut from = 0;
        for range in pieces(lines)? {
            let (mut before, mut origins, mut after) = (Vec::new(), Vec::new(), Vec::new());
            for (index, line) in range.clone().zip(&lines[range.clone()]) {
                let (sign, text) = line.split_at_checked(1).unwrap_or((" ", ""));
                if !matches!(sign, " " | "-" | "+") {
                    return Err((index + 1, "a line of a change starts with ` `, `-` or `+`".to_owned()));
                }
                if sign != "+" {
                    before.push(text);
                    origins.push(index);
                }
                if sign != "-" {
                    after.push(text);
                }
            }
            if before.is_empty() || before == after {
                return Err((
                    range.start + 1,
                    "the change has no context line, or changes no line".to_owned(),
                ));
            }
            if Files::have_exercise()
                && let Ok(place) = find(&file, from, &after)
            {
                from = place.end;
                continue;
            }
            let place = find(&file, from, &before);
            let place = place.map_err(|line| not_in(path, before[line], origins[line]))?;
            from = place.start + after.len();
            file.splice(place, after);
        }
        self.files.change(path, &(file.join("\n") + "\n"));
        Ok(())
    }

    /// Checks that the service loads the block as a database.
    fn database(&self, lines: &[String]) -> Result<(), String> {
        let path = "example.json";
        self.files.change(path, &(lines.join("\n") + "\n"));
        self.load(path).map_err(|error| format!("the service refuses it: {error}"))
    }

    /// Creates a file with the block's content, and checks that the service rejects it.
    fn broken(&self, path: &str, lines: &[String]) -> Result<(), String> {
        self.files.change(path, &(lines.join("\n") + "\n"));
        self.load(path).err().map(drop).ok_or_else(|| format!("the service loads {path}"))
    }

    /// Checks the error of the service about a rejected file.
    fn refusal(&self, path: &str, lines: &[String]) -> Result<(), Problem> {
        let Err(error) = self.load(path) else {
            return Err(at_first_line(format!("the service loads {path}")));
        };
        same(lines, &error, "the service says")
    }

    /// Loads a file like the service. The error has the path from the document.
    fn load(&self, path: &str) -> Result<(), String> {
        let file = self.files.find(path)?;
        let place = file.display().to_string();
        json::load(&file).map(drop).map_err(|error| error.to_string().replace(&place, path))
    }

    /// Checks the wire format of the movie with this id.
    fn bytes(&self, id: &str, lines: &[String]) -> Result<(), Problem> {
        let file = self.files.find("databases/movies.json").map_err(at_first_line)?;
        let movies = json::load(&file).map_err(|error| at_first_line(error.to_string()))?;
        let movie = movies.get(id).ok_or_else(|| at_first_line(format!("no movie has the id `{id}`")))?;
        let mut bytes = wire::dump(&MovieData::from(movie));
        if self.is_translation {
            bytes = translation::translated(&bytes);
        }
        same(lines, &bytes, "the bytes are")
    }

    /// Makes the call of the block, and compares its request and response.
    fn exchange(&self, protocol: &str, lines: &[String]) -> Result<(), Problem> {
        let service = self.service.as_ref().ok_or("no command before this one starts the service");
        let service = service.map_err(|problem| at_first_line(problem.to_owned()))?;
        let expected = exchange(protocol, service.address()).map_err(at_first_line)?;
        same(lines, expected.trim_end_matches(['<', '\n']), "the call is")
    }

    /// Runs the commands of the block, and compares their output. The output of a successful command may be omitted.
    fn console(&mut self, lines: &[String]) -> Result<(), Problem> {
        let mut rest = (1..).zip(lines).peekable();
        while let Some((below, line)) = rest.next() {
            let command =
                line.strip_prefix("$ ").ok_or_else(|| (below, "expected `$ ` and a command".to_owned()))?;
            let mut printed = Vec::new();
            while let Some((_, line)) = rest.next_if(|(_, line)| !line.starts_with("$ ")) {
                printed.push(line.clone());
            }
            let command = Command::parse(command, &self.files).map_err(|problem| (below, problem))?;
            // The same block is run, and its output compared, in the original. Running it again would only take time.
            if self.is_translation && !command.changes_files() {
                continue;
            }
            let outcome = command.run(&self.files, &mut self.service).map_err(|problem| (below, problem))?;
            if printed == [SUSPEND] {
                let service = self.service.as_ref().ok_or((below, "no service is running".to_owned()))?;
                service.signal(Signal::SIGSTOP).map_err(|problem| (below, problem))?;
            } else if !printed.is_empty() {
                same_output(&printed, &outcome.output)
                    .map_err(|(deeper, problem)| (below + deeper, problem))?;
            } else if !outcome.success {
                return Err((below, format!("the command fails: {}", outcome.output)));
            }
        }
        Ok(())
    }

    /// Checks that commands, flags, environment variables, file paths and RPC paths exist.
    fn code(&self, code: &str) -> Result<(), String> {
        let ends = [".rs", ".proto", ".json", ".toml", ".md"];
        let is_command = ["cargo ", "git ", "curl ", "sudo "].iter().any(|program| code.starts_with(program));
        if is_command || command::is_operators(code) {
            Command::parse(code, &self.files).map(drop)
        } else if let Some((method, path)) = code.split_once(' ')
            && ["GET", "POST", "PATCH", "DELETE"].contains(&method)
        {
            let contract = self.files.read("proto/movie/catalog/v1/catalog.proto")?;
            let course = self.files.read("proto/movie_http.proto")?;
            let pages = self.files.read("movie-service/src/server/call/web.rs")?;
            let known = contract + &course + &pages;
            let is_known = known.contains(&format!("\"{}\"", path.split('?').next().unwrap_or_default()));
            is_known.then_some(()).ok_or_else(|| format!("no request has the path `{path}`"))
        } else if ["/data", "/etc/", "/run/", "/usr/", "/var/backups/", "/var/lib/"]
            .iter()
            .any(|folder| code.starts_with(folder))
        {
            // A path where the service is installed. The tests of `deploy/` use these.
            Ok(())
        } else if code.starts_with('/') {
            let generated = self.files.read("movie-proto/src/generated/movie.rs")?;
            let exercise = self.files.finished("movie-proto/src/generated/exercise.v1.rs")?;
            let pages = self.files.read("movie-service/src/admin.rs")?;
            let end = if code.ends_with(['/', '.']) { "" } else { "\"" };
            let called = (generated + &exercise + &pages).contains(&format!("\"{code}{end}"));
            called.then_some(()).ok_or_else(|| format!("no call has the path `{code}`"))
        } else if is_header(code) || ["application/", "text/"].iter().any(|media| code.starts_with(media)) {
            Ok(())
        } else if code.starts_with("MOVIE_") || code.starts_with("--") {
            is_option(code).then_some(()).ok_or_else(|| format!("neither program knows `{code}`"))
        } else if code.contains('/') || ends.iter().any(|end| code.ends_with(end)) {
            let path = code.trim_end_matches('/');
            // The path is relative to the root or to the document's directory.
            let beside = Path::new(&self.document).with_file_name(path);
            let is_beside = self.files.find(&beside.to_string_lossy()).is_ok();
            let found = self.files.find(path).map(drop);
            if is_beside || self.files.has_finished(path) { Ok(()) } else { found }
        } else {
            Ok(())
        }
    }

    /// Checks that the target of a link exists, with its heading, unless it is an external site.
    fn link(&self, target: &str) -> Result<(), String> {
        if target.starts_with("https://") || target.starts_with("http://localhost:3001/") {
            return Ok(());
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, id)| (path, Some(id)));
        let document = xtask::root().join(&self.document);
        let file = if path.is_empty() { document } else { document.with_file_name("").join(path) };
        let exists = file.exists()
            && anchor.is_none_or(|anchor| {
                let text = fs::read_to_string(&file).unwrap_or_default();
                markdown::anchors(&text).iter().any(|known| known == anchor)
            });
        exists.then_some(()).ok_or_else(|| format!("the target of the link does not exist: {target}"))
    }
}

/// Returns a problem of the first line.
fn at_first_line(problem: String) -> Problem {
    (0, problem)
}

/// Compares the lines of a block with the output of a command. An ellipsis stands for any lines.
fn same_output(lines: &[String], output: &str) -> Result<(), Problem> {
    if !lines.iter().any(|line| line == ELLIPSIS) {
        return same(lines, output, "the command prints");
    }
    let output: Vec<&str> = output.lines().collect();
    let mut from = 0;
    for range in pieces(lines)? {
        let piece: Vec<&str> = lines[range.clone()].iter().map(String::as_str).collect();
        let place = find(&output, from, &piece)
            .map_err(|line| not_in("the output", piece[line], range.start + line))?;
        if from == 0 && place.start > 0 && range.start == 0 {
            return Err((1, format!("the command first prints `{}`", output[0])));
        }
        from = place.end;
    }
    let is_whole = from == output.len() || lines.last().is_some_and(|line| line == ELLIPSIS);
    if is_whole { Ok(()) } else { Err((lines.len(), format!("the command goes on with `{}`", output[from]))) }
}

/// Returns whether this is a header of HTTP with its value.
fn is_header(code: &str) -> bool {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    code.split_once(": ").is_some_and(|(name, _)| name.starts_with(char::is_uppercase) && is_name(name))
}

/// Returns whether the service or the client has this flag or environment variable.
fn is_option(code: &str) -> bool {
    let name = code.split([' ', '=']).next().unwrap_or_default();
    has_option(&Config::command(), name) || has_option(&Args::command(), name)
}

fn has_option(command: &clap::Command, name: &str) -> bool {
    let matches = |argument: &clap::Arg| {
        let is_flag = argument.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        is_flag || argument.get_env().is_some_and(|variable| variable == name)
    };
    command.get_arguments().any(matches) || command.get_subcommands().any(|command| has_option(command, name))
}

fn language_of(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((_, "rs")) => "rust",
        Some((_, end)) => end,
        None => "text",
    }
}

/// Splits lines at ellipses.
fn pieces(lines: &[String]) -> Result<Vec<Range<usize>>, Problem> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for piece in lines.split(|line| line.trim() == ELLIPSIS) {
        if !piece.is_empty() {
            pieces.push(start..start + piece.len());
        }
        start += piece.len() + 1;
    }
    if pieces.is_empty() { Err(at_first_line("the block is empty".to_owned())) } else { Ok(pieces) }
}

/// Returns the range of `piece` in a file, or the index of its first line that does not match.
fn find(file: &[&str], from: usize, piece: &[&str]) -> Result<Range<usize>, usize> {
    let fitting = |start: usize| file[start..].iter().zip(piece).take_while(|(a, b)| a == b).count();
    // `max_by_key` returns the last maximum, which is the first position in the file.
    let start = (from..file.len()).rev().max_by_key(|start| fitting(*start)).unwrap_or(from);
    let fits = fitting(start);
    if fits == piece.len() { Ok(start..start + fits) } else { Err(fits) }
}

fn not_in(path: &str, line: &str, index: usize) -> Problem {
    (index + 1, format!("{path} does not have the line `{line}` there"))
}

/// Compares the lines of a block with the expected text.
fn same(lines: &[String], text: &str, expected: &str) -> Result<(), Problem> {
    let mut texts = text.lines();
    for (below, line) in (1..).zip(lines) {
        match texts.next() {
            Some(text) if text == line => {}
            other => {
                let text = other.map_or("no more lines".to_owned(), |text| format!("`{text}`"));
                return Err((below, format!("the block has `{line}`, {expected} {text}")));
            }
        }
    }
    match texts.next() {
        None => Ok(()),
        Some(text) => Err((lines.len(), format!("the block ends here, {expected} `{text}`"))),
    }
}
