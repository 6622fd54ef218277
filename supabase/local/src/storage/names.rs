//! Which names objects and buckets may have: the characters that the real server lets through.

use super::refusal::Refusal;

/// A path inside a bucket.
pub(super) fn object(name: &str) -> Result<(), Refusal> {
    let valid = !name.is_empty() && name.chars().all(|letter| letter == '/' || is_safe(letter));
    if valid { Ok(()) } else { Err(Refusal::Key(name.to_owned())) }
}

/// The id of a bucket, which has no folders.
pub(super) fn bucket(name: &str) -> Result<(), Refusal> {
    let valid = !name.is_empty() && name.len() <= 100 && name.trim() == name && name.chars().all(is_safe);
    if valid { Ok(()) } else { Err(Refusal::BucketName) }
}

fn is_safe(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_!-.*'() &$@=;:+,?".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_ascii_without_the_characters_that_urls_and_shells_trip_over() {
        assert!(object("6f1d/sources/a photo (1).png").is_ok());
        assert!(object("!-.*'() &$@=;:+,?_/0").is_ok());
        for bad in ["", "grüße.png", "a%20b", "a#b", "a\\b", "a\"b", "a~b", "a\nb", "[x]", "{x}"] {
            assert!(matches!(object(bad), Err(Refusal::Key(key)) if key == bad), "{bad:?}");
        }
    }

    #[test]
    fn a_bucket_is_named_without_slash_and_in_a_hundred_characters() {
        assert!(bucket("generated-carousels").is_ok());
        assert!(bucket("a/b").is_err());
        assert!(bucket("").is_err());
        assert!(bucket(&"x".repeat(101)).is_err());
    }
}
