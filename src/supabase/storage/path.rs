//! Paths of objects: which ones Storage takes, and how they stand in an address.

use reqwest::Url;

use super::Error;

/// Longest path that Storage takes.
const MAX_PATH: usize = 1_024;

/// Refuses what Storage refuses, and what would name another object once it stands in an address: empty, `.` and `..` segments.
pub(super) fn check(path: &str) -> Result<(), Error> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_/!.*'() &$=@;:+,?-".contains(letter);
    let plain = |segment: &str| !matches!(segment, "" | "." | "..");
    if path.len() <= MAX_PATH && path.chars().all(allowed) && path.split('/').all(plain) {
        Ok(())
    } else {
        Err(Error::InvalidPath { path: path.chars().take(200).flat_map(char::escape_default).collect() })
    }
}

/// The path as it stands in an address, for callers that put it there themselves.
pub(super) fn encode(path: &str) -> Result<String, Error> {
    check(path)?;
    let mut url = Url::parse("http://localhost/").map_err(|_| Error::InvalidPath { path: String::new() })?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path.split('/'));
    }
    Ok(url.path().trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_segment_by_segment() {
        assert_eq!(encode("u/sources/a-1.png").unwrap(), "u/sources/a-1.png");
        assert_eq!(encode("u/a b?c=(1)&d;e.png").unwrap(), "u/a%20b%3Fc=(1)&d;e.png");
    }

    #[test]
    fn a_path_that_could_name_another_object_is_refused() {
        let long = "a".repeat(MAX_PATH + 1);
        for path in
            ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a%2fb", "a#b", "a\\b", "ü.png", "a\nb", long.as_str()]
        {
            assert!(matches!(encode(path), Err(Error::InvalidPath { .. })), "{path}");
        }
        assert!(encode("a/..b/...").is_ok());
    }
}
