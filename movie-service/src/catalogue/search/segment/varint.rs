//! Numbers of variable length: LEB128, groups of seven bits with the lowest first.

/// Appends a number.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front; 0 if there is none.
#[inline]
pub(crate) fn take_varint(bytes: &mut &[u8]) -> u32 {
    let Some((first, rest)) = bytes.split_first() else {
        return 0;
    };
    *bytes = rest;
    if *first < 0x80 {
        return u32::from(*first);
    }
    let (mut number, mut shift) = (u32::from(*first & 0x7f), 7);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u32::from(*byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 || shift > 28 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_as_it_was_put() {
        let numbers = [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1 << 28, u32::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put_varint(&mut bytes, number);
        }
        let mut rest = &bytes[..];
        assert_eq!(numbers.map(|_| take_varint(&mut rest)), numbers);
        assert_eq!((rest.len(), take_varint(&mut rest)), (0, 0));
    }
}
