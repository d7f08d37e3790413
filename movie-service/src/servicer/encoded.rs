//! Responses with many movies, which are encoded as the catalogue stores them.
//!
//! The generated types hold each name of a cast as a text of its own. To build a page of them, to encode it, and to drop it
//! on another thread took longer than to find its movies.

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};

use crate::catalogue::encoding::record::StoredMovie;

/// A message of which some fields are encoded already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded<M> {
    /// Encoded fields, which `rest` does not have.
    fields: Vec<u8>,
    /// The other fields.
    pub(super) rest: M,
}

impl<M> Encoded<M> {
    /// Returns the message `rest` without encoded fields, which are added by the methods.
    pub(super) fn new(rest: M) -> Self {
        Self { fields: Vec::new(), rest }
    }

    /// Adds a field that is a movie, and returns the size of the movie.
    pub(super) fn add_movie(&mut self, number: u32, movie: StoredMovie<'_>) -> usize {
        /// Room for the length of nearly all movies: to compute it first would read the movie twice.
        const LENGTH_BYTES: usize = 2;
        encode_key(number, WireType::LengthDelimited, &mut self.fields);
        let start = self.fields.len();
        self.fields.extend_from_slice(&[0; LENGTH_BYTES]);
        movie.put_full(&mut self.fields);
        let size = self.fields.len() - start - LENGTH_BYTES;
        let mut length = [0; LENGTH_BYTES];
        if encoded_len_varint(size as u64) == LENGTH_BYTES {
            encode_varint(size as u64, &mut length.as_mut_slice());
            self.fields[start..start + LENGTH_BYTES].copy_from_slice(&length);
        } else {
            let mut length = Vec::new();
            encode_varint(size as u64, &mut length);
            self.fields.splice(start..start + LENGTH_BYTES, length);
        }
        size
    }

    /// Adds a field that is a message with a movie, field 1, and other fields.
    pub(super) fn add_with_movie(&mut self, number: u32, movie: StoredMovie<'_>, others: &impl Message) {
        const MOVIE: u32 = 1;
        let movie_len = movie.full_len();
        // The key of a field with a number below 16 takes one byte.
        let length = 1 + encoded_len_varint(movie_len as u64) + movie_len + others.encoded_len();
        add_message(number, length, &mut self.fields);
        add_message(MOVIE, movie_len, &mut self.fields);
        movie.put_full(&mut self.fields);
        others.encode_raw(&mut self.fields);
    }
}

impl<M: Message + Default> Encoded<M> {
    /// Decodes the whole message.
    pub(super) fn decoded(&self) -> M {
        M::decode(self.encode_to_vec().as_slice()).unwrap_or_default()
    }
}

/// Appends the key and the length of a field that is a message.
fn add_message(number: u32, length: usize, fields: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, fields);
    encode_varint(length as u64, fields);
}

impl<M: Message> Message for Encoded<M> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.fields);
        self.rest.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.rest.merge_field(tag, wire_type, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.fields.len() + self.rest.encoded_len()
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.rest.clear();
    }
}
