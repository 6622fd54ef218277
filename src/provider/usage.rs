//! The tokens that one edit was billed for, as the provider counted them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// No edit has so many tokens; a count beyond it is taken for nonsense, and no sum of such counts overflows.
const MAX_TOKENS: u64 = 10_000_000;
/// Members that are kept of the provider's words; those that are known are some ten.
const MAX_MEMBERS: usize = 64;
/// Longest name of a member that is kept.
const MAX_NAME: usize = 64;
/// Objects within objects that are kept.
const MAX_DEPTH: usize = 3;

/// Tokens of one edit. Serialises as the provider wrote them, so that a row keeps counts that are not understood here.
///
/// Where a server doesn't tell text from image, the dearer image is assumed, and where it doesn't tell which tokens were cached, the cheaper text: a cost
/// that is computed from this may be too high, never too low.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Usage {
    /// Text of the prompt, without what was cached.
    pub input_text: u64,
    /// Source images, without what was cached.
    pub input_image: u64,
    /// Text of the prompt that the provider had in its cache.
    pub input_text_cached: u64,
    /// Source images that the provider had in its cache.
    pub input_image_cached: u64,
    /// Text that came back.
    pub output_text: u64,
    /// Images that came back, previews among them.
    pub output_image: u64,
    /// All tokens, by the provider's own sum.
    pub total: u64,
    /// The provider's counts, by its own names. What is no count is left out: a row could not take it, or the database not add it up.
    pub raw: Value,
}

/// The counts in an object and in the objects within it.
fn counts(raw: Value, depth: usize, room: &mut usize) -> Value {
    let Value::Object(members) = raw else { return Value::Object(Map::new()) };
    let kept = members.into_iter().filter_map(|(name, value)| {
        let plain =
            name.len() <= MAX_NAME && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
        if !plain || *room == 0 {
            return None;
        }
        *room -= 1;
        match value {
            Value::Number(count) if count.as_u64().is_some_and(|count| count <= MAX_TOKENS) => {
                Some((name, Value::Number(count)))
            }
            // What is named like a count is one or nothing.
            Value::Object(_) if depth < MAX_DEPTH && !name.ends_with("_tokens") => {
                Some((name, counts(value, depth + 1, room)))
            }
            _ => None,
        }
    });
    Value::Object(kept.collect())
}

impl From<Value> for Usage {
    fn from(raw: Value) -> Self {
        let mut room = MAX_MEMBERS;
        let raw = counts(raw, 0, &mut room);
        let count = |path: &str| raw.pointer(path).and_then(Value::as_u64);
        let (input, output) = (count("/input_tokens").unwrap_or(0), count("/output_tokens").unwrap_or(0));
        let text = count("/input_tokens_details/text_tokens");
        let image = count("/input_tokens_details/image_tokens");
        let text = text.unwrap_or_else(|| image.map_or(0, |image| input.saturating_sub(image)));
        let image = image.unwrap_or_else(|| input.saturating_sub(text));

        let cached = count("/input_tokens_details/cached_tokens").unwrap_or(0);
        let text_cached = count("/input_tokens_details/cached_tokens_details/text_tokens");
        let image_cached = count("/input_tokens_details/cached_tokens_details/image_tokens");
        let text_cached = text_cached.unwrap_or_else(|| cached.saturating_sub(image_cached.unwrap_or(0))).min(text);
        let image_cached = image_cached.unwrap_or_else(|| cached.saturating_sub(text_cached)).min(image);

        let output_text = count("/output_tokens_details/text_tokens").unwrap_or(0);
        let output_image = count("/output_tokens_details/image_tokens");
        Self {
            input_text: text - text_cached,
            input_image: image - image_cached,
            input_text_cached: text_cached,
            input_image_cached: image_cached,
            output_text,
            output_image: output_image.unwrap_or_else(|| output.saturating_sub(output_text)),
            total: count("/total_tokens").unwrap_or(input + output),
            raw,
        }
    }
}

impl From<Usage> for Value {
    fn from(usage: Usage) -> Self {
        usage.raw
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_image_and_cached_tokens_are_told_apart() {
        let usage = Usage::from(json!({
            "input_tokens": 350, "output_tokens": 4160, "total_tokens": 4510,
            "input_tokens_details": { "text_tokens": 27, "image_tokens": 323,
                "cached_tokens_details": { "text_tokens": 7, "image_tokens": 23 } },
            "output_tokens_details": { "text_tokens": 10, "image_tokens": 4150 },
        }));
        assert_eq!((usage.input_text, usage.input_text_cached), (20, 7));
        assert_eq!((usage.input_image, usage.input_image_cached), (300, 23));
        assert_eq!((usage.output_text, usage.output_image, usage.total), (10, 4150, 4510));
    }

    #[test]
    fn what_is_not_told_is_taken_for_the_dearer_kind() {
        let usage = Usage::from(json!({ "input_tokens": 100, "output_tokens": 50, "input_tokens_details": null }));
        assert_eq!((usage.input_text, usage.input_image, usage.output_image, usage.total), (0, 100, 50, 150));
        let usage = Usage::from(
            json!({ "input_tokens": 100, "input_tokens_details": { "text_tokens": 30, "cached_tokens": 40 } }),
        );
        assert_eq!((usage.input_text_cached, usage.input_image_cached), (30, 10));
        assert_eq!((usage.input_text, usage.input_image), (0, 60));
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        for raw in [
            json!(null),
            json!([1]),
            json!({ "input_tokens": -5 }),
            json!({ "output_tokens": u64::MAX, "total_tokens": 1.5 }),
        ] {
            let usage = Usage::from(raw);
            assert_eq!((usage.input_text, usage.input_image, usage.output_image, usage.total), (0, 0, 0, 0));
        }
    }

    #[test]
    fn what_a_row_could_not_take_is_left_out() {
        let usage = Usage::from(json!({
            "input_tokens": "many", "output_tokens": 1.5, "total_tokens": { "x": 1 }, "note": "\u{0}", "\u{0}": 1, "new": 2, "list": [1],
            "input_tokens_details": { "text_tokens": { "x": 1 }, "image_tokens": 7 },
        }));
        assert_eq!(usage.raw, json!({ "new": 2, "input_tokens_details": { "image_tokens": 7 } }));
        let many: Map<_, _> =
            (0..10_000).map(|at| (format!("count_{at}"), json!({ "deep": { "deeper": {} } }))).collect();
        assert!(Usage::from(Value::Object(many)).raw.to_string().len() < 4_000);
    }

    #[test]
    fn a_row_keeps_the_counts_of_the_provider() {
        let raw = json!({ "input_tokens": 3, "output_tokens": 4, "something_new": { "x": 1 } });
        let usage: Usage = serde_json::from_value(raw.clone()).unwrap();
        assert_eq!(serde_json::to_value(&usage).unwrap(), raw);
    }
}
