//! Record: a complete movie in the encoding that stores write and `movie.catalog.v1` sends.
//!
//! A record is an encoded `movie.catalog.v1.Movie` without its etag: the message of the movie's frame (fields 1 to
//! 4), then its details (the other fields). The protobuf encoding allows this concatenation: if a field occurs twice,
//! the last one counts.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::encoding::details::{self, Details, DetailsBuffer};
use crate::catalogue::encoding::frame::{self, MovieView, PREFIX_BYTES};
use crate::movie::{Field, Movie, Timestamp, Value, Values};

/// The key of the etag, field 12, and its length.
const ETAG_KEY: [u8; 2] = [12 << 3 | 2, 18];

/// The length of an etag.
const ETAG_BYTES: usize = ETAG_KEY[1] as usize;

/// A complete movie, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Bytes);

impl Record {
    /// Encodes a movie.
    #[must_use]
    pub fn new(movie: &MovieView<'_>) -> Self {
        let mut record = Vec::with_capacity(movie.max_message_len());
        movie.encode_message(&mut record);
        movie.details.put(&mut record);
        Self(record.into())
    }

    /// Encodes a movie with all its fields.
    #[must_use]
    pub fn of(movie: &Movie) -> Self {
        let (values, mut buffer) = (Values::from(movie), DetailsBuffer::default());
        Self::new(&MovieView::of(&values, buffer.encode(&values)))
    }

    /// Encodes a movie that has no times as one that was created at a time.
    #[must_use]
    pub fn created(movie: &MovieView<'_>, time: Timestamp) -> Self {
        let (mut values, mut buffer) = (Values::default(), DetailsBuffer::default());
        for field in Field::ALL {
            let value = if field.is_input() { movie.value(*field) } else { Value::Time(Some(time)) };
            values.insert(*field, value);
        }
        Self::new(&MovieView::of(&values, buffer.encode(&values)))
    }

    /// Returns the record of these bytes; `None` unless they are exactly the encoding of a movie with this id.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, id: &str) -> Option<Self> {
        let is_record = MovieView::of_record(&bytes).is_some_and(|movie| movie.id == id);
        is_record.then_some(Self(bytes))
    }

    /// Returns the record of bytes that were those of a record.
    pub(crate) fn from_stored(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Decodes the movie with all its fields. Missing fields are not set.
    #[must_use]
    pub fn to_movie(&self) -> Movie {
        let (view, mut movie) = (self.movie(), Movie::default());
        for field in Field::ALL {
            field.set(&mut movie, view.value(*field));
        }
        movie
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the movie. Missing fields are empty.
    #[must_use]
    pub fn movie(&self) -> MovieView<'_> {
        MovieView::of_message(&self.0)
    }

    /// Returns the movie as it is stored.
    pub(crate) fn stored(&self) -> StoredMovie<'_> {
        StoredMovie { message: &self.0, details: Details::default() }
    }

    /// Returns the etag: a quoted strong validator (RFC 9110, section 8.8.3). It is a hash of the record, the same on
    /// every node and after restarts.
    #[must_use]
    pub fn etag(&self) -> String {
        String::from_utf8_lossy(&etag(&self.0)).into_owned()
    }
}

impl<'a> MovieView<'a> {
    /// Returns the view of a movie with these values and details.
    #[must_use]
    pub fn of(values: &'a Values<'_>, details: Details<'a>) -> Self {
        let [title, director, id] =
            [Field::Title, Field::Director, Field::Id].map(|field| values.text(field));
        Self { title, rating: values.rating().unwrap_or_default(), director, id, details }
    }

    /// Reads the bytes of a record. Missing fields are empty.
    fn of_message(message: &'a [u8]) -> Self {
        Self::split(message).0
    }

    /// Reads the bytes of a record, and returns the encoded details, too.
    fn split(message: &'a [u8]) -> (Self, &'a [u8]) {
        let mut movie = Self::default();
        let rest = movie.take_fields(message);
        (Self { details: Details::from_encoded(rest), ..movie }, rest)
    }

    /// Returns the movie of these bytes; `None` unless they are exactly the encoding of a movie.
    #[must_use]
    pub fn of_record(bytes: &'a [u8]) -> Option<Self> {
        let (movie, details) = Self::split(bytes);
        // The fields that were read are in order. They have more bytes than their encoding if a text is empty or not UTF-8,
        // if the rating is 0, or if a length has more bytes than it needs.
        let is_canonical = bytes.len() == movie.message_len() + details.len()
            && movie.details.is_canonical(movie.rating != 0.0);
        is_canonical.then_some(movie)
    }

