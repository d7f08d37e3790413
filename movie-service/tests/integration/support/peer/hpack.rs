//! Header blocks (HPACK, RFC 7541): encoded as literals, and decoded as far as services encode them for a peer without a
//! dynamic table.

/// Names of the static table (appendix A), from index 1.
const NAMES: &str = ":authority :method :method :path :path :scheme :scheme :status :status :status :status \
    :status :status :status accept-charset accept-encoding accept-language accept-ranges accept \
    access-control-allow-origin age allow authorization cache-control content-disposition content-encoding \
    content-language content-length content-location content-range content-type cookie date etag expect expires \
    from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location \
    max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie \
    strict-transport-security transfer-encoding user-agent vary via www-authenticate";

/// Values of `:status` in the static table, from index 8. Services use no other indexed values.
const STATUSES: [&str; 7] = ["200", "204", "206", "304", "400", "404", "500"];

/// The Huffman code (appendix B) of the characters of header fields. It is canonical: codes of one length are consecutive in
/// this order, and those of the next length continue them.
const CODE: [(u32, &str); 10] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

/// Encodes fields as literals without indexing.
pub(crate) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_integer(&mut block, 0, 7, text.len());
            block.extend(text.bytes());
        }
    }
    block
}

/// Encodes an integer after the leading bits of its first byte (section 5.1).
pub(crate) fn put_integer(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return block.push(first | u8::try_from(value).unwrap());
    }
    block.push(first | u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(u8::try_from(rest % 0x80).unwrap() | 0x80);
        rest /= 0x80;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// Decodes a header block.
pub(crate) fn decode(mut block: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while let Some(&first) = block.first() {
        match first {
            0x80.. => {
                let index = integer(&mut block, 7);
                fields.push((name(index), STATUSES[index - 8].to_owned()));
            }
            // A size update of the dynamic table, whose size is 0.
            0x20..0x40 => assert_eq!(integer(&mut block, 5), 0),
            _ => {
                let index = integer(&mut block, if first < 0x40 { 4 } else { 6 });
                let name = if index == 0 { text(&mut block) } else { name(index) };
                fields.push((name, text(&mut block)));
            }
        }
    }
    fields
}

fn name(index: usize) -> String {
    NAMES.split_whitespace().nth(index - 1).unwrap().to_owned()
}

fn integer(block: &mut &[u8], bits: u32) -> usize {
    let most = (1 << bits) - 1;
    let mut value = usize::from(take(block, 1)[0]) & most;
    if value == most {
        for shift in (0..).step_by(7) {
            let byte = usize::from(take(block, 1)[0]);
            value += (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
    }
    value
}

fn text(block: &mut &[u8]) -> String {
    let is_coded = block[0] >= 0x80;
    let length = integer(block, 7);
    let bytes = take(block, length);
    if is_coded { decode_text(bytes) } else { String::from_utf8(bytes.to_vec()).unwrap() }
}

fn take<'a>(block: &mut &'a [u8], count: usize) -> &'a [u8] {
    block.split_off(..count).expect("the header block is whole")
}

fn decode_text(bytes: &[u8]) -> String {
    let (mut text, mut code, mut length) = (String::new(), 0, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| usize::from(byte >> at & 1))) {
        (code, length) = (code << 1 | bit, length + 1);
        if let Some(symbol) = symbol(code, length) {
            text.push(symbol);
            (code, length) = (0, 0);
        }
    }
    assert!(length < 8, "a symbol that is not in the table");
    text
}

fn symbol(code: usize, length: u32) -> Option<char> {
    let (mut first, mut last) = (0, 0);
    for (bits, symbols) in CODE {
        first <<= bits - last;
        if bits == length {
            return symbols.chars().nth(code.checked_sub(first)?);
        }
        (first, last) = (first + symbols.len(), bits);
    }
    None
}
