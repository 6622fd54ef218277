//! Pictures that a person recognises: the source photo, graded and framed, with the slide and the variation marked on it.
//!
//! Every colour and shape follows from the prompt and the source, so the same call gives the same picture.

mod base;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageResult, RgbImage};
use sha2::{Digest as _, Sha256};

use crate::canvas::{Canvas, Color};
use crate::format::Format;

pub(in crate::openai) use base::Bases;

/// What a picture shows besides its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openai) struct Motif {
    /// Decides the grade and the frame.
    seed: [u8; 32],
    /// Which slide of how many.
    slide: Option<(u32, u32)>,
    /// Which variation of how many.
    variation: Option<(u32, u32)>,
}

/// Frame and mark colours: light enough to stand out on any photo.
const ACCENTS: [Color; 6] =
    [[255, 196, 61], [64, 224, 208], [255, 111, 97], [154, 230, 92], [255, 142, 214], [120, 190, 255]];

impl Motif {
    /// The motif of the `index`th picture of a call.
    pub(in crate::openai) fn new(prompt: &str, source_sha256: &str, index: u32) -> Self {
        let digest = Sha256::new().chain_update(prompt).chain_update(source_sha256).chain_update(index.to_be_bytes());
        Self {
            seed: digest.finalize().into(),
            slide: counted(prompt, "Slide"),
            variation: counted(prompt, "Variation"),
        }
    }

    /// Draws the picture over `base`. `grain` is the number of random low bits, which decides how large the file gets.
    pub(in crate::openai) fn draw(&self, base: &RgbImage, grain: u8) -> RgbImage {
        let variation = self.variation.map_or(1, |(variation, _)| variation);
        let hue = i32::from(self.seed[0] % 24) - 12 - 20 * (variation as i32 - 1);
        let mut graded = DynamicImage::ImageRgb8(base.clone()).huerotate(hue.rem_euclid(360));
        if variation.is_multiple_of(2) {
            graded = graded.fliph();
        }
        let mut canvas = Canvas::over(graded.into_rgb8());
        canvas.grain(grain, u64::from_be_bytes(self.seed[8..16].try_into().unwrap_or_default()));
        let accent = ACCENTS[usize::from(self.seed[1]) % ACCENTS.len()];
        self.frame(&mut canvas, accent);
        self.marks(&mut canvas, accent);
        canvas.into_picture()
    }

    /// A white passe-partout, a line in the accent colour, and squares in two corners.
    fn frame(&self, canvas: &mut Canvas, accent: Color) {
        let (width, height) = (canvas.width(), canvas.height());
        let unit = (width.min(height) / 100).max(1);
        canvas.outline(0, 0, width, height, 3 * unit, [250, 248, 244]);
        canvas.outline(3 * unit, 3 * unit, width - 6 * unit, height - 6 * unit, (unit / 2).max(1), accent);
        for step in 0..i64::from(self.seed[2] % 3) + 2 {
            let (side, at) = (2 * unit, 5 * unit + step * 3 * unit);
            canvas.rectangle(at, 5 * unit, side, side, accent);
            canvas.rectangle(width - at - side, height - 5 * unit - side, side, side, accent);
        }
    }

    /// Along the lower edge: a disc for each slide, the shown one larger and bright; a bar for each variation, likewise.
    fn marks(&self, canvas: &mut Canvas, accent: Color) {
        let (width, height) = (canvas.width(), canvas.height());
        let unit = (width.min(height) / 100).max(1);
        let band = 16 * unit;
        let top = height - band - 10 * unit;
        let mut left = 8 * unit;
        if let Some((slide, of)) = self.slide {
            let (step, of) = (11 * unit, of.min(6));
            canvas.shade(left, top, step * i64::from(of) + 2 * unit, band);
            for number in 1..=of {
                let (radius, color) = if number == slide { (5 * unit, accent) } else { (2 * unit, [235, 235, 235]) };
                canvas.disc(left + step * i64::from(number) - step / 2 + unit, top + band / 2, radius, color);
            }
            left += step * i64::from(of) + 5 * unit;
        }
        if let Some((variation, of)) = self.variation {
            let (step, of) = (5 * unit, of.min(10));
            canvas.shade(left, top, step * i64::from(of) + 3 * unit, band);
            for number in 1..=of {
                let (tall, color) = if number == variation { (12 * unit, accent) } else { (5 * unit, [235, 235, 235]) };
                let x = left + step * i64::from(number) - 3 * unit;
                canvas.rectangle(x, top + band - 2 * unit - tall, 3 * unit, tall, color);
            }
        }
    }
}

