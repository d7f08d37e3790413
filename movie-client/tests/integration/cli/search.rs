//! Searches that print, against a scripted service.

use console::strip_ansi_codes;
use movie_proto::catalog::v1::{self, SearchMoviesRequest, SearchMoviesResponse};
use tonic::Code;

use super::terminal;
use crate::support::failure;
use crate::support::program::{Outcome, client, outcome};
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};

/// Number of movies that every search matches.
const TOTAL: i32 = 230;

/// Returns a hit whose title and second name of the cast match.
fn hit(number: i32) -> v1::Hit {
    let movie = v1::Movie {
        id: number.to_string(),
        title: "Amélie".to_owned(),
        director: "Jean-Pierre Jeunet".to_owned(),
        cast: vec!["Audrey Tautou".to_owned(), "Amélie \u{1b}[2J Nothomb".to_owned()],
        ..v1::Movie::default()
    };
    let highlight = |field: &str, index| {
        let ranges = vec![v1::highlight::Range { start: 0, end: 4 }];
        v1::Highlight { field: field.to_owned(), index, ranges }
    };
    v1::Hit { movie: Some(movie), highlights: vec![highlight("title", 0), highlight("cast", 1)] }
}

/// Starts a server whose page tokens are the numbers of hits before.
async fn service() -> ScriptedServer {
    ScriptedServer::start(|call| {
        let request: SearchMoviesRequest = call.message();
        let first: i32 = if request.page_token.is_empty() { 0 } else { request.page_token.parse().unwrap() };
        let end = TOTAL.min(first + request.page_size);
        let facet = |field: &String| {
            let value = |value: &str, count| v1::facet::Value { value: value.to_owned(), count };
            let values = vec![value("Drama", 200), value("Film noir", 3)];
            v1::Facet { field: field.clone(), values }
        };
        vec![Step::message(&SearchMoviesResponse {
            hits: (first..end).map(hit).collect(),
            next_page_token: if end < TOTAL { end.to_string() } else { String::new() },
            total_size: TOTAL,
            facets: request.facets.iter().map(facet).collect(),
            revision: 7,
        })]
    })
    .await
}

/// Returns the output of a successful search.
async fn printed(arguments: &[&str]) -> String {
    let service = service().await;
    let Outcome { code, stdout, stderr } =
        outcome(client(&service.address).arg("search").args(arguments)).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    stdout
}

fn requests(service: &ScriptedServer) -> Vec<SearchMoviesRequest> {
    service.calls().iter().map(RecordedCall::message).collect()
}

#[tokio::test]
async fn words_and_flags_become_one_query() {
    let service = service().await;
    let flags =
        ["--year-from", "1990", "--genre", "Drama,War", "--order", "year desc", "--facets", "genres,decades"];
    let search = outcome(client(&service.address).args(["search", "ame", "jeunet"]).args(flags)).await;
    assert_eq!(search.code, Some(0), "{search:?}");
    let genres = vec!["Drama".to_owned(), "War".to_owned()];
    let expected = SearchMoviesRequest {
        query: "ame jeunet".to_owned(),
        page_size: 10,
        page_token: String::new(),
        filter: Some(v1::MovieFilter { year_from: 1990, genres, ..v1::MovieFilter::default() }),
        facets: vec!["genres".to_owned(), "decades".to_owned()],
        order_by: "year desc".to_owned(),
    };
    assert_eq!(requests(&service), [expected]);
}

