//! Tokens of an edit. No public formula gives them, so these only have the right order of magnitude and the right dependencies.

use serde_json::{Value, json};

use super::model::Size;

/// Tokens of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    text: u64,
    image: u64,
    output: u64,
}

/// What each partial picture costs.
const PARTIAL: u64 = 100;

impl Usage {
    /// A text token for every four characters, 129 image tokens for every tile of 512 pixels of each input, and for each picture
    /// that is made what its quality and its pixels come to.
    pub(super) fn estimate(
        prompt: &str,
        inputs: &[Size],
        size: Size,
        quality: &str,
        count: u32,
        partials: u32,
    ) -> Self {
        let tiles =
            |size: &Size| u64::from(size.width.div_ceil(512).min(4)) * u64::from(size.height.div_ceil(512).min(4));
        // Output tokens of 1024 x 1024.
        let square: u64 = match quality {
            "low" => 208,
            "high" => 7024,
            "xhigh" => 10_500,
            "max" => 14_000,
            _ => 1764,
        };
        let pixels = u64::from(size.width) * u64::from(size.height);
        Self {
            text: prompt.chars().count() as u64 / 4 + 7,
            image: inputs.iter().map(|input| 65 + 129 * tiles(input)).sum(),
            output: (square * pixels).div_ceil(1 << 20) * u64::from(count) + PARTIAL * u64::from(partials),
        }
    }

    /// As answers give it. `details` says whether the optional part stands there or is null.
    pub(super) fn to_json(self, details: bool) -> Value {
        let Self { text, image, output } = self;
        let input = text + image;
        json!({
            "input_tokens": input,
            "input_tokens_details": { "image_tokens": image, "text_tokens": text },
            "output_tokens": output,
            "output_tokens_details": details.then(|| json!({ "image_tokens": output, "text_tokens": 0 })),
            "total_tokens": input + output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_pixels_pictures_and_partials_cost_tokens() {
        let square = Size { width: 1024, height: 1024 };
        let tall = Size { width: 1024, height: 1280 };
        let output =
            |size, quality, count, partials| Usage::estimate("cat", &[square], size, quality, count, partials).output;
        assert_eq!(output(square, "low", 1, 0), 208);
        assert_eq!(output(square, "low", 1, 3), 508);
        assert_eq!(output(square, "low", 2, 0), 416);
        assert_eq!(output(tall, "low", 1, 0), 260);
        assert!(output(square, "high", 1, 0) > output(square, "medium", 1, 0));
        let json = Usage::estimate("cat", &[square, square], square, "low", 1, 0).to_json(false);
        assert_eq!(json["input_tokens_details"]["image_tokens"], 2 * (65 + 129 * 4));
        assert_eq!(json["total_tokens"], json["input_tokens"].as_u64().unwrap_or(0) + 208);
    }
}
