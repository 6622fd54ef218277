use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::provider::answer::SHAPE;

fn read(pieces: &[&[u8]]) -> Result<Document, Broken> {
    let mut reader = Reader::new(SHAPE);
    pieces.iter().try_for_each(|piece| reader.feed(piece))?;
    reader.finish()
}

/// The image of a document, which must be the same however the document is cut.
fn image(text: &str) -> Found {
    let whole = read(&[text.as_bytes()]).unwrap().take_image();
    let bytes = text.as_bytes();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(read(&pieces).unwrap().take_image(), whole, "{text} cut at {first} and {second}");
        }
    }
    whole
}

fn found(bytes: &[u8]) -> Found {
    Found::Image(bytes.to_vec())
}

#[test]
fn an_image_is_found_wherever_it_stands() {
    for text in [
        r#"{"data":[{"b64_json":"AQID"}],"usage":{"total_tokens":3}}"#,
        r#" {"usage":null,"data" : [ { "url":null, "b64_json" : "AQID" , "x":[{"y":"}]\\\""}] } ] } "#,
        r#"{"b64_json":"AQID","type":"image_edit.completed"}"#,
        r#"{"debug":{"b64_json":"////"},"data":[null,{"b64_json":null},{"b64_json":"AQID"}]}"#,
        r#"{"data":[{"b64_json":"","url":""},{"b64_json":"AQID"}]}"#,
    ] {
        assert_eq!(image(text), found(&[1, 2, 3]), "{text}");
    }
}

#[test]
fn escapes_in_an_image_are_read() {
    assert_eq!(image(r#"{"b64_json":"\/\/\/\/"}"#), found(&[255, 255, 255]));
    assert_eq!(image(r#"{"b64_json":"AQ\nID\r\n\u0042\u0041\u003d="}"#), found(&[1, 2, 3, 4]));
}

#[test]
fn a_url_in_place_of_an_image_is_found() {
    let text = r#"{"data":[{"b64_json":null,"url":"https:\/\/a.example\/b?c"}]}"#;
    assert_eq!(image(text), Found::Url("https://a.example/b?c".into()));
}

#[test]
fn an_image_that_is_no_base64_is_told_from_none() {
    for text in
        [r#"{"b64_json":"A*ID"}"#, r#"{"b64_json":"AQ\u20ac"}"#, r#"{"b64_json":"AQ\u00zz"}"#, r#"{"b64_json":"A"}"#]
    {
        assert_eq!(image(text), Found::Broken, "{text}");
    }
    for text in ["{}", r#"{"data":null}"#, r#"{"data":{"0":1}}"#, r#"{"data":[]}"#, r#"{"b64_json":7}"#, "[1]"] {
        assert_eq!(image(text), Found::Nothing, "{text}");
    }
}

#[test]
fn a_cut_document_is_truncated_wherever_it_is_cut() {
    let text = r#"{"data":[{"b64_json":"AQID"}],"usage":{"a":"b\\"}}"#;
    for end in 0..text.len() {
        assert_eq!(read(&[&text.as_bytes()[..end]]).err(), Some(Broken::Truncated), "cut at {end}");
    }
}

#[test]
fn what_is_no_json_is_not_understood() {
    for text in ["<html>", "upstream error", "\"text\"", "12", "{]", "{\"a\" 1}", "{\"a\":tru}"] {
        assert!(matches!(read(&[text.as_bytes()]), Err(Broken::NotUnderstood(_))), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(read(&[deep.as_bytes()]), Err(Broken::NotUnderstood(_))));
}

#[test]
fn what_follows_the_end_is_not_looked_at() {
    assert_eq!(image(r#"{"b64_json":"AQID"} trailing {"#), found(&[1, 2, 3]));
}

#[test]
fn long_texts_read_as_empty_and_the_rest_stays() {
    for length in [MAX_TEXT - 2, MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1, MAX_TEXT + 2, 3 * MAX_TEXT] {
        let text = format!(r#"{{"echo":"{}\"","b64_json":"AQID"}}"#, "x".repeat(length));
        for size in [1_000, 65_536, 1_000_000] {
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            let mut document = read(&pieces).unwrap();
            let kept = document.text("echo").unwrap().len();
            assert!(kept == length + 1 || (kept == 0 && length + 3 > MAX_TEXT), "{length}: {kept}");
            assert_eq!(document.take_image(), found(&[1, 2, 3]));
        }
    }
}

#[test]
fn endless_rubbish_is_not_collected() {
    let mut reader = Reader::new(SHAPE);
    reader.feed(b"{").unwrap();
    let result = (0..1_000).try_for_each(|_| reader.feed("\"key\":1,".repeat(1_000).as_bytes()));
    assert!(matches!(result, Err(Broken::NotUnderstood(_))));
    assert!(reader.rest.len() < 2 * MAX_REST);
    // Spaces before the document are how a proxy keeps a connection alive.
    let mut reader = Reader::new(SHAPE);
    (0..1_000).for_each(|_| reader.feed(&[b' '; 1_000]).unwrap());
    reader.feed(br#"{"b64_json":"AQID"}"#).unwrap();
    assert_eq!(reader.finish().unwrap().take_image(), found(&[1, 2, 3]));
}

#[test]
fn a_large_image_in_pieces_of_any_size_is_the_same_image() {
    let image: Vec<u8> = (0..3_000_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let text = format!(r#"{{"data":[{{"b64_json":"{}"}}]}}"#, STANDARD.encode(&image).replace('/', "\\/"));
    let mut rest = text.as_bytes();
    let mut reader = Reader::with_room(SHAPE, text.len());
    let mut step = 1;
    while !rest.is_empty() {
        step = step * 31 % 70_001;
        let (piece, after) = rest.split_at(rest.len().min(step));
        reader.feed(piece).unwrap();
        rest = after;
    }
    assert!(reader.finish().unwrap().take_image() == Found::Image(image));
}
