//! Wire format of a message.

use std::fmt::Write;

use movie_proto::MovieData;
use prost::Message;

/// Bytes per line.
const BYTES_PER_LINE: usize = 12;

/// Returns the message with its gRPC prefix in hexadecimal, with the meaning of each part.
pub(crate) fn dump(movie: &MovieData) -> String {
    let message = movie.encode_to_vec();
    let mut text = String::new();
    let mut line = |bytes: &[u8], meaning: &str| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{:width$}{meaning}", bytes.join(" "), width = 3 * BYTES_PER_LINE + 2).unwrap();
    };
    let length = u32::try_from(message.len()).unwrap();
    line(
        &[&[0], length.to_be_bytes().as_slice()].concat(),
        &format!("not compressed, {length} bytes follow"),
    );
    let mut rest = message.as_slice();
    while let Some((&tag, after)) = rest.split_first() {
        let (number, kind) = (tag >> 3, tag & 7);
        rest = match kind {
            2 => {
                let (&length, after) = after.split_first().unwrap();
                assert!(length < 0x80, "the length takes more than one byte");
                line(&[tag, length], &format!("field {number}, wire type {kind}: {length} bytes follow"));
                let (value, after) = after.split_at(length.into());
                value.chunks(BYTES_PER_LINE).for_each(|bytes| line(bytes, str::from_utf8(bytes).unwrap()));
                after
            }
            5 => {
                let (value, after) = after.split_first_chunk().unwrap();
                line(&[tag], &format!("field {number}, wire type {kind}: 4 bytes follow"));
                line(value, &f32::from_le_bytes(*value).to_string());
                after
            }
            _ => panic!("no message of the contract has the wire type {kind}"),
        };
    }
    text
}
