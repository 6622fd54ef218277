//! One JSON document of an answer, read as it comes, its images decoded on the way.
//!
//! Megabytes of base64 never stand in memory: the text of each member that a [`Shape`] names for data, and of each address that holds its data, goes through [`Decoder`] at once. The rest,
//! some hundred bytes, is kept as it is, with a number in place of each image, and parsed when it is whole. So key order, escapes, nulls and unknown nested
//! values are a JSON parser's business, and this file only has to know where strings begin and end.

#[cfg(test)]
mod tests;

use memchr::{memchr, memchr2};
use serde_json::Value;

use super::base64::{DATA, Decoder};

/// A longer text beside the images says nothing that is needed; it is read as an empty one.
const MAX_TEXT: usize = 64 * 1024;
/// What a document may say beside its images and long texts.
const MAX_REST: usize = 512 * 1024;

/// Where the answers of a service have their images, by the names of members.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Shape {
    /// The list of results; a document without it is a result itself.
    pub(in crate::provider) list: &'static str,
    /// In a result: an image as base64.
    pub(in crate::provider) data: &'static str,
    /// In a result: the address of an image; one that holds its data is an image as well.
    pub(in crate::provider) address: &'static str,
}

/// Why a document can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::provider) enum Broken {
    /// It ended before it was whole.
    Truncated,
    /// It is no JSON, or more of it than an answer could be.
    NotUnderstood(&'static str),
}

/// A document that is still coming.
#[derive(Debug)]
pub(in crate::provider) struct Reader {
    shape: Shape,
    /// The document so far, with numbers in place of images.
    rest: Vec<u8>,
    place: Place,
    /// Open braces and brackets.
    depth: usize,
    /// Where in `rest` the string began that is being read or was read last.
    string: usize,
    images: Vec<Option<Vec<u8>>>,
    /// How much base64 to make room for when an image begins.
    expected: usize,
    complete: bool,
}

#[derive(Debug)]
enum Place {
    /// Between strings.
    Outside,
    /// In a string that is kept; after a backslash the next byte is part of it whatever it is.
    Text { escaped: bool },
    /// In a string that is an address, as long as it may be one that holds its data.
    Address,
    /// In a string that is an image.
    Image { decoder: Decoder, escape: Escape },
}

#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    Begun,
    /// `\u` and so many of its four digits.
    Unicode {
        digits: u8,
        value: u32,
    },
}

impl Reader {
    /// A reader of a document of this shape.
    pub(in crate::provider) fn new(shape: Shape) -> Self {
        Self::with_room(shape, 0)
    }

    /// A reader of a document of about `expected` bytes.
    pub(in crate::provider) fn with_room(shape: Shape, expected: usize) -> Self {
        Self {
            shape,
            rest: Vec::new(),
            place: Place::Outside,
            depth: 0,
            string: 0,
            images: Vec::new(),
            expected,
            complete: false,
        }
    }

    /// Whether the document has its end; what follows is not looked at.
    pub(in crate::provider) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether something of the document has come, and not only the space before it.
    pub(in crate::provider) fn has_begun(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether the document is these bytes exactly.
    pub(in crate::provider) fn is(&self, bytes: &[u8]) -> bool {
        self.rest == bytes
    }

    /// Takes the next bytes of the document.
    pub(in crate::provider) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() && !self.complete {
            let taken = match &mut self.place {
                Place::Outside => self.outside(bytes)?,
                Place::Text { .. } => self.text(bytes),
                Place::Address => self.address(bytes[0]),
                Place::Image { .. } => self.image(bytes),
            };
            bytes = &bytes[taken..];
            if self.rest.len() > MAX_REST {
                return Err(Broken::NotUnderstood("far more around the image than an answer has"));
            }
        }
        Ok(())
    }

