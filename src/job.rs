//! The nouns of the product: what a job asks for and what its images are. No I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

/// Bytes that one source may have: the bucket takes no more, and neither does the provider.
pub const MAX_SOURCE_BYTES: u64 = 50 << 20;
/// Sources that a job may have.
pub const MAX_SOURCES: usize = 100;
/// Sources that may go along with one slide, and so those of a job whose slides share them.
pub const MAX_SOURCES_OF_SLIDE: usize = 16;

/// A claimed job: what its owner asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// Primary key of the row.
    pub id: Uuid,
    /// Owner, and first segment of every path.
    pub user_id: Uuid,
    /// How many times it has been taken up, this one included.
    pub attempt: i32,
    /// What to make of the sources.
    pub prompt: String,
    /// One text a slide; empty for a single slide.
    pub slide_prompts: Vec<String>,
    /// Objects in the bucket, 1 to 100.
    pub source_paths: Vec<String>,
    /// Where its slides come from.
    pub slides_from: SlidesFrom,
    /// For each slide, which sources go along with it, by number from 1.
    pub slide_sources: Option<Vec<Vec<usize>>>,
    /// Style options.
    pub style: Map<String, Value>,
    /// Number of variants of the whole carousel.
    pub variants: i32,
    /// Model, when the owner chose one.
    pub model: Option<String>,
    /// Quality, when the owner chose one.
    pub quality: Option<String>,
    /// Format of the results.
    pub format: Format,
    /// Background, when the owner chose one.
    pub background: Option<String>,
    /// Previews to show while an image is made, 0 to 3.
    pub partial_previews: u8,
    /// Number of images in all.
    pub total_images: i32,
}

impl Job {
    /// Number of slides of each carousel, at least 1.
    pub fn slides(&self) -> usize {
        match self.slides_from {
            SlidesFrom::Prompts => self.slide_prompts.len().max(1),
            SlidesFrom::Sources => self.source_paths.len(),
        }
    }

    /// Whether every slide sees all sources.
    pub fn shares_sources(&self) -> bool {
        self.slides_from == SlidesFrom::Prompts && self.slide_sources.is_none()
    }

    /// Which of `source_paths`, from 0, go along with a slide, in the order in which they are sent.
    pub fn sources_of(&self, slide: i32) -> Vec<usize> {
        let place = usize::try_from(slide - 1).unwrap_or(usize::MAX);
        match (self.slides_from, &self.slide_sources) {
            (SlidesFrom::Sources, _) => vec![place],
            (SlidesFrom::Prompts, None) => (0..self.source_paths.len()).collect(),
            (SlidesFrom::Prompts, Some(numbers)) => {
                numbers.get(place).into_iter().flatten().map(|number| number.saturating_sub(1)).collect()
            }
        }
    }
}

/// Where the slides of a carousel come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlidesFrom {
    /// A slide for each slide prompt, or a single one; each sees all sources, or those that `slide_sources` names.
    #[default]
    Prompts,
    /// A slide for each source, which sees that one alone.
    Sources,
}

impl SlidesFrom {
    /// Every origin.
    pub const ALL: [Self; 2] = [Self::Prompts, Self::Sources];

    /// The origin as it stands in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Sources => "sources",
        }
    }
}

impl FromStr for SlidesFrom {
    type Err = Unknown;

    fn from_str(value: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == value).ok_or_else(|| Unknown {
            what: "origin of slides",
            value: value.to_owned(),
            known: "prompts, sources",
        })
    }
}

/// One picture of a job that is still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Primary key of the row.
    pub id: Uuid,
    /// Variant, from 1.
    pub variant: i32,
    /// Slide, from 1.
    pub slide: i32,
    /// Shape.
    pub ratio: AspectRatio,
}

/// State in which a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every image is there.
    Completed,
    /// Some images are there, the others failed.
    Partial,
    /// No image could be made.
    Failed,
    /// Its owner did not want it any more.
    Cancelled,
}

/// Shape of a picture, width to height, as clients write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AspectRatio {
    /// 1:1
    #[serde(rename = "1:1")]
    Square,
    /// 4:5, the tall post of a feed.
    #[serde(rename = "4:5")]
    Portrait,
    /// 9:16, a full phone screen.
    #[serde(rename = "9:16")]
    Story,
    /// 3:4
    #[serde(rename = "3:4")]
    Classic,
    /// 16:9
    #[serde(rename = "16:9")]
    Wide,
    /// 3:2
    #[serde(rename = "3:2")]
    Landscape,
    /// 2:3
    #[serde(rename = "2:3")]
    Tall,
    /// Each slide as its own photo: the first of those that go along with it.
    #[serde(rename = "auto")]
    Auto,
}

impl AspectRatio {
    /// Every ratio that a job may ask for.
    pub const ALL: [Self; 8] =
        [Self::Square, Self::Portrait, Self::Story, Self::Classic, Self::Wide, Self::Landscape, Self::Tall, Self::Auto];

