//! What must hold for any path that a row names, and for any bytes that Storage sends. Tried as [`crate::fuzzing`] says.

use std::sync::LazyLock;

use super::*;
use crate::supabase::BadFile;

const KEY: &str = "sb_secret_0123456789abcdef";

static STORAGE: LazyLock<Storage> = LazyLock::new(|| {
    let patience = Duration::from_secs(1);
    Storage::new(Settings {
        url: "https://project.example/base".parse().expect("it is an address"),
        certificates: Vec::new(),
        secret_key: KEY.into(),
        bucket: "bucket".into(),
        connect_timeout: patience,
        silence_timeout: patience,
        total_timeout: patience,
    })
    .expect("the settings are usable")
});

/// A path that is taken names its own object and no other place.
pub fn path(data: &[u8]) {
    let path = String::from_utf8_lossy(data);
    match STORAGE.object("object", &path) {
        Ok(url) => {
            assert_eq!(url.origin().ascii_serialization(), "https://project.example");
            assert_eq!((url.query(), url.fragment()), (None, None), "{url}");
            let encoded = url.path().strip_prefix("/base/storage/v1/object/bucket/").expect("it lies in the bucket");
            assert_eq!(unescaped(encoded), path.as_bytes(), "{url}");
            assert_eq!(encoded.split('/').count(), path.split('/').count(), "{url}");
        }
        Err(Error::BadFile(BadFile::InvalidPath { path })) => {
            assert!(path.len() <= 2_000 && path.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{path}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Percent-encoded bytes, read the simple way.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        (bytes, rest) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("two digits follow") as u8;
                ([bytes, vec![digit(high) * 16 + digit(low)]].concat(), after)
            }
            _ => ([bytes, vec![*first]].concat(), after),
        };
    }
    bytes
}

/// A refusal's status line and body become one line of words without the key.
pub fn refusal(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1);
    let status = std::str::from_utf8(&data[..end]).ok().and_then(|line| line.trim().parse().ok()).unwrap_or(400);
    let error = STORAGE.refused(status, &data[end..]);
    let line = error.to_string();
    assert!(line.chars().count() <= 500, "{line}");
    assert!(!line.chars().any(|letter| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}')), "{line:?}");
    assert!(!line.contains(KEY), "{line}");
}
