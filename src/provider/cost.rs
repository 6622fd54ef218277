//! What an edit cost, from its tokens and a table of prices.
//!
//! The provider states no amounts, only tokens. Prices are kept in whole millionths of a dollar for a million tokens and the sum is rounded once, so that a
//! thousand edits cost a thousand times one edit.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Edit;
use super::usage::Usage;

/// Highest cost of one edit, in millionths of a dollar: the amount in a job's row has room for a hundred of them.
const MAX_COST: i64 = 9_999_999_999;

/// What a million tokens of each kind cost. Read from configuration as dollars: `{"text_in": 5, "text_in_cached": 1.25, ...}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Text of the prompt, in millionths of a dollar for a million tokens.
    #[serde(deserialize_with = "dollars")]
    pub text_in: u64,
    /// Text of the prompt that was cached.
    #[serde(deserialize_with = "dollars")]
    pub text_in_cached: u64,
    /// Source images.
    #[serde(deserialize_with = "dollars")]
    pub image_in: u64,
    /// Source images that were cached.
    #[serde(deserialize_with = "dollars")]
    pub image_in_cached: u64,
    /// Images that come back. Text that comes back has no price of its own and is counted as if it were image.
    #[serde(deserialize_with = "dollars")]
    pub image_out: u64,
}

/// Reads an amount of dollars with up to six decimals.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let dollars = f64::deserialize(deserializer)?;
    if !(0.0..=1_000_000.0).contains(&dollars) {
        return Err(serde::de::Error::custom("a price is an amount of dollars from 0 to 1000000"));
    }
    Ok((dollars * 1e6).round() as u64)
}

impl Prices {
    /// What these tokens cost, in millionths of a dollar, half a millionth rounded up; at most 9,999.999999 dollars.
    pub fn cost(&self, usage: &Usage) -> i64 {
        let kinds = [
            (usage.input_text, self.text_in),
            (usage.input_text_cached, self.text_in_cached),
            (usage.input_image, self.image_in),
            (usage.input_image_cached, self.image_in_cached),
            (usage.output_image, self.image_out),
            (usage.output_text, self.image_out),
        ];
        let sum: u128 = kinds.into_iter().map(|(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        i64::try_from((sum + 500_000) / 1_000_000).unwrap_or(MAX_COST).min(MAX_COST)
    }
}

/// The prices of all known models, by the beginning of their names; the longest that fits counts.
///
/// Configuration overrides and adds entries as JSON: `{"gpt-image-2.5-flare": {"text_in": 5, ...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct PriceTable(BTreeMap<String, Prices>);

impl Default for PriceTable {
    /// The published prices of the gpt-image-2 family as of November 2026.
    fn default() -> Self {
        let prices = Prices {
            text_in: 5_000_000,
            text_in_cached: 1_250_000,
            image_in: 8_000_000,
            image_in_cached: 2_000_000,
            image_out: 30_000_000,
        };
        Self(BTreeMap::from([("gpt-image-2".to_owned(), prices)]))
    }
}

impl PriceTable {
    /// This table with the entries of `other` added, or put in place of its own.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The prices of a model, or nothing when no entry fits its name.
    pub fn prices(&self, model: &str) -> Option<&Prices> {
        let fitting = self.0.iter().filter(|(prefix, _)| model.starts_with(prefix.as_str()));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, prices)| prices)
    }

    /// What an edit by `model` cost, in millionths of a dollar, or nothing when the model has no price.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<i64> {
        self.prices(model).map(|prices| prices.cost(usage))
    }

    /// What an edit may cost, in millionths of a dollar, before it is made; nothing when its model has no price.
    ///
    /// No public formula gives the tokens: these are of the right order, and rather too many.
    pub fn estimate(&self, edit: &Edit) -> Option<i64> {
        // Output tokens of 1024 x 1024.
        let square: u64 = match edit.quality.as_deref() {
            Some("low") => 300,
            Some("medium") => 2_000,
            Some("xhigh") => 11_000,
            Some("max") => 15_000,
            _ => 7_500,
        };
        let pixels = u64::from(edit.size.width) * u64::from(edit.size.height);
        let picture = (square * pixels).div_ceil(1 << 20) + 100 * u64::from(edit.partial_images);
        let text = edit.prompt.chars().count() as u64;
        let image = 1_500 * edit.sources.len() as u64;
        let tokens = serde_json::json!({
            "input_tokens": text + image, "output_tokens": picture,
            "input_tokens_details": { "text_tokens": text, "image_tokens": image },
        });
        self.cost(&edit.model, &Usage::from(tokens))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cost_is_exact_and_rounded_once() {
        let usage = Usage::from(json!({
            "input_tokens": 350, "output_tokens": 1_767,
            "input_tokens_details": { "text_tokens": 27, "image_tokens": 323, "cached_tokens_details": { "text_tokens": 7 } },
        }));
        // 20 x 5 + 7 x 1.25 + 323 x 8 + 1767 x 30 = 55,702.75 millionths.
        assert_eq!(PriceTable::default().cost("gpt-image-2", &usage), Some(55_703));
        let one = Usage::from(json!({ "input_tokens_details": { "text_tokens": 1, "cached_tokens": 1 } }));
        assert_eq!(PriceTable::default().cost("gpt-image-2", &one), Some(1));
    }

    #[test]
    fn a_hundred_costs_fit_a_row() {
        let dear = r#"{"m":{"text_in":1e6,"text_in_cached":1e6,"image_in":1e6,"image_in_cached":1e6,"image_out":1e6}}"#;
        let table: PriceTable = serde_json::from_str(dear).unwrap();
        let usage = Usage::from(json!({ "input_tokens": 10_000_000, "output_tokens": 10_000_000 }));
        assert_eq!(table.cost("m", &usage), Some(MAX_COST));
    }

    #[test]
    fn the_longest_fitting_name_counts() {
        let own = r#"{"gpt-image-2.5-flare":{"text_in":1,"text_in_cached":0.1,"image_in":2,"image_in_cached":0.3,"image_out":4.000001}}"#;
        let table = PriceTable::default().overridden_by(serde_json::from_str(own).unwrap());
        assert_eq!(table.prices("gpt-image-2.5-flare-2026-09-01").map(|prices| prices.image_out), Some(4_000_001));
        assert_eq!(table.prices("gpt-image-2.5-flare").map(|prices| prices.text_in_cached), Some(100_000));
        assert_eq!(table.prices("gpt-image-2-2026-04-21").map(|prices| prices.image_out), Some(30_000_000));
        assert_eq!(table.prices("flux-2"), None);
    }

    #[test]
    fn a_price_that_is_none_is_refused() {
        for price in ["-1", "1e300", "\"5\"", "null"] {
            let text = format!(
                r#"{{"m":{{"text_in":{price},"text_in_cached":1,"image_in":1,"image_in_cached":1,"image_out":1}}}}"#
            );
            assert!(serde_json::from_str::<PriceTable>(&text).is_err(), "{price}");
        }
        assert!(serde_json::from_str::<PriceTable>(r#"{"m":{"text_in":1}}"#).is_err(), "a price that is left out");
    }
}
