//! The native sizes of the models: for each ratio one that is exactly that ratio and that the model makes by itself.

use crate::job::{AspectRatio, Size};

/// The size to ask `model` for, or nothing when it has none of exactly this ratio: nothing is ever cropped or scaled afterwards.
///
/// From gpt-image-2 on, about 1 to 1.6 megapixels, and about 1.6 to 2.4 for the qualities `xhigh` and `max`. Older and compatible models are only known to make
/// squares.
pub fn size_for(model: &str, ratio: AspectRatio, quality: Option<&str>) -> Option<Size> {
    let size = |width, height| Some(Size { width, height });
    if !takes_any_size(model) {
        return if ratio == AspectRatio::Square { size(1024, 1024) } else { None };
    }
    if matches!(quality, Some("xhigh" | "max")) {
        return match ratio {
            AspectRatio::Square => size(1440, 1440),
            AspectRatio::Portrait => size(1280, 1600),
            AspectRatio::Story => size(1152, 2048),
            AspectRatio::Classic => size(1248, 1664),
            AspectRatio::Wide => size(2048, 1152),
        };
    }
    match ratio {
        AspectRatio::Square => size(1024, 1024),
        AspectRatio::Portrait => size(1024, 1280),
        AspectRatio::Story => size(864, 1536),
        AspectRatio::Classic => size(960, 1280),
        AspectRatio::Wide => size(1536, 864),
    }
}

/// Whether the name is that of gpt-image-2 or a later one: `gpt-image-2-2026-04-21`, `gpt-image-2.5-flare`, `gpt-image-3`.
fn takes_any_size(model: &str) -> bool {
    let Some(version) = model.strip_prefix("gpt-image-") else { return false };
    let major = version.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or("");
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: [&str; 4] = ["gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.5-sunburst", "gpt-image-3"];

    #[test]
    fn every_native_size_is_legal_and_exactly_its_ratio() {
        for model in CURRENT {
            for ratio in AspectRatio::ALL {
                for quality in
                    [None, Some("low"), Some("medium"), Some("high"), Some("auto"), Some("xhigh"), Some("max")]
                {
                    let size = size_for(model, ratio, quality).expect("a current model has a size for each ratio");
                    let (wide, tall) = ratio.as_str().split_once(':').expect("a ratio has two sides");
                    let (wide, tall): (u32, u32) = (wide.parse().unwrap(), tall.parse().unwrap());
                    assert_eq!(size.width * tall, size.height * wide, "{size} is exactly {ratio}");
                    assert!(
                        size.width.is_multiple_of(16) && size.height.is_multiple_of(16),
                        "{size}: both sides are divisible by 16"
                    );
                    assert!(size.width.max(size.height) <= 3840, "{size}: the longest edge");
                    assert!(size.width <= 3 * size.height && size.height <= 3 * size.width, "{size}: the ratio");
                    assert!((655_360..=8_294_400).contains(&(size.width * size.height)), "{size}: the pixels");
                }
            }
        }
    }

    #[test]
    fn an_older_or_unknown_model_makes_squares_only() {
        for model in
            ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest", "dall-e-2", "qwen-image-edit", "gpt-image-"]
        {
            assert_eq!(size_for(model, AspectRatio::Square, None), Some(Size { width: 1024, height: 1024 }));
            for ratio in AspectRatio::ALL.into_iter().filter(|ratio| *ratio != AspectRatio::Square) {
                assert_eq!(size_for(model, ratio, None), None, "{model} {ratio}");
            }
        }
    }
}