    /// The ratio as it stands in rows, for example `4:5`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Square => "1:1",
            Self::Portrait => "4:5",
            Self::Story => "9:16",
            Self::Classic => "3:4",
            Self::Wide => "16:9",
            Self::Landscape => "3:2",
            Self::Tall => "2:3",
            Self::Auto => "auto",
        }
    }

    /// Width to height; nothing for `auto`.
    pub fn sides(self) -> Option<(u32, u32)> {
        let (wide, tall) = self.as_str().split_once(':')?;
        Some((wide.parse().ok()?, tall.parse().ok()?))
    }

    /// The ratio as it stands in object paths, which have no colon: `4x5`.
    pub fn in_path(self) -> String {
        self.as_str().replace(':', "x")
    }
}

impl fmt::Display for AspectRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names none of the known values.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} `{value}` is not known; use one of {known}")]
pub struct Unknown {
    what: &'static str,
    value: String,
    known: &'static str,
}

impl FromStr for AspectRatio {
    type Err = Unknown;

    fn from_str(value: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|ratio| ratio.as_str() == value).ok_or_else(|| Unknown {
            what: "aspect ratio",
            value: value.to_owned(),
            known: "1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, auto",
        })
    }
}

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// File format of a picture, source or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// How many of a file's first bytes tell its format.
    pub const MAGIC: usize = 12;

    /// The format of a file that begins like this, whatever its name says; `None` for anything else.
    pub fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if head.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Some(Self::Webp)
        } else {
            None
        }
    }

    /// The format as rows and the provider name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// Media type, for example `image/png`.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// File name extension without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }
}

impl FromStr for Format {
    type Err = Unknown;

    fn from_str(value: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|format| format.as_str() == value).ok_or_else(|| Unknown {
            what: "output format",
            value: value.to_owned(),
            known: "png, jpeg, webp",
        })
    }
}

/// A text that names no moment.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoMoment {
    /// A date and a time of day, which is another moment in every zone.
    #[error("it does not say in which zone: write {at}Z for UTC, or the offset of another zone, for example {at}+02:00", at = as_written(*.0))]
    WithoutZone(PrimitiveDateTime),
    /// Anything else.
    #[error("it is no date and time with a zone: write for example 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+02:00")]
    NoTime,
}

/// The moment that a text names as RFC 3339 writes it. A space may stand for the `T`, and the seconds may be missing; the zone may not.
///
/// # Errors
/// See [`NoMoment`].
pub fn moment(text: &str) -> Result<OffsetDateTime, NoMoment> {
    /// Where the time of day begins.
    const CLOCK: usize = 11;
    let mut text = text.trim().to_owned();
    if matches!(text.as_bytes().get(CLOCK - 1), Some(b' ' | b't')) {
        text.replace_range(CLOCK - 1..CLOCK, "T");
    }
    let zone = text.get(CLOCK..).and_then(|clock| clock.find(['Z', 'z', '+', '-']));
    let (time, zone) = text.split_at(zone.map_or(text.len(), |at| CLOCK + at));
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    let read = |zone: &str| OffsetDateTime::parse(&format!("{time}{seconds}{zone}"), &Rfc3339);
    if zone.is_empty() {
        let read = read("Z").map(|at| NoMoment::WithoutZone(PrimitiveDateTime::new(at.date(), at.time())));
        return Err(read.unwrap_or(NoMoment::NoTime));
    }
    read(zone).map_err(|_| NoMoment::NoTime)
}

/// A date and a time of day as RFC 3339 writes them in front of the zone.
fn as_written(at: PrimitiveDateTime) -> String {
    let text = at.assume_utc().format(&Rfc3339).unwrap_or_default();
    text.trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_has_a_zone_and_is_the_same_in_every_form_of_it() {
        for text in [
            "2026-12-24T17:00:00Z",
            "2026-12-24t17:00:00z",
            " 2026-12-24 18:00:00+01:00 ",
            "2026-12-24T18:00+01:00",
            "2026-12-24T12:00:00.000-05:00",
            "2026-12-24T17:00:00-00:00",
        ] {
            assert_eq!(moment(text), Ok(datetime!(2026-12-24 17:00 UTC)), "{text}");
        }
        for text in ["2026-12-24T17:00:00", "2026-12-24 17:00", "2026-12-24t17:00:00.0"] {
            assert_eq!(moment(text), Err(NoMoment::WithoutZone(datetime!(2026-12-24 17:00))), "{text}");
        }
        for text in [
            "",
            "soon",
            "now()",
            "infinity",
            "17:00",
            "2026-12-24",
            "2026-02-30T17:00:00Z",
            "2026-12-24T17:00:00+25:00",
            "2026-12-24T17Z",
            "2026-12-2äT17:00Z",
            "2026-12-24ä17:00",
            "2026-12-24T17:00:00 Europe/Rome",
        ] {
            assert_eq!(moment(text), Err(NoMoment::NoTime), "{text}");
        }
    }
}
