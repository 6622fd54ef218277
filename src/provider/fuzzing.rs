//! What must hold for any bytes that a provider sends. Tried as [`crate::fuzzing`] says.

mod reference;

use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::answer::SHAPE;
use super::refusal::{self, Head};
use super::usage::Usage;
use super::wire::base64::Decoder;
use super::wire::document::{Broken, Document, Reader};
use super::wire::events::{Event, Stream};
use super::{Error, MAX_RETRY_AFTER, PriceTable, retry_after};
use crate::address;
use crate::words::Secrets;

/// Stand in seeds, so that a fuzzer can put them where they must not come out.
const KEY: &str = "sk-proj-0123456789abcdef";
const PROMPT: &str = "a portrait of Ada Lovelace, as a wood engraving";

/// `data` with long texts written short: a byte 1, a letter and a number stand for so many times 8 KB of the letter.
fn unfolded(data: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::new(), data);
    loop {
        rest = match rest {
            _ if text.len() > 1024 * 1024 => return text,
            [1, letter, count, after @ ..] => {
                text.resize(text.len() + usize::from(*count % 16) * 8 * 1024, *letter);
                after
            }
            [letter, after @ ..] => {
                text.push(*letter);
                after
            }
            [] => return text,
        }
    }
}

/// `data` as it might come from a network: whole, byte by byte, and cut at places that follow from its content. Long data is cut into longer pieces.
fn arrivals(data: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut seed = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| (seed ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let (mut cut, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (piece, after) = rest.split_at(rest.len().min((seed >> 33) as usize % (24 + data.len() / 256)));
        cut.push(piece);
        rest = after;
    }
    [vec![data], data.chunks(1 + data.len() / 4096).collect(), cut]
}

/// What `read` makes of `data`, which must not depend on how it arrives.
fn however_it_arrives<T: PartialEq + std::fmt::Debug>(data: &[u8], read: impl Fn(&[&[u8]]) -> T) -> T {
    let [whole, single, cut] = arrivals(data);
    let found = read(&whole);
    assert_eq!(read(&single), found, "byte by byte");
    assert_eq!(read(&cut), found, "cut as {:?}", cut.iter().map(|piece| piece.len()).collect::<Vec<_>>());
    found
}

/// Base64 in pieces is what it is as a whole.
pub fn base64(data: &[u8]) {
    let found = however_it_arrives(data, |pieces| {
        let mut decoder = Decoder::default();
        pieces.iter().for_each(|piece| decoder.push(piece));
        decoder.finish()
    });
    assert_eq!(found, reference::base64(data));
}

fn read_document(pieces: &[&[u8]]) -> Result<Document, Broken> {
    let mut reader = Reader::new(SHAPE);
    pieces.iter().try_for_each(|piece| reader.feed(piece))?;
    reader.finish()
}

/// A document is what a JSON parser makes of it, but for its images, and its tokens fit the rows.
pub fn document(data: &[u8]) {
    let data = &unfolded(data)[..];
    let found =
        however_it_arrives(data, |pieces| read_document(pieces).map(|document| (document.value, document.images)));
    reference::compare(data, found.as_ref().ok());
    if let Ok((value, images)) = found {
        usage(value.get("usage").unwrap_or(&value).clone());
        drop(Document { shape: SHAPE, value, images }.take_image());
    }
}

/// Whatever a provider counts can be stored and paid.
fn usage(raw: Value) {
    let usage = Usage::from(raw);
    let text = usage.raw.to_string();
    assert!(text.len() <= 16 * 1024 && !text.contains("\\u0000"), "{text}");
    // The database reads these as whole numbers when it adds them up.
    for path in
        ["/input_tokens_details/text_tokens", "/input_tokens_details/image_tokens", "/output_tokens", "/total_tokens"]
    {
        assert!(usage.raw.pointer(path).is_none_or(|count| count.as_u64().is_some()), "{path} in {text}");
    }
    let cost = PriceTable::default().cost("gpt-image-2", &usage).unwrap_or(-1);
    assert!((0..10_000_000_000).contains(&cost), "a hundred of {cost} fit a row's amount");
    assert_eq!(Usage::from(usage.raw.clone()), usage, "it is read again as it was written");
}

/// A stream of events is what its lines say, however they are cut, and each event's data is a document.
pub fn events(data: &[u8]) {
    let data = &unfolded(data)[..];
    let found = however_it_arrives(data, |pieces| {
        let mut stream = Stream::new(SHAPE);
        let mut events = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(event) = stream.next(&mut piece) {
                events.push(event);
            }
            assert!(piece.is_empty(), "a piece is taken whole");
        }
        events.extend(stream.finish());
        let told = |event: Event| (event.name, event.data.and_then(Reader::finish).map(|data| data.value));
        events.into_iter().map(told).collect::<Vec<_>>()
    });
    let expected: Vec<_> = reference::events(data)
        .into_iter()
        .map(|(name, data)| (name, read_document(&[&data]).map(|document| document.value)))
        .collect();
    assert_eq!(found, expected);
}

