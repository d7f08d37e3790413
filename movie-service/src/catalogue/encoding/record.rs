//! A complete movie as an encoded `movie.catalog.v1.Movie`: how stores keep it and how `movie.catalog.v1` sends it.
//!
//! A record is an encoded `movie.catalog.v1.Movie` without its etag: first the message that is in the movie's frame,
//! which has fields 1 to 4, then its details, which have the others. That it can be put together in this way, without
//! decoding either, is a property of protobuf's encoding: of a field that comes twice, the last one counts.

use bytes::Bytes;
use prost::encoding::encode_varint;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::encoding::details::{Details, Facts};
use crate::catalogue::encoding::frame::{self, Movie, PREFIX};
use crate::movie;

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

    /// Encodes a movie with all its fields.
    #[must_use]
    pub fn of(movie: &movie::Movie) -> Self {
        let movie::Movie {
            title,
            rating,
            director,
            id,
            year,
            genres,
            runtime_minutes,
            countries,
            languages,
            create_time,
            update_time,
        } = movie;
        let mut details = Vec::new();
        let facts = Facts {
            is_rated_zero: *rating == Some(0.0),
            year: u32::try_from(*year).unwrap_or_default(),
            genres,
            runtime_minutes: u32::try_from(*runtime_minutes).unwrap_or_default(),
            countries,
            languages,
            create_time: *create_time,
            update_time: *update_time,
        };
        facts.encode(&mut details);
        Self::new(&Movie { title, rating: rating.unwrap_or_default(), director, id, details: &details })
    }

    /// Returns the record of these bytes; `None` unless they are exactly the encoding of a movie with this id.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, id: &str) -> Option<Self> {
        let record = Self(bytes);
        let movie = record.to_movie();
        (movie.id == id && Self::of(&movie) == record).then_some(record)
    }

    /// Decodes the movie with all its fields; what is not there is empty.
    #[must_use]
    pub fn to_movie(&self) -> movie::Movie {
        let movie = self.movie();
        let details = Details(movie.details);
        let owned = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect();
        movie::Movie {
            title: movie.title.to_owned(),
            rating: movie.rated(),
            director: movie.director.to_owned(),
            id: movie.id.to_owned(),
            year: i32::try_from(details.year()).unwrap_or_default(),
            genres: owned(&mut details.genres()),
            runtime_minutes: i32::try_from(details.runtime_minutes()).unwrap_or_default(),
            countries: owned(&mut details.countries()),
            languages: owned(&mut details.languages()),
            create_time: details.create_time(),
            update_time: details.update_time(),
        }
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
        encode_varint(ETAG_LEN as u64, out);
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
    use crate::movie::Time;

    /// Returns the movie as the contract has it.
    fn wire(movie: &movie::Movie) -> v1::Movie {
        let time = |time: Option<Time>| {
            time.map(|Time { seconds, nanos }| prost_types::Timestamp { seconds, nanos })
        };
        let movie = movie.clone();
        v1::Movie {
            title: movie.title,
            rating: movie.rating,
            director: movie.director,
            id: movie.id,
            year: movie.year,
            genres: movie.genres,
            runtime_minutes: movie.runtime_minutes,
            countries: movie.countries,
            languages: movie.languages,
            create_time: time(movie.create_time),
            update_time: time(movie.update_time),
            etag: String::new(),
        }
    }

    fn any_movie() -> impl Strategy<Value = movie::Movie> {
        let time = || proptest::option::of((any::<i64>(), 0..1_000_000_000_i32));
        let time = move || time().prop_map(|time| time.map(|(seconds, nanos)| Time { seconds, nanos }));
        let text = || prop_oneof![Just(String::new()), ".{1,20}", "[a-é]{60,140}"];
        let texts = || proptest::collection::vec(".{1,8}", 0..4);
        let rating = proptest::option::of(prop_oneof![Just(0.0_f32), 0.0..=10.0_f32]);
        let texts = (texts(), texts(), texts());
        let numbers = (0..2300_i32, 0..500_i32);
        (text(), rating, text(), "[a-z]{1,9}", numbers, texts, time(), time()).prop_map(
            |(title, rating, director, id, (year, runtime_minutes), texts, create_time, update_time)| {
                movie::Movie {
                    title,
                    rating,
                    director,
                    id,
                    year,
                    genres: texts.0,
                    runtime_minutes,
                    countries: texts.1,
                    languages: texts.2,
                    create_time,
                    update_time,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_the_movie_to_any_protobuf_library(movie in any_movie()) {
            let record = Record::of(&movie);
            prop_assert_eq!(v1::Movie::decode(record.bytes().clone()).unwrap(), wire(&movie));
            prop_assert_eq!(record.to_movie(), movie.clone());
            prop_assert_eq!(Record::from_bytes(record.bytes().clone(), &movie.id), Some(record.clone()));
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
            let record = Record::of(&movie);
            let (mut frame, mut full) = (Vec::new(), Vec::new());
            record.movie().encode(&mut frame);
            Movie::put_full_frame(&frame, record.movie().details, &mut full);
            let length = u32::try_from(full.len() - PREFIX).unwrap();
            prop_assert_eq!(&full[1..PREFIX], &length.to_be_bytes());
            let decoded = v1::Movie::decode(&full[PREFIX..]).unwrap();
            prop_assert_eq!(decoded, v1::Movie { etag: record.etag(), ..wire(&movie) });
        }

        #[test]
        fn bytes_that_are_not_a_record_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let movie = Movie::of_record(&bytes);
            let details = Details(movie.details);
            let _ = (details.year(), details.genres().count(), details.create_time(), movie.rated());
            let _ = Record::from_bytes(bytes.into(), "");
        }
    }

    #[test]
    fn bytes_are_a_record_only_as_a_whole_and_of_the_movie_that_they_are_kept_as() {
        let movie = movie::Movie { id: "7".into(), title: "Creed".into(), year: 2015, ..Default::default() };
        let bytes = Record::of(&movie).bytes().clone();
        assert!(Record::from_bytes(bytes.clone(), "7").is_some());
        assert!(Record::from_bytes(bytes.clone(), "8").is_none());
        assert!(Record::from_bytes(bytes.slice(..bytes.len() - 1), "7").is_none());
        assert!(Record::from_bytes(vec![0xff].into(), "7").is_none());
    }

    #[test]
    fn an_etag_does_not_change_with_the_version_of_the_program() {
        let record = Record::new(&Movie { id: "7", title: "Creed", ..Movie::default() });
        assert_eq!(record.etag(), "\"6ed076c581193dd5\"");
    }
}
