//! Server-sent events, read as they come, in time that grows with their length and not with its square.
//!
//! A `data` line of megabytes is never kept: its bytes go on to the event's [`Reader`] as they arrive.

use memchr::memchr2;

use super::document::{Broken, Reader, Shape};

/// Field names and event names are short; what is longer is cut, and so is no name that is known.
const MAX_NAME: usize = 64;

/// One event whose data has come.
#[derive(Debug)]
pub(in crate::provider) struct Event {
    /// Its `event` field; empty when there was none.
    pub(in crate::provider) name: String,
    /// Its data, or why that is no document: what a keep-alive says may be anything.
    pub(in crate::provider) data: Result<Reader, Broken>,
}

/// A stream of events that is still coming.
#[derive(Debug)]
pub(in crate::provider) struct Stream {
    shape: Shape,
    place: Place,
    /// The field name of the line so far.
    field: Vec<u8>,
    name: Vec<u8>,
    data: Option<Result<Reader, Broken>>,
    /// After a carriage return, a line feed belongs to the same line end.
    returned: bool,
    /// Bytes of a byte order mark that the stream began with; all of them once it can't be one any more.
    mark: usize,
}

/// What a stream may begin with, and what is no part of it.
const MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the field name.
    Field,
    /// Behind the colon, where one space is not part of the value.
    Colon(Field),
    /// In the value.
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Name,
    /// Comments, `id`, `retry` and what is unknown.
    Other,
}

impl Stream {
    /// A stream of events whose data has this shape.
    pub(in crate::provider) fn new(shape: Shape) -> Self {
        Self { shape, place: Place::Field, field: Vec::new(), name: Vec::new(), data: None, returned: false, mark: 0 }
    }

    /// Whether no event is on its way: a server may be silent here for as long as it works.
    pub(in crate::provider) fn is_between_events(&self) -> bool {
        self.data.is_none()
    }

