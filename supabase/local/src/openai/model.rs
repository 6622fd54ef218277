//! The image models: which exist on a given day, and what each can do.

use std::fmt;

use time::{Date, macros::date};

use super::error::ApiError;

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Size {
    /// Pixels from left to right.
    pub(super) width: u32,
    /// Pixels from top to bottom.
    pub(super) height: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// An image model.
#[derive(Debug)]
pub(super) struct Model {
    /// As requests name it.
    pub(super) id: &'static str,
    /// Day from which it answers no more.
    shut_down: Option<Date>,
    /// What it can do.
    pub(super) generation: Generation,
}

/// Steps of ability: each can do what the one before it could, but for transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// Three sizes, three qualities.
    One,
    /// Any size on the grid of 16.
    Two,
    /// Qualities `xhigh` and `max`, and transparent backgrounds again.
    TwoAndAHalf,
}

const fn model(id: &'static str, generation: Generation, shut_down: Option<Date>) -> Model {
    Model { id, shut_down, generation }
}

const DECEMBER: Option<Date> = Some(date!(2026 - 12 - 01));

/// Every model that ever took edits.
const MODELS: [Model; 14] = [
    model("dall-e-2", Generation::One, Some(date!(2026 - 05 - 12))),
    model("dall-e-3", Generation::One, Some(date!(2026 - 05 - 12))),
    model("gpt-image-1", Generation::One, Some(date!(2026 - 10 - 23))),
    model("gpt-image-1.5", Generation::One, DECEMBER),
    model("gpt-image-1-mini", Generation::One, DECEMBER),
    model("chatgpt-image-latest", Generation::One, DECEMBER),
    model("gpt-image-2", Generation::Two, None),
    model("gpt-image-2-2026-04-21", Generation::Two, None),
    model("gpt-image-2.5-sunburst", Generation::TwoAndAHalf, None),
    model("gpt-image-2.5-sunburst-2026-09-08", Generation::TwoAndAHalf, None),
    model("gpt-image-2.5-flare", Generation::TwoAndAHalf, None),
    model("gpt-image-2.5-flare-2026-09-08", Generation::TwoAndAHalf, None),
    model("gpt-image-2.6-sunburst", Generation::TwoAndAHalf, None),
    model("gpt-image-2.6-flare", Generation::TwoAndAHalf, None),
];

/// The models that answer on `today`.
pub(super) fn living(today: Date) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.shut_down.is_none_or(|day| today < day))
}

/// The model called `id` on `today`.
pub(super) fn find(id: &str, today: Date) -> Result<&'static Model, ApiError> {
    match MODELS.iter().find(|model| model.id == id) {
        None => Err(ApiError::model_not_found(id)),
        Some(model) if model.shut_down.is_some_and(|day| today >= day) => Err(ApiError::model_shut_down(id)),
        Some(model) => Ok(model),
    }
}

impl Generation {
    /// What `quality` may be.
    pub(super) fn qualities(self) -> &'static [&'static str] {
        if self >= Self::TwoAndAHalf {
            &["low", "medium", "high", "xhigh", "max", "auto"]
        } else {
            &["low", "medium", "high", "auto"]
        }
    }

    /// The size that `text` names, or what this generation says of it. `None` is `auto`.
    pub(super) fn size(self, text: &str) -> Result<Option<Size>, ApiError> {
        if text == "auto" {
            return Ok(None);
        }
        if self < Self::Two {
            const KNOWN: [&str; 4] = ["1024x1024", "1024x1536", "1536x1024", "auto"];
            if !KNOWN.contains(&text) {
                return Err(ApiError::invalid_value("size", text, &KNOWN));
            }
        }
        let refused = |reason: &str| Err(ApiError::invalid_size(text, reason));
        let side = |digits: &str| digits.parse::<u32>().ok().filter(|side| *side > 0);
        let Some((width, height)) = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?))) else {
            return refused("Expected a size such as '1024x1024', or 'auto'.");
        };
        let (long, short) = (width.max(height), width.min(height));
        let pixels = u64::from(width) * u64::from(height);
        if width % 16 != 0 || height % 16 != 0 {
            refused("Width and height must both be divisible by 16.")
        } else if long > 3840 {
            refused("The longest edge must be less than or equal to 3840.")
        } else if long > short * 3 {
            refused("The aspect ratio must be between 1:3 and 3:1.")
        } else if pixels < 655_360 {
            refused("Requested resolution is below the current minimum pixel budget.")
        } else if pixels > 8_294_400 {
            refused("Requested resolution is above the current maximum pixel budget.")
        } else {
            Ok(Some(Size { width, height }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_answers_until_the_day_it_is_shut_down() {
        assert!(find("gpt-image-1.5", date!(2026 - 11 - 30)).is_ok());
        assert!(find("gpt-image-1.5", date!(2026 - 12 - 01)).is_err());
        assert!(find("gpt-image-1", date!(2026 - 11 - 22)).is_err());
        assert!(living(date!(2027 - 01 - 01)).all(|model| !model.id.contains("mini")));
    }

    #[test]
    fn sizes_of_generation_two_follow_the_grid_the_edge_the_ratio_and_the_pixels() {
        let fits = |text: &str| Generation::Two.size(text).is_ok();
        for text in
            ["1024x1024", "768x960", "1536x1920", "720x1280", "1152x2048", "3840x2160", "2880x2880", "1024x640", "auto"]
        {
            assert!(fits(text), "{text}");
        }
        for text in [
            "1080x1350",
            "1080x1920",
            "3856x1600",
            "512x512",
            "3840x1264",
            "2896x2880",
            "800x800",
            "0x16",
            "16x",
            "big",
            "-16x-16",
        ] {
            assert!(!fits(text), "{text}");
        }
        assert!(Generation::One.size("1024x1536").is_ok() && Generation::One.size("1024x1280").is_err());
    }
}
