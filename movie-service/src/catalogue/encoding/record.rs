//! One movie as a whole, as bytes: how stores keep it and how `movie.catalog.v1` sends it.
//!
//! A record is an encoded `movie.catalog.v1.Movie` without its etag: first the message that is in the movie's frame,
//! which has fields 1 to 4, then its details, which have the others. That it can be put together in this way, without
//! decoding either, is a property of protobuf's encoding: of a field that comes twice, the last one counts.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::encoding::details::Details;
use crate::catalogue::encoding::frame::{self, Movie, PREFIX};

/// The tag of the etag: field 12, a length and that many bytes.
const ETAG: u8 = 12 << 3 | 2;

/// The length of an etag.
const ETAG_LEN: usize = 18;

/// A movie as a whole, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Bytes);

impl Record {
    /// Encodes a movie.
    #[must_use]
    pub fn new(movie: &Movie<'_>) -> Self {
        let mut record = Vec::with_capacity(movie.max_message_len());
        movie.encode_message(&mut record);
        record.extend_from_slice(movie.details);
        Self(record.into())
    }

    /// Takes the bytes of a record, as a store kept them.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the movie back; what is not there is empty.
    #[must_use]
    pub fn movie(&self) -> Movie<'_> {
        Movie::of_record(&self.0)
    }

    /// Returns the etag: as HTTP writes them (RFC 9110, section 8.8.3), a hash of the record. It is the same wherever
    /// and whenever the record is.
    #[must_use]
    pub fn etag(&self) -> String {
        String::from_utf8_lossy(&etag(&self.0)).into_owned()
    }
}

impl<'a> Movie<'a> {
    /// Reads a movie from a record; what is not there is empty.
    #[must_use]
    pub fn of_record(record: &'a [u8]) -> Self {
        let mut movie = Self::default();
        let details = movie.take_fields(record);
        Self { details, ..movie }
    }

    /// Returns the rating, if there is one.
    #[must_use]
    pub fn rated(&self) -> Option<f32> {
        (self.rating != 0.0 || Details(self.details).are_rated_zero()).then_some(self.rating)
    }

    /// Appends the gRPC frame of this movie as `movie.catalog.v1.Movie`, with its etag.
    pub(crate) fn put_full_frame(frame: &[u8], details: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(frame);
        out.extend_from_slice(details);
        let etag = etag(out.get(start + PREFIX..).unwrap_or_default());
        out.push(ETAG);
        frame::put_varint(ETAG_LEN, out);
        out.extend_from_slice(&etag);
        frame::close(out, start);
    }
}

fn etag(record: &[u8]) -> [u8; ETAG_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = xxh3_64(record);
    let mut etag = [b'"'; ETAG_LEN];
    for (digit, shift) in etag[1..=16].iter_mut().zip((0..64).step_by(4).rev()) {
        *digit = DIGITS[(hash >> shift & 15) as usize];
    }
    etag
}

#[cfg(test)]
mod tests {
    use movie_proto::catalog::v1;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn any_movie() -> impl Strategy<Value = v1::Movie> {
        let text = || prop_oneof![Just(String::new()), ".{1,20}", "[a-é]{60,140}"];
        let texts = || proptest::collection::vec(".{1,8}", 0..4);
        let rating = proptest::option::of(prop_oneof![Just(0.0_f32), 0.0..=10.0_f32]);
        (text(), rating, text(), "[a-z]{1,9}", 0..2300_i32, texts(), 0..500_i32, texts(), texts()).prop_map(
            |(title, rating, director, id, year, genres, runtime_minutes, countries, languages)| v1::Movie {
                title,
                rating,
                director,
                id,
                year,
                genres,
                runtime_minutes,
                countries,
                languages,
                create_time: None,
                update_time: None,
                etag: String::new(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_the_movie_to_any_protobuf_library(movie in any_movie()) {
            let record = crate::movie::record(&movie);
            prop_assert_eq!(v1::Movie::decode(record.bytes().clone()).unwrap(), movie.clone());
            let read = record.movie();
            prop_assert_eq!(read.rated().map(f32::to_bits), movie.rating.map(f32::to_bits));
            prop_assert_eq!(Record::new(&read), record.clone());
            let details = Details(read.details);
            prop_assert_eq!(details.year(), u32::try_from(movie.year).unwrap());
            prop_assert_eq!(details.genres().collect::<Vec<_>>(), movie.genres);
            prop_assert_eq!(details.countries().collect::<Vec<_>>(), movie.countries);
            prop_assert_eq!(details.languages().collect::<Vec<_>>(), movie.languages);
        }

        #[test]
        fn a_full_frame_is_the_record_with_its_etag(movie in any_movie()) {
            let record = crate::movie::record(&movie);
            let (mut frame, mut full) = (Vec::new(), Vec::new());
            record.movie().encode(&mut frame);
            Movie::put_full_frame(&frame, record.movie().details, &mut full);
            let length = u32::try_from(full.len() - PREFIX).unwrap();
            prop_assert_eq!(&full[1..PREFIX], &length.to_be_bytes());
            let decoded = v1::Movie::decode(&full[PREFIX..]).unwrap();
            prop_assert_eq!(decoded, v1::Movie { etag: record.etag(), ..movie });
        }

        #[test]
        fn bytes_that_are_not_a_record_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let movie = Movie::of_record(&bytes);
            let details = Details(movie.details);
            let _ = (details.year(), details.genres().count(), movie.rated());
        }
    }

    #[test]
    fn an_etag_does_not_change_with_the_version_of_the_program() {
        let record = Record::new(&Movie { id: "7", title: "Creed", ..Movie::default() });
        assert_eq!(record.etag(), "\"6ed076c581193dd5\"");
    }
}
