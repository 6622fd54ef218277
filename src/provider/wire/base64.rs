//! Base64 that comes in pieces of any length, decoded as it comes; what a data address has in front of it is passed over.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Takes padded and unpadded ends: servers write both.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What an address that holds its data begins with.
pub(in crate::provider) const DATA: &[u8] = b"data:";
/// What stands between that and the data: a media type, its parameters, and this at its end.
const MARK: &[u8] = b";base64";
/// Longest of it that is believed.
const LONGEST_HEAD: usize = 256;

/// A base64 text on its way to being bytes. Once it is broken it stays so, and takes no more memory.
#[derive(Debug, Default)]
pub(in crate::provider) struct Decoder {
    bytes: Vec<u8>,
    /// Characters that don't fill a group of four yet.
    group: [u8; 4],
    filled: usize,
    /// Padding ends the text: nothing may follow it.
    ended: bool,
    broken: bool,
    /// The text so far, as long as it may be what stands before the data: `data:image/png;base64`.
    head: Vec<u8>,
    /// What comes is data.
    begun: bool,
}

impl Decoder {
    /// A decoder with room for the bytes of `expected` characters.
    pub(in crate::provider) fn with_room(expected: usize) -> Self {
        Self { bytes: Vec::with_capacity(expected / 4 * 3), ..Self::default() }
    }

    /// Takes the next characters of the text.
    pub(in crate::provider) fn push(&mut self, mut text: &[u8]) {
        while !self.begun {
            let Some((letter, rest)) = text.split_first() else { return };
            text = rest;
            self.begin(*letter);
        }
        self.data(text);
    }

    /// Takes a character of what may stand before the data.
    fn begin(&mut self, letter: u8) {
        let letters = self.head.len();
        if DATA.get(letters).is_some_and(|expected| !letter.eq_ignore_ascii_case(expected)) {
            // A text that is data from its beginning, as it should be.
            self.data_from_the_beginning();
            self.data(&[letter]);
        } else if letters >= DATA.len() && letter == b',' {
            let marked = self.head.len().checked_sub(MARK.len()).map(|at| &self.head[at..]);
            if !marked.is_some_and(|end| end.eq_ignore_ascii_case(MARK)) {
                self.spoil();
            }
            self.begun = true;
        } else if letters == LONGEST_HEAD {
            self.spoil();
            self.begun = true;
        } else {
            self.head.push(letter);
        }
    }

    fn data_from_the_beginning(&mut self) {
        self.begun = true;
        let head = std::mem::take(&mut self.head);
        self.data(&head);
    }

    fn data(&mut self, mut text: &[u8]) {
        while self.filled > 0 && !text.is_empty() {
            self.group[self.filled] = text[0];
            self.filled += 1;
            text = &text[1..];
            if self.filled == 4 {
                self.filled = 0;
                let group = self.group;
                self.decode(&group);
            }
        }
        let (whole, rest) = text.split_at(text.len() - text.len() % 4);
        self.decode(whole);
        if !rest.is_empty() {
            self.group[..rest.len()].copy_from_slice(rest);
            self.filled = rest.len();
        }
    }

    fn decode(&mut self, groups: &[u8]) {
        if groups.is_empty() || self.broken {
            return;
        }
        if self.ended || ENGINE.decode_vec(groups, &mut self.bytes).is_err() {
            self.broken = true;
            self.bytes = Vec::new();
        }
        self.ended = groups.ends_with(b"=");
    }

    /// Marks the text as something that base64 can't contain.
    pub(in crate::provider) fn spoil(&mut self) {
        self.broken = true;
        self.bytes = Vec::new();
    }

    /// The bytes, or nothing when the text was no base64.
    pub(in crate::provider) fn finish(mut self) -> Option<Vec<u8>> {
        if !self.begun {
            // Data of some letters, or an address that ended before its data, whose colon is none.
            self.data_from_the_beginning();
        }
        let (group, filled) = (self.group, self.filled);
        self.decode(&group[..filled]);
        self.bytes.shrink_to_fit();
        (!self.broken).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut decoder = Decoder::default();
        pieces.iter().for_each(|piece| decoder.push(piece));
        decoder.finish()
    }

    #[test]
    fn a_text_cut_anywhere_gives_the_same_bytes() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(83)).collect();
            let padded = base64::engine::general_purpose::STANDARD.encode(&bytes);
            for text in [padded.as_str(), padded.trim_end_matches('=')] {
                let text = text.as_bytes();
                for first in 0..=text.len() {
                    for second in first..=text.len() {
                        let pieces = [&text[..first], &text[first..second], &text[second..]];
                        assert_eq!(
                            decoded(&pieces).as_ref(),
                            Some(&bytes),
                            "{length} bytes cut at {first} and {second}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_stands_before_the_data_is_passed_over() {
        for head in [
            "data:image/png;base64,",
            "DATA:;BASE64,",
            "data:image/svg+xml;charset=utf-8;name=a;base64,",
            "data:;base64,",
        ] {
            for (data, expected) in [("AQID", &[1, 2, 3][..]), ("AQ==", &[1]), ("", &[])] {
                let text = [head, data].concat();
                for cut in 0..=text.len() {
                    let pieces = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
                    assert_eq!(decoded(&pieces).as_deref(), Some(expected), "{text} cut at {cut}");
                }
            }
        }
        for begins_so in ["d", "da", "dat", "data", "dataAAAA", "Data"] {
            let expected = ENGINE.decode(begins_so).ok();
            for cut in 0..=begins_so.len() {
                let pieces = [&begins_so.as_bytes()[..cut], &begins_so.as_bytes()[cut..]];
                assert_eq!(decoded(&pieces), expected, "{begins_so} cut at {cut}");
            }
        }
        let long = format!("data:{};base64,AQID", "x".repeat(100_000));
        let mut decoder = Decoder::default();
        decoder.push(long.as_bytes());
        assert!(decoder.head.len() <= LONGEST_HEAD && decoder.finish().is_none());
    }

    #[test]
    fn what_is_no_base64_gives_nothing() {
        for text in [
            "data:",
            "data:image/png,AQID",
            "data:;base64",
            "data:;base64,data:;base64,AQID",
            "A",
            "AB*D",
            "AAAA AAAA",
            "AA==AAAA",
            "AAAAA",
            "=AAA",
            "AA=A",
            "AAAA====",
        ] {
            for cut in 0..=text.len() {
                assert_eq!(decoded(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]), None, "{text} cut at {cut}");
            }
        }
    }
}
