//! Paths of objects: which ones Storage takes, and how they stand in an address.

use reqwest::Url;

use super::refusal::BadFile;

/// Longest path that Storage takes.
const MAX_PATH: usize = 1_024;

/// Refuses what Storage refuses, and what would name another object once it stands in an address: empty, `.` and `..` segments.
pub(super) fn check(path: &str) -> Result<(), BadFile> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_/!.*'() &$=@;:+,?-".contains(letter);
    let plain = |segment: &str| !matches!(segment, "" | "." | "..");
    if path.len() <= MAX_PATH && path.chars().all(allowed) && path.split('/').all(plain) {
        Ok(())
    } else {
        Err(BadFile::InvalidPath { path: path.chars().take(200).flat_map(char::escape_default).collect() })
    }
}

/// An address of Storage's in the project at `base`.
pub(super) fn address<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["storage", "v1"]).extend(segments);
    }
    url
}

/// The address of an object of `bucket`, behind `what` is to be done with it.
pub(super) fn object(base: &Url, what: &str, bucket: &str, path: &str) -> Result<Url, BadFile> {
    check(path)?;
    Ok(address(base, what.split('/').chain([bucket]).chain(path.split('/'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(path: &str) -> Result<String, BadFile> {
        let base = "http://localhost/base/".parse().unwrap();
        let url = object(&base, "object/public", "b", path)?;
        Ok(url.as_str().strip_prefix("http://localhost/base/storage/v1/object/public/b/").unwrap().to_owned())
    }

    #[test]
    fn a_path_is_encoded_segment_by_segment() {
        assert_eq!(encoded("u/sources/a-1.png").unwrap(), "u/sources/a-1.png");
        assert_eq!(encoded("u/a b?c=(1)&d;e.png").unwrap(), "u/a%20b%3Fc=(1)&d;e.png");
    }

    #[test]
    fn a_path_that_could_name_another_object_is_refused() {
        let long = "a".repeat(MAX_PATH + 1);
        for path in
            ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a%2fb", "a#b", "a\\b", "ü.png", "a\nb", long.as_str()]
        {
            assert!(encoded(path).is_err(), "{path}");
        }
        assert!(encoded("a/..b/...").is_ok());
    }
}