    /// Returns the rating, if there is one.
    #[must_use]
    pub fn rating(&self) -> Option<f32> {
        (self.rating != 0.0 || self.details.has_zero_rating()).then_some(self.rating)
    }

    /// Returns the year of the first release; 0 if it is not known.
    #[must_use]
    pub fn year(&self) -> u32 {
        u32::try_from(self.details.number(Field::Year)).unwrap_or_default()
    }

    /// Returns the value of a field.
    #[must_use]
    pub fn value(&self, field: Field) -> Value<'a> {
        if field == Field::Title {
            Value::Text(self.title.into())
        } else if field == Field::Rating {
            Value::Rating(self.rating())
        } else if field == Field::Director {
            Value::Text(self.director.into())
        } else if field == Field::Id {
            Value::Text(self.id.into())
        } else {
            self.details.value(field)
        }
    }
}

/// A complete movie, borrowed from the memory that holds it: the beginning of its record, and the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredMovie<'a> {
    message: &'a [u8],
    details: Details<'a>,
}

impl<'a> StoredMovie<'a> {
    /// Returns the movie with this frame and these details.
    pub(crate) fn new(frame: &'a [u8], details: Details<'a>) -> Self {
        Self { message: frame.get(PREFIX_BYTES..).unwrap_or_default(), details }
    }

    /// Returns the size of the movie with its etag, in bytes.
    pub(crate) fn full_len(self) -> usize {
        self.message.len() + self.details.len() + ETAG_KEY.len() + ETAG_BYTES
    }

    /// Appends the movie with its etag, as an encoded `movie.catalog.v1.Movie` of [`Self::full_len`] bytes.
    pub(crate) fn put_full(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.message);
        self.details.put(out);
        let etag = etag(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&ETAG_KEY);
        out.extend_from_slice(&etag);
    }

    /// Returns the gRPC frame of the movie with its etag.
    pub(crate) fn full_frame(self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(PREFIX_BYTES + self.full_len());
        frame.extend_from_slice(&[0; PREFIX_BYTES]);
        self.put_full(&mut frame);
        frame::write_length(&mut frame, 0);
        frame
    }
}

/// Returns a hash of a movie, by which repeated requests are compared. It covers all fields, in the order of their
/// numbers.
#[must_use]
pub fn fingerprint(movie: &Movie) -> u64 {
    let mut message = Vec::new();
    for (field, value) in Values::from(movie).iter() {
        details::put(field, value, &mut message);
    }
    xxh3_64(&message)
}

