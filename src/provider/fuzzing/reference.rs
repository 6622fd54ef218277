//! The same answers, read the simple way: all at once, with no care for memory.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Texts from this length on may be left out, and documents from this length on be refused.
const LONG: usize = 60 * 1024;

/// The bytes of a base64 text, if it is one; also behind the head of a data address.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let scheme = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"));
    let text = match text.iter().position(|byte| *byte == b',') {
        Some(comma) if scheme && comma <= 256 => {
            text[..comma].to_ascii_lowercase().ends_with(b";base64").then(|| &text[comma + 1..])?
        }
        _ => text,
    };
    let forgiving = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, forgiving).decode(text).ok()
}

/// Holds what was found in `data` against what a JSON parser finds there.
pub(super) fn compare(data: &[u8], found: Option<&(Value, Vec<Option<Vec<u8>>>)>) {
    let expected = serde_json::Deserializer::from_slice(data).into_iter::<Value>().next().and_then(Result::ok);
    match (expected.filter(|value| value.is_object() || value.is_array()), found) {
        (Some(expected), Some((value, images))) if data.len() < LONG => same(&expected, value, images),
        (Some(expected), None) => assert!(data.len() >= LONG, "not read: {expected}"),
        // Only what stands within an image or a text that is left out is not looked at by a parser.
        (None, Some((value, images))) => {
            assert!(data.len() >= LONG || images.contains(&None), "a parser refuses what was read as {value}");
        }
        _ => {}
    }
}

/// Makes sure that two values are the same, but for the numbers that stand in the place of images.
fn same(expected: &Value, found: &Value, images: &[Option<Vec<u8>>]) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            assert!(expected.keys().eq(found.keys()));
            for (key, expected) in expected {
                match (expected, &found[key]) {
                    (Value::String(text), Value::Number(number)) if key == "b64_json" || is_data(key, text) => {
                        let number = number.as_u64().and_then(|number| usize::try_from(number).ok());
                        let image = number.and_then(|number| images.get(number)).expect("a number names an image");
                        image_is(text, image.as_deref());
                    }
                    (expected, found) => same(expected, found, images),
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len());
            expected.iter().zip(found).for_each(|(expected, found)| same(expected, found, images));
        }
        (expected, found) => assert_eq!(expected, found),
    }
}

/// Whether an address holds its data.
fn is_data(key: &str, text: &str) -> bool {
    key == "url" && text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

fn image_is(text: &str, image: Option<&[u8]>) {
    // Written as an escape, a space is passed over like a line end; written as itself, it spoils the text.
    if !text.contains(' ') {
        let text: String = text.chars().filter(|letter| !matches!(letter, '\n' | '\r' | '\t')).collect();
        assert_eq!(image, base64(text.as_bytes()).as_deref(), "{text:?}");
    }
}

/// Names and data of the events of a whole stream. Data of several lines is joined without the line end, which a JSON text can do without.
pub(super) fn events(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
    let mut events = Vec::new();
    let (mut name, mut text) = (String::new(), None::<Vec<u8>>);
    let lines = lines(data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data));
    let last = lines.len() - 1;
    for (at, line) in lines.iter().enumerate() {
        // What stands behind the last line end is a line that is still coming, and never a blank one.
        if line.is_empty() && at < last {
            let name = std::mem::take(&mut name);
            events.extend(text.take().map(|text| (name, text)));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = &line[colon + 1..];
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => text.get_or_insert_default().extend(value),
            b"event" => name = cut(value),
            _ => {}
        }
    }
    // The last event may lack its blank line, when its data is whole.
    let whole = |text: &Vec<u8>| {
        let mut reader = super::Reader::new(super::SHAPE);
        reader.feed(text).is_ok() && reader.is_complete()
    };
    events.extend(text.filter(whole).map(|text| (name, text)));
    events
}

/// Lines that end with a carriage return, a line feed, or both. The last one has no end.
fn lines(data: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < data.len() {
        let end = at;
        at += match data[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push(&data[start..end]);
        start = at;
    }
    lines.push(&data[start..]);
    lines
}