#[tokio::test]
async fn hits_are_printed_in_every_format() {
    let hit = "{\"movie\":{\"title\":\"Amélie\",\"director\":\"Jean-Pierre Jeunet\",\"id\":\"0\",\"cast\":[\"Audrey Tautou\",\
               \"Amélie \\u001b[2J Nothomb\"]},\"highlights\":[{\"field\":\"title\",\"index\":0,\"ranges\":[{\"start\":0,\
               \"end\":4}]},{\"field\":\"cast\",\"index\":1,\"ranges\":[{\"start\":0,\"end\":4}]}]}";
    assert_eq!(printed(&["ame", "--limit", "1"]).await, format!("{hit}\n"));
    assert_eq!(printed(&["ame", "--limit", "1", "-o", "json"]).await, format!("[\n{hit}\n]\n"));
    assert_eq!(printed(&["ame", "--limit", "1", "-o", "text"]).await, "Movie called Amélie\n");
    let table = printed(&["ame", "--limit", "1", "-o", "table"]).await;
    let expected = "\
ID  TITLE   YEAR  RATING  DIRECTOR            MATCHES
0   Amélie                Jean-Pierre Jeunet  Amélie \\u{1b}[2J Nothomb
";
    assert_eq!(table, expected);
    let csv = printed(&["ame", "--limit", "1", "-o", "csv"]).await;
    assert!(
        csv.starts_with("id,title,rating,director,") && csv.contains("\n0,Amélie,,Jean-Pierre Jeunet,"),
        "{csv}"
    );
}

#[tokio::test]
async fn facets_follow_the_movies() {
    let facets = ["ame", "--limit", "1", "--facets", "genres,decades", "-o"];
    let printed = async |format| printed(&[&facets[..], &[format]].concat()).await;
    let text = "Movie called Amélie\ngenres: Drama 200, Film noir 3\ndecades: Drama 200, Film noir 3\n";
    assert_eq!(printed("text").await, text);
    let table = printed("table").await;
    let (_, table) = table.split_once("\n\n").unwrap();
    let expected = "\
FACET    VALUE      MOVIES
genres   Drama         200
genres   Film noir       3
decades  Drama         200
decades  Film noir       3
";
    assert_eq!(table, expected);
    let ndjson = printed("ndjson").await;
    let values = "\"values\":[{\"value\":\"Drama\",\"count\":200},{\"value\":\"Film noir\",\"count\":3}]}\n";
    let facets = format!("{{\"facet\":\"genres\",{values}{{\"facet\":\"decades\",{values}");
    assert!(ndjson.ends_with(&facets), "{ndjson}");
}

#[tokio::test]
async fn facets_alone_are_printed_with_a_limit_of_0() {
    let csv = printed(&["ame", "--limit", "0", "--facets", "genres", "-o", "csv"]).await;
    assert_eq!(csv, "facet,value,count\ngenres,Drama,200\ngenres,Film noir,3\n");
    let table = printed(&["ame", "--limit", "0", "--facets", "genres", "-o", "table"]).await;
    assert_eq!(table, "FACET   VALUE      MOVIES\ngenres  Drama         200\ngenres  Film noir       3\n");
    let service = service().await;
    let both = ["search", "ame", "--facets", "genres", "-o", "csv"];
    let Outcome { code, stderr, .. } = outcome(client(&service.address).args(both)).await;
    assert!(code == Some(2) && stderr.contains("add --limit 0"), "{code:?} {stderr}");
    assert_eq!(service.calls().len(), 0);
}

#[tokio::test]
async fn a_search_has_ten_movies_or_as_many_as_the_limit_in_as_few_pages_as_possible() {
    for (limit, count, sizes) in [
        (&[][..], 10, &[10][..]),
        (&["--limit", "0"], 0, &[]),
        (&["--limit", "3"], 3, &[3]),
        (&["--limit", "150"], 150, &[100, 100]),
        (&["--limit", "1000"], 230, &[100, 100, 100]),
    ] {
        let service = service().await;
        let search =
            outcome(client(&service.address).args(["search", "ame", "-o", "text"]).args(limit)).await;
        assert_eq!((search.code, search.stdout.lines().count()), (Some(0), count), "{limit:?}");
        let sent: Vec<_> = requests(&service).iter().map(|request| request.page_size).collect();
        assert_eq!(sent, sizes, "{limit:?}");
    }
}

#[tokio::test]
async fn matches_are_highlighted_on_a_terminal_unless_colours_are_disabled() {
    let service = service().await;
    for format in ["table", "text"] {
        let search = ["search", "ame", "--limit", "2", "-o", format];
        let (code, colourful) = terminal::on_terminal(terminal::client(&service.address).args(search)).await;
        assert!(code == Some(0) && colourful.contains("\x1b[36m\x1b[1mAmé\x1b[0mlie"), "{colourful:?}");
        assert!(!colourful.contains("\x1b[2J"), "{colourful:?}");
        assert!(
            colourful.ends_with("the first 2 of at least 230 movies; --limit shows more\n"),
            "{colourful}"
        );
        let search = ["search", "ame", "--limit", "2", "-o", format];
        let mut command = terminal::client(&service.address);
        let (_, plain) = terminal::on_terminal(command.args(search).env("NO_COLOR", "1")).await;
        assert_eq!(plain, strip_ansi_codes(&colourful));
    }
}

#[tokio::test]
async fn finding_nothing_is_no_error() {
    let service = ScriptedServer::always([Step::message(&SearchMoviesResponse::default())]).await;
    // The same header as with results.
    let table = "ID  TITLE  YEAR  RATING  DIRECTOR  MATCHES\n";
    for (format, expected) in [("ndjson", ""), ("json", "[]\n"), ("text", ""), ("table", table)] {
        let search = outcome(client(&service.address).args(["search", "nothing", "-o", format])).await;
        assert_eq!(search, Outcome { code: Some(0), stdout: expected.to_owned(), stderr: String::new() });
    }
    // On a terminal, the notice says that the search is over.
    let mut command = terminal::client(&service.address);
    let (code, printed) = terminal::on_terminal(command.args(["search", "nothing", "-o", "text"])).await;
    assert_eq!((code, printed.as_str()), (Some(0), "no movie matches\n"));
}

#[tokio::test]
async fn a_service_without_search_is_an_error_with_advice() {
    let service = ScriptedServer::always([Step::End(failure(Code::Unimplemented, "SEARCH_OFF"))]).await;
    let search = outcome(client(&service.address).args(["search", "ame"])).await;
    assert_eq!((search.code, search.stdout.as_str()), (Some(8), ""));
    let advice = "\n  only the operator of the service can turn it on; `list` filters the movies\n";
    assert_eq!(search.stderr, format!("error: search is off at {}{advice}", service.address));
}

#[tokio::test]
async fn words_are_required_without_a_terminal() {
    let service = service().await;
    let search = outcome(client(&service.address).arg("search")).await;
    assert_eq!((search.code, search.stdout.as_str(), service.calls().len()), (Some(2), "", 0));
    let message = "error: give the words to search for; typing them needs ";
    assert_eq!(search.stderr, format!("{message}a terminal as standard input and output\n"));
    let (code, sent) =
        terminal::on_terminal(terminal::client(&service.address).arg("search").env("TERM", "dumb")).await;
    let reason = "a terminal that can move its cursor (TERM is `dumb`)";
    assert_eq!((code, sent), (Some(2), format!("{message}{reason}\n")));
}