fn etag(record: &[u8]) -> [u8; ETAG_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = xxh3_64(record);
    let mut etag = [b'"'; ETAG_BYTES];
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
    use crate::movie::Rule;
    use crate::servicer::convert;

    /// Makes values of any field: the table says what they are.
    fn any_value(field: Field) -> BoxedStrategy<Value<'static>> {
        let text = || prop_oneof![Just(String::new()), ".{1,20}", "[a-é]{60,140}"];
        match field.rule() {
            Rule::Text { .. } => text().prop_map(|text| Value::Text(text.into())).boxed(),
            Rule::Id => "[a-z]{1,9}".prop_map(|id| Value::Text(id.into())).boxed(),
            Rule::Rating => {
                proptest::option::of(prop_oneof![Just(0.0), 0.0..=10.0_f32]).prop_map(Value::Rating).boxed()
            }
            Rule::Number { max, .. } => (0..=max).prop_map(Value::Number).boxed(),
            Rule::List { .. } => {
                proptest::collection::vec(".{1,8}".prop_map(Into::into), 0..4).prop_map(Value::List).boxed()
            }
            Rule::Uri => prop_oneof![Just(String::new()), "https://[a-z]{1,9}/[a-z]{0,140}"]
                .prop_map(|uri| Value::Text(uri.into()))
                .boxed(),
            Rule::OutputOnly => proptest::option::of((any::<i64>(), 0..1_000_000_000))
                .prop_map(|time| Value::Time(time.map(|(seconds, nanos)| Timestamp { seconds, nanos })))
                .boxed(),
        }
    }

    fn any_movie() -> impl Strategy<Value = Movie> {
        let values: Vec<_> = Field::ALL.iter().map(|field| any_value(*field)).collect();
        values.prop_map(|values| {
            let mut movie = Movie::default();
            Field::ALL.iter().zip(values).for_each(|(field, value)| field.set(&mut movie, value));
            movie
        })
    }

    proptest! {
        #[test]
        fn a_record_is_the_movie_to_any_protobuf_library(movie in any_movie()) {
            let record = Record::of(&movie);
            let decoded = v1::Movie::decode(record.bytes().clone()).unwrap();
            prop_assert_eq!(&decoded, &convert::to_wire(movie.clone()));
            prop_assert_eq!(record.to_movie(), movie.clone());
            prop_assert_eq!(Record::from_bytes(record.bytes().clone(), &movie.id), Some(record.clone()));
            prop_assert_eq!(Record::new(&record.movie()), record.clone());
            for field in Field::ALL {
                prop_assert_eq!(record.movie().value(*field), field.value(&movie));
            }
        }

        #[test]
        fn a_fingerprint_is_a_hash_of_the_message_as_any_protobuf_library_writes_it(movie in any_movie()) {
            let message = convert::to_wire(movie.clone()).encode_to_vec();
            prop_assert_eq!(fingerprint(&movie), xxh3_64(&message));
        }

        #[test]
        fn a_full_frame_is_the_record_with_its_etag(movie in any_movie()) {
            let record = Record::of(&movie);
            let mut frame = Vec::new();
            record.movie().encode(&mut frame);
            let stored = StoredMovie::new(&frame, record.movie().details);
            let full = stored.full_frame();
            prop_assert_eq!(full.len(), PREFIX_BYTES + stored.full_len());
            let length = u32::try_from(full.len() - PREFIX_BYTES).unwrap();
            prop_assert_eq!(&full[1..PREFIX_BYTES], &length.to_be_bytes());
            let decoded = v1::Movie::decode(&full[PREFIX_BYTES..]).unwrap();
            prop_assert_eq!(decoded, v1::Movie { etag: record.etag(), ..convert::to_wire(movie) });
        }

        #[test]
        fn changed_bytes_are_a_record_only_if_they_are_its_encoding(
            movie in any_movie(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3), 1..3),
        ) {
            let mut bytes = Record::of(&movie).bytes().to_vec();
            for (index, byte, kind) in changes {
                let index = index.index(bytes.len().max(1));
                match kind {
                    0 => bytes.insert(index, byte),
                    1 if index < bytes.len() => drop(bytes.remove(index)),
                    _ => bytes[index] = byte,
                }
            }
            let record = Record(bytes.into());
            let is_record = Record::of(&record.to_movie()) == record;
            prop_assert_eq!(MovieView::of_record(record.bytes()).is_some(), is_record);
        }

        #[test]
        fn a_created_movie_is_the_movie_with_its_times(movie in any_movie(), seconds in any::<i64>()) {
            let (movie, time) = (movie.without_times(), Timestamp { seconds, nanos: 1 });
            let created = Movie { create_time: Some(time), update_time: Some(time), ..movie.clone() };
            prop_assert_eq!(Record::created(&Record::of(&movie).movie(), time), Record::of(&created));
        }

        #[test]
        fn bytes_that_are_not_a_record_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let record = Record(bytes.clone().into());
            let _ = (record.to_movie(), record.etag());
            let _ = Record::from_bytes(bytes.into(), "");
        }
    }

    #[test]
    fn bytes_are_a_record_only_as_a_whole_and_of_the_movie_with_its_id() {
        let movie = Movie { id: "7".into(), title: "Creed".into(), year: 2015, ..Default::default() };
        let bytes = Record::of(&movie).bytes().clone();
        assert!(Record::from_bytes(bytes.clone(), "7").is_some());
        assert!(Record::from_bytes(bytes.clone(), "8").is_none());
        assert!(Record::from_bytes(bytes.slice(..bytes.len() - 1), "7").is_none());
        assert!(Record::from_bytes(vec![0xff].into(), "7").is_none());
    }

    #[test]
    fn an_etag_does_not_change_with_the_version_of_the_program() {
        let record = Record::new(&MovieView { id: "7", title: "Creed", ..MovieView::default() });
        assert_eq!(record.etag(), "\"6ed076c581193dd5\"");
    }
}