/// `finished` as it looked while it was being made: the same size with `1/coarse` of the detail.
pub(in crate::openai) fn unfinished(finished: &RgbImage, coarse: u32) -> RgbImage {
    let (width, height) = finished.dimensions();
    let picture = DynamicImage::ImageRgb8(finished.clone());
    let small = picture.thumbnail_exact((width / coarse).max(1), (height / coarse).max(1));
    small.resize_exact(width, height, FilterType::Triangle).into_rgb8()
}

/// Encodes `picture`. `quality` is for JPEG only, 1 to 100; `transparent` clears the frame, where the format has an alpha channel.
pub(in crate::openai) fn encode(
    picture: RgbImage,
    format: Format,
    quality: u8,
    transparent: bool,
) -> ImageResult<Vec<u8>> {
    let picture = if transparent { cut_out(picture) } else { DynamicImage::ImageRgb8(picture) };
    let mut file = Cursor::new(Vec::with_capacity(1 << 16));
    match format {
        // The fastest of the pairs that filter: twice as fast as the default of the crate, and 4 % larger.
        Format::Png => picture.write_with_encoder(PngEncoder::new_with_quality(
            &mut file,
            CompressionType::Level(1),
            PngFilter::Up,
        ))?,
        Format::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality))?,
        Format::Webp => picture.write_with_encoder(WebPEncoder::new_lossless(&mut file))?,
    }
    Ok(file.into_inner())
}

/// The picture with a clear frame.
fn cut_out(picture: RgbImage) -> DynamicImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let margin = (width.min(height) / 100).max(1) * 3;
    let mut picture = DynamicImage::ImageRgb8(picture).into_rgba8();
    for (y, row) in picture.chunks_exact_mut(width * 4).enumerate() {
        if y < margin || y >= height - margin {
            row.fill(0);
        } else {
            row[..margin * 4].fill(0);
            row[(width - margin) * 4..].fill(0);
        }
    }
    DynamicImage::ImageRgba8(picture)
}

/// Reads `{word} {number} of {count}` from a prompt.
fn counted(prompt: &str, word: &str) -> Option<(u32, u32)> {
    prompt.match_indices(word).find_map(|(at, _)| {
        let mut words = prompt[at + word.len()..].split_whitespace();
        let number = words.next()?.parse().ok()?;
        let of = words.next().filter(|of| *of == "of").and(words.next())?;
        let digits = of.trim_end_matches(|sign: char| !sign.is_ascii_digit());
        Some((number, digits.parse().ok()?)).filter(|(number, of)| (1..=*of).contains(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slide_and_variation_are_read_from_the_prompt() {
        let prompt = "Slide the photo up.\nSlide 2 of 3. Variation 1 of 2, warm";
        assert_eq!(counted(prompt, "Slide"), Some((2, 3)));
        assert_eq!(counted(prompt, "Variation"), Some((1, 2)));
        assert_eq!(counted("Slide 4 of 3", "Slide"), None);
        assert_eq!(counted("Slide of", "Slide"), None);
    }

    #[test]
    fn the_same_call_gives_the_same_picture_and_another_slide_another() {
        let base = RgbImage::from_pixel(96, 80, image::Rgb([120, 80, 40]));
        let draw = |prompt: &str| Motif::new(prompt, "abc", 0).draw(&base, 2);
        assert_eq!(draw("Slide 1 of 3"), draw("Slide 1 of 3"));
        assert_ne!(draw("Slide 1 of 3"), draw("Slide 2 of 3"));
    }

    #[test]
    fn a_transparent_picture_is_clear_in_its_corner_and_solid_in_its_middle() {
        let base = RgbImage::from_pixel(200, 200, image::Rgb([120, 80, 40]));
        let file = encode(base, Format::Png, 90, true).expect("a picture");
        let picture = image::load_from_memory(&file).expect("a png").into_rgba8();
        assert_eq!((picture.get_pixel(0, 0)[3], picture.get_pixel(100, 100)[3]), (0, 255));
    }
}