/// A status, header lines, an empty line and a body become one line of words without secrets, and a wait that is believed.
pub fn refusal(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, _) = text.split_once("\n\n").unwrap_or((&text, ""));
    let end = data.windows(2).position(|pair| pair == b"\n\n").map_or(data.len(), |at| at + 2);
    let body = &data[end..];
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.trim().parse::<u16>().ok()).filter(|status| *status >= 300);
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim())) {
            headers.append(name, value);
        }
    }
    let head = Head::read(status.unwrap_or(500), &headers);
    let secrets = Secrets { key: KEY, prompt: PROMPT };
    harmless(&refusal::by_status(&head, body, secrets));
    if let Ok(body) = serde_json::from_slice(body) {
        harmless(&refusal::in_success(&head, &body, secrets));
    }
}

fn harmless(error: &Error) {
    let line = error.to_string();
    assert!(line.chars().count() <= 1_000, "{line}");
    assert!(!line.chars().any(|letter| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}')), "{line:?}");
    let told = format!("{error:?}");
    assert!(!told.contains(KEY) && !told.contains(&PROMPT[..25]), "{told}");
    assert!(error.retry_after().is_none_or(|wait| wait <= MAX_RETRY_AFTER));
}

/// A line of `retry-after-ms` and one of `retry-after` give a wait that is believed, or none.
pub fn wait(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    for name in ["retry-after-ms", "retry-after"] {
        if let Some(value) = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    let found = retry_after::read(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    assert!(found.is_none_or(|wait| wait <= MAX_RETRY_AFTER), "{found:?}");
    let whole = headers.get("retry-after-ms").and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    if let Some(milliseconds) = whole {
        let expected = Duration::from_millis(milliseconds.into()).min(MAX_RETRY_AFTER).as_secs_f64();
        assert!((found.unwrap_or_default().as_secs_f64() - expected).abs() < 1e-6, "{found:?} for {milliseconds} ms");
    }
}

/// An address is fetched only from a listed host, over a safe scheme, with nobody's name in it.
pub fn address(data: &[u8]) {
    let hosts = ["cdn.example".to_owned(), "127.0.0.1:8080".to_owned()];
    let address = String::from_utf8_lossy(data);
    for base in ["https://api.example/v1", "http://127.0.0.1:1/v1"] {
        let base = Url::parse(base).expect("it is an address");
        let Some(url) = address::allowed(&address, &hosts, &base) else { continue };
        let origin = url.origin().ascii_serialization();
        let secure = matches!(origin.as_str(), "https://cdn.example" | "https://127.0.0.1:8080");
        let plain = matches!(origin.as_str(), "http://cdn.example" | "http://127.0.0.1:8080");
        assert!(secure || (plain && base.scheme() == "http"), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    }
}
