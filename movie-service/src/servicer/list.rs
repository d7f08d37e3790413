//! `ListMovies`: pages and page tokens.

use std::sync::Arc;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use movie_proto::catalog::v1::{ListMoviesRequest, ListMoviesResponse};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::task;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::catalogue::query::page::{Page, Past};
use crate::catalogue::{Catalogue, HistoryPoint, Record};
use crate::servicer::error::CallError;
use crate::servicer::{convert, reached};

/// The most bytes of movies in a response: clients accept 4 MiB, of which some is overhead.
pub(crate) const MAX_PAGE_BYTES: usize = 4_000_000;

/// The longest page token.
const MAX_TOKEN_BYTES: usize = 1_024;

/// Makes pages, away from the threads that serve calls, as many at a time as there are cores.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    catalogue: Arc<Catalogue>,
    at_a_time: Arc<Semaphore>,
}

impl Pages {
    pub(crate) fn of(catalogue: Arc<Catalogue>) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { catalogue, at_a_time: Arc::new(Semaphore::new(cores)) }
    }

    /// Returns a page.
    pub(crate) async fn list(&self, request: ListMoviesRequest) -> Result<ListMoviesResponse, CallError> {
        let (query, size) = convert::list(&request)?;
        let hash = hash_of(&request);
        let token = match request.page_token.as_str() {
            "" => None,
            text => Some(Token::parse(text, hash).ok_or(CallError::PageTokenInvalid)?),
        };
        if let Some(token) = &token
            && !reached(&mut self.catalogue.newest(), token.point.revision).await
        {
            return Err(CallError::PageTokenExpired);
        }
        let turn = self.at_a_time.clone().acquire_owned().await;
        let catalogue = self.catalogue.clone();
        let made = task::spawn_blocking(move || {
            let _turn = turn;
            let (past, point) = past(&catalogue, token.as_ref().map(|token| token.point))?;
            let after = token.as_ref().map(|token| token.id.as_str());
            let page = past.page(&query, after, size).map_err(|_| CallError::PageTokenInvalid)?;
            Ok(answer(page, point, hash))
        });
        // What panics there is a call that fails here.
        made.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// Returns the catalogue at a point, or now, and which point that is.
fn past(catalogue: &Catalogue, point: Option<HistoryPoint>) -> Result<(Past, HistoryPoint), CallError> {
    let snapshot = catalogue.snapshot();
    let now = snapshot.point();
    let point = point.unwrap_or(now);
    if point == now {
        return Ok((Past::new(snapshot, &[]), now));
    }
    let since = now.revision.since(point.revision).ok_or(CallError::PageTokenExpired)?;
    if point.revision < snapshot.ordered_since() {
        return Err(CallError::PageTokenExpired);
    }
    let most = usize::try_from(since).unwrap_or(usize::MAX);
    let events = catalogue.changes(point, most).map_err(|_| CallError::PageTokenExpired)?;
    // All movies may have been loaded again since the snapshot was taken.
    if events.last().map(|event| event.point) != Some(now) {
        return Err(CallError::PageTokenExpired);
    }
    Ok((Past::new(snapshot, &events), point))
}

fn answer(page: Page, point: HistoryPoint, hash: u64) -> ListMoviesResponse {
    let Page { mut movies, mut more, total } = page;
    let mut bytes = 0;
    let fit = movies.iter().take_while(|record| {
        bytes += size(record);
        bytes <= MAX_PAGE_BYTES
    });
    // A page has at least one movie, so that paging always makes progress.
    let fit = fit.count().max(1);
    if fit < movies.len() {
        movies.truncate(fit);
        more = true;
    }
    let next = match movies.last() {
        Some(last) if more => Token { point, id: last.movie().id.to_owned() }.show(hash),
        _ => String::new(),
    };
    ListMoviesResponse {
        movies: movies.iter().map(convert::response).collect(),
        next_page_token: next,
        total_size: i32::try_from(total).unwrap_or(i32::MAX),
    }
}

/// Returns the bytes that a movie takes in a response, at most.
pub(crate) fn size(record: &Record) -> usize {
    record.bytes().len() + 32
}

/// Returns a hash of the arguments that all pages of a list share.
fn hash_of(request: &ListMoviesRequest) -> u64 {
    let shared = ListMoviesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    xxh3_64_with_seed(&shared.encode_to_vec(), 1)
}

/// Where a page starts: after a movie, at a point of a history. It is no secret and gives no right; a hash shows whether it was
/// altered, or is of another list. Every node of the same version can read it.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    point: HistoryPoint,
    id: String,
}

impl Token {
    /// Writes the token of a list whose arguments have this hash.
    fn show(&self, hash: u64) -> String {
        let check = self.check(hash).to_be_bytes();
        URL_SAFE_NO_PAD.encode([&check[..], &self.point.to_bytes(), self.id.as_bytes()].concat())
    }

    fn parse(text: &str, hash: u64) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (check, rest) = bytes.split_first_chunk()?;
        let (point, id) = rest.split_first_chunk()?;
        let token = Self { point: HistoryPoint::from_bytes(*point), id: str::from_utf8(id).ok()?.to_owned() };
        (token.check(hash) == u64::from_be_bytes(*check)).then_some(token)
    }

    fn check(&self, hash: u64) -> u64 {
        xxh3_64_with_seed(&[&self.point.to_bytes(), self.id.as_bytes()].concat(), hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written_and_not_once_it_is_altered(
            point in any::<[u8; HistoryPoint::BYTES]>(), id in ".{0,20}", hash in any::<u64>(), at in any::<usize>(),
            bit in 0..6_u8,
        ) {
            let token = Token { point: HistoryPoint::from_bytes(point), id };
            let mut text = token.show(hash);
            prop_assert_eq!(Token::parse(&text, hash), Some(token));
            prop_assert_eq!(Token::parse(&text, hash ^ 1), None);
            let at = at % text.len();
            let other = char::from(text.as_bytes()[at] ^ 1 << bit).to_string();
            if other.is_ascii() {
                text.replace_range(at..=at, &other);
                prop_assert_eq!(Token::parse(&text, hash), None);
            }
        }

        #[test]
        fn text_that_is_no_token_is_refused(text in ".{0,40}") {
            prop_assert_eq!(Token::parse(&text, 0), None);
        }
    }
}
