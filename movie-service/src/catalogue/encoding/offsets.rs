//! Ends of consecutive parts of a buffer, in two bytes each if the buffer is short enough.

/// Ends in ascending order.
#[derive(Clone, Debug)]
pub(crate) enum Offsets {
    /// Of a buffer of less than 64 KiB.
    Short(Box<[u16]>),
    /// Of a longer one.
    Long(Box<[u32]>),
}

impl Offsets {
    /// Returns the start of the part with this number, which is the end of the one before.
    pub(crate) fn start(&self, number: usize) -> usize {
        let Some(before) = number.checked_sub(1) else { return 0 };
        match self {
            Self::Short(ends) => ends[before].into(),
            Self::Long(ends) => ends[before] as usize,
        }
    }

    /// Returns the memory that they take, in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Short(ends) => size_of_val(&**ends),
            Self::Long(ends) => size_of_val(&**ends),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Short(ends) => ends.len(),
            Self::Long(ends) => ends.len(),
        }
    }
}

impl Default for Offsets {
    fn default() -> Self {
        Self::Short(Box::default())
    }
}

impl From<Vec<u32>> for Offsets {
    fn from(ends: Vec<u32>) -> Self {
        let short: Option<_> = ends.iter().map(|end| u16::try_from(*end).ok()).collect();
        short.map_or_else(|| Self::Long(ends.into()), Self::Short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_same_in_two_bytes_and_in_four() {
        for last in [65_535, 65_536, 4_000_000_000_u32] {
            let offsets = Offsets::from(vec![0, 7, last]);
            assert_eq!(matches!(offsets, Offsets::Short(_)), last == 65_535);
            let starts: Vec<_> = (0..=offsets.len()).map(|number| offsets.start(number)).collect();
            assert_eq!(starts, [0, 0, 7, last as usize]);
        }
    }
}