    fn outside(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let end = memchr(b'"', bytes).unwrap_or(bytes.len());
        for (at, byte) in bytes[..end].iter().enumerate() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' if self.rest.is_empty() => continue,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                // A page or a line of text: nothing of it is worth keeping.
                _ if self.depth == 0 => return Err(Broken::NotUnderstood("no JSON object")),
                _ => {}
            }
            self.rest.push(*byte);
            if self.depth == 0 {
                self.complete = true;
                return Ok(at + 1);
            }
        }
        if end == bytes.len() {
            return Ok(end);
        }
        if self.depth == 0 {
            return Err(Broken::NotUnderstood("no JSON object"));
        }
        if self.follows(self.shape.data) {
            self.begin_image();
        } else {
            let place = if self.follows(self.shape.address) { Place::Address } else { Place::Text { escaped: false } };
            self.string = self.rest.len();
            self.rest.push(b'"');
            self.place = place;
        }
        Ok(end + 1)
    }

    /// Whether the string before was this key and only a colon stands between.
    fn follows(&self, key: &str) -> bool {
        let before = self.rest[self.string..].strip_prefix(b"\"");
        let behind = before.and_then(|before| before.strip_prefix(key.as_bytes())?.strip_prefix(b"\""));
        behind.is_some_and(|rest| rest.trim_ascii() == b":")
    }

    fn begin_image(&mut self) {
        self.rest.extend(self.images.len().to_string().bytes());
        let decoder = Decoder::with_room(std::mem::take(&mut self.expected));
        self.place = Place::Image { decoder, escape: Escape::None };
    }

    /// Takes a letter of an address: the decoder goes on once it is sure that the address holds its data.
    fn address(&mut self, letter: u8) -> usize {
        let letters = self.rest.len() - self.string - 1;
        if !letter.eq_ignore_ascii_case(&DATA[letters]) {
            self.place = Place::Text { escaped: false };
            return 0;
        }
        self.rest.push(letter);
        if letters + 1 == DATA.len() {
            self.rest.truncate(self.string);
            self.begin_image();
            if let Place::Image { decoder, .. } = &mut self.place {
                decoder.push(DATA);
            }
        }
        1
    }

    fn text(&mut self, bytes: &[u8]) -> usize {
        let Place::Text { escaped } = &mut self.place else { return 0 };
        let (end, closed) = if std::mem::take(escaped) {
            (1, false)
        } else {
            match memchr2(b'"', b'\\', bytes) {
                None => (bytes.len(), false),
                Some(at) => {
                    *escaped = bytes[at] == b'\\';
                    (at + 1, bytes[at] == b'"')
                }
            }
        };
        // One byte more than allowed is kept as the mark of a text that is too long.
        let room = (self.string + MAX_TEXT + 2).saturating_sub(self.rest.len());
        self.rest.extend(&bytes[..end.min(room)]);
        if closed {
            if self.rest.len() - self.string > MAX_TEXT + 1 {
                self.rest.truncate(self.string);
                self.rest.extend(b"\"\"");
            }
            self.place = Place::Outside;
        }
        end
    }

    fn image(&mut self, bytes: &[u8]) -> usize {
        let Place::Image { decoder, escape } = &mut self.place else { return 0 };
        match *escape {
            Escape::None => {
                let end = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                decoder.push(&bytes[..end]);
                match bytes.get(end) {
                    None => return end,
                    Some(b'\\') => *escape = Escape::Begun,
                    Some(_) => {
                        self.images.push(std::mem::take(decoder).finish());
                        self.place = Place::Outside;
                    }
                }
                end + 1
            }
            Escape::Begun => {
                *escape = Escape::None;
                match bytes[0] {
                    b'u' => *escape = Escape::Unicode { digits: 0, value: 0 },
                    b'/' => decoder.push(b"/"),
                    // Lines, as mail writes base64.
                    b'n' | b'r' | b't' => {}
                    _ => decoder.spoil(),
                }
                1
            }
            Escape::Unicode { digits, value } => {
                let digit = char::from(bytes[0]).to_digit(16);
                let value = value * 16 + digit.unwrap_or(0);
                *escape = if digits == 3 { Escape::None } else { Escape::Unicode { digits: digits + 1, value } };
                match (digit, u8::try_from(value)) {
                    (None, _) => decoder.spoil(),
                    _ if digits < 3 => {}
                    (_, Ok(b'\n' | b'\r' | b'\t' | b' ')) => {}
                    (_, Ok(letter)) => decoder.push(&[letter]),
                    (_, Err(_)) => decoder.spoil(),
                }
                1
            }
        }
    }

    /// The document, once all of its bytes came.
    pub(in crate::provider) fn finish(self) -> Result<Document, Broken> {
        if !self.complete {
            return Err(Broken::Truncated);
        }
        let value = serde_json::from_slice(&self.rest).map_err(|_| Broken::NotUnderstood("no JSON"))?;
        Ok(Document { shape: self.shape, value, images: self.images })
    }
}

/// A whole document.
#[derive(Debug)]
pub(in crate::provider) struct Document {
    pub(in crate::provider) shape: Shape,
    /// All of it, with a number in place of each image.
    pub(in crate::provider) value: Value,
    pub(in crate::provider) images: Vec<Option<Vec<u8>>>,
}

/// Where a document has its image.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::provider) enum Found {
    /// In the document, decoded. Not checked to be a picture.
    Image(Vec<u8>),
    /// Elsewhere.
    Url(String),
    /// In the document, but as something that is no base64.
    Broken,
    /// Nowhere.
    Nothing,
}

impl Document {
    /// The text of a member of the document, if it is one.
    pub(in crate::provider) fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key)?.as_str()
    }

    /// A member of the document that is not null.
    pub(in crate::provider) fn member(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// Takes the image out: of the list's first entry that has one, or of the document itself.
    pub(in crate::provider) fn take_image(&mut self) -> Found {
        let entries = self.value.get(self.shape.list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut broken = false;
        for entry in entries.iter().chain([&self.value]) {
            for key in [self.shape.data, self.shape.address] {
                let number = entry.get(key).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
                match number.and_then(|number| self.images.get_mut(number)).map(Option::take) {
                    Some(Some(image)) if !image.is_empty() => return Found::Image(image),
                    Some(None) => broken = true,
                    Some(Some(_)) | None => {}
                }
            }
            if let Some(url) = entry.get(self.shape.address).and_then(Value::as_str).filter(|url| !url.is_empty()) {
                return Found::Url(url.to_owned());
            }
        }
        if broken { Found::Broken } else { Found::Nothing }
    }
}