    /// Takes bytes off the front of `bytes` until an event is whole; call it again until it gives none.
    pub(in crate::provider) fn next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        while self.mark < MARK.len() && !bytes.is_empty() {
            if bytes[0] == MARK[self.mark] {
                self.mark += 1;
                *bytes = &bytes[1..];
            } else {
                // Only its beginning: it belongs to the first line.
                self.field.extend(&MARK[..self.mark]);
                self.mark = MARK.len();
            }
        }
        while !bytes.is_empty() {
            if std::mem::take(&mut self.returned) && bytes[0] == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let line_end = memchr2(b'\r', b'\n', bytes);
            let mut piece = &bytes[..line_end.unwrap_or(bytes.len())];
            while !piece.is_empty() {
                piece = self.within_line(piece);
            }
            let Some(at) = line_end else {
                *bytes = &[];
                break;
            };
            self.returned = bytes[at] == b'\r';
            *bytes = &bytes[at + 1..];
            if let Some(event) = self.line_end() {
                return Some(event);
            }
        }
        None
    }

    /// Takes a piece of a line; gives what is left of it.
    fn within_line<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        match self.place {
            Place::Field => {
                let colon = memchr::memchr(b':', piece);
                let name = &piece[..colon.unwrap_or(piece.len())];
                self.field.extend(&name[..name.len().min(MAX_NAME - self.field.len())]);
                let Some(colon) = colon else { return &[] };
                self.place = Place::Colon(self.begin_value());
                &piece[colon + 1..]
            }
            Place::Colon(field) => {
                self.place = Place::Value(field);
                piece.strip_prefix(b" ").unwrap_or(piece)
            }
            Place::Value(field) => {
                match field {
                    Field::Data => self.take_data(piece),
                    Field::Name => self.name.extend(&piece[..piece.len().min(MAX_NAME - self.name.len())]),
                    Field::Other => {}
                }
                &[]
            }
        }
    }

    fn begin_value(&mut self) -> Field {
        match self.field.as_slice() {
            b"data" => {
                // Data of several lines is one text, joined by line feeds, which between JSON's values mean nothing.
                self.data.get_or_insert_with(|| Ok(Reader::new(self.shape)));
                Field::Data
            }
            b"event" => {
                self.name.clear();
                Field::Name
            }
            _ => Field::Other,
        }
    }

    fn take_data(&mut self, piece: &[u8]) {
        if let Some(Ok(reader)) = &mut self.data
            && let Err(broken) = reader.feed(piece)
        {
            self.data = Some(Err(broken));
        }
    }

    fn line_end(&mut self) -> Option<Event> {
        let blank = matches!(self.place, Place::Field) && self.field.is_empty();
        self.place = Place::Field;
        self.field.clear();
        if !blank {
            return None;
        }
        let name = String::from_utf8_lossy(&std::mem::take(&mut self.name)).into_owned();
        self.data.take().map(|data| Event { name, data })
    }

    /// The last event, when the stream ended without the blank line behind it but with all of its data.
    pub(in crate::provider) fn finish(self) -> Option<Event> {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        self.data.filter(|data| data.as_ref().is_ok_and(Reader::is_complete)).map(|data| Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::answer::SHAPE;

    /// Name and data of each event of a stream that came in these pieces.
    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut stream = Stream::new(SHAPE);
        let mut events = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(event) = stream.next(&mut piece) {
                events.push(event);
            }
            assert!(piece.is_empty(), "a piece is taken whole");
        }
        events.extend(stream.finish());
        let data = |event: Event| match event.data.and_then(Reader::finish) {
            Ok(document) => (event.name, document.value.to_string()),
            Err(broken) => (event.name, format!("{broken:?}")),
        };
        events.into_iter().map(data).collect()
    }

    fn expect(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, data)| (String::from(*name), String::from(*data))).collect();
        let text = text.as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let found = events(&[&text[..first], &text[first..second], &text[second..]]);
                assert_eq!(found, expected, "cut at {first} and {second}");
            }
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(events(&single), expected);
    }

    #[test]
    fn every_line_end_and_every_cut_gives_the_same_events() {
        for end in ["\n", "\r\n", "\r"] {
            let text =
                ["event: a", "data: {\"x\":1}", "", ": still working", "", "data:{}", "id: 7", "event:b", "", ""]
                    .join(end);
            expect(&text, &[("a", "{\"x\":1}"), ("b", "{}")]);
        }
    }

    #[test]
    fn data_of_several_lines_is_one_document() {
        expect("data: {\"x\":\ndata: [1,\ndata\ndata:2]}\n\n", &[("", "{\"x\":[1,2]}")]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_stream() {
        expect("\u{feff}data: {}\n\n", &[("", "{}")]);
        expect("\u{feff}\u{feff}data: {}\n\n", &[]);
        assert_eq!(events(&[b"\xef\xbb", b"data: 1\n\ndata: {}\n\n"]), [(String::new(), "{}".to_owned())]);
    }

    #[test]
    fn a_name_without_data_is_no_event() {
        expect("event: a\n\ndata: {}\n\n", &[("", "{}")]);
    }

    #[test]
    fn an_event_without_a_blank_line_counts_when_its_data_is_whole() {
        expect("event: a\ndata: {}", &[("a", "{}")]);
        expect("event: a\ndata: {\"x\":", &[]);
    }

    #[test]
    fn data_that_is_no_document_spoils_only_its_own_event() {
        expect("data: ping\n\ndata: {}\n\n", &[("", "NotUnderstood(\"no JSON object\")"), ("", "{}")]);
    }

    #[test]
    fn names_are_cut_not_collected() {
        let mut stream = Stream::new(SHAPE);
        let long = vec![b'x'; 100_000];
        let mut field: &[u8] = &long;
        assert!(stream.next(&mut field).is_none());
        let mut name: &[u8] = &[b"\nevent: ", &long[..]].concat();
        assert!(stream.next(&mut name).is_none());
        assert!(stream.field.len() + stream.name.len() <= 2 * MAX_NAME);
    }
}
