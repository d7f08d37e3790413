//! Limits on the movies and ids in a response.

use crate::catalogue::encoding::record::StoredMovie;

/// Maximum size of the movies in one response, in bytes. By default, clients accept messages of 4 MiB; the rest is left
/// for the other fields.
pub(super) const MAX_MOVIE_BYTES: usize = 4_000_000;

/// Size of the tag and the length that a response adds to a movie, at most, in bytes.
pub(super) const MOVIE_OVERHEAD_BYTES: usize = 12;

/// Returns an upper bound of the size of a movie in a response, in bytes.
pub(super) fn movie_bytes(movie: StoredMovie<'_>) -> usize {
    movie.full_len() + MOVIE_OVERHEAD_BYTES
}

/// Returns the first items whose sizes add up to at most `max_bytes`, but at least the first one.
pub(super) fn fitting<T>(items: &[T], max_bytes: usize, bytes_of: impl Fn(&T) -> usize) -> &[T] {
    let mut bytes = 0;
    let fit = items.iter().take_while(|item| {
        bytes += bytes_of(item);
        bytes <= max_bytes
    });
    &items[..fit.count().max(1).min(items.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_fit_up_to_the_limit_and_the_first_one_always_does() {
        let first = |items, max_bytes| fitting::<usize>(items, max_bytes, |bytes| *bytes).len();
        assert_eq!(first(&[2, 3, 4], 9), 3);
        assert_eq!(first(&[2, 3, 4], 8), 2);
        assert_eq!(first(&[2, 3, 0], 2), 1);
        assert_eq!(first(&[2, 3, 4], 1), 1);
        assert_eq!(first(&[], 1), 0);
    }
}
