//! Three photos for `carousel dev` to upload, drawn by code, so that the repository carries no pictures and none needs a licence.
//!
//! The same bytes come out every time.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageResult, RgbImage};

use super::canvas::Canvas;
use crate::format::Format;

/// A sample photo as a person would choose it from a folder.
#[derive(Clone, Debug)]
pub struct Sample {
    /// File name with extension.
    pub name: &'static str,
    /// Format of the bytes.
    pub format: Format,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Width and height of the photos.
const SIZE: (u32, u32) = (1200, 900);

/// A colour as red, green and blue from 0 to 1.
type Light = [f32; 3];

/// The three photos: a sunset (JPEG), a cup on a table (PNG), a city at night (WebP). Takes about a second in a debug build:
/// call it where blocking is allowed.
///
/// # Errors
/// When a picture can't be encoded, which its fixed size rules out.
pub fn photos() -> ImageResult<[Sample; 3]> {
    let photo = |name, format, scene: fn(f32, f32) -> Light, grain| {
        let bytes = encode(render(scene, grain), format)?;
        Ok::<_, image::ImageError>(Sample { name, format, bytes })
    };
    Ok([
        photo("sunset.jpg", Format::Jpeg, sunset, 3)?,
        photo("cup.png", Format::Png, cup, 2)?,
        photo("city.webp", Format::Webp, city, 0)?,
    ])
}

/// Draws `scene`, whose coordinates run from 0 to 4/3 to the right and from 0 to 1 downwards.
fn render(scene: fn(f32, f32) -> Light, grain: u8) -> RgbImage {
    // Half the size, enlarged: a quarter of the pixels to compute, and edges as soft as a lens makes them.
    let (width, height) = (SIZE.0 / 2, SIZE.1 / 2);
    let small = RgbImage::from_fn(width, height, |x, y| {
        let light = scene(x as f32 / height as f32, y as f32 / height as f32);
        image::Rgb(light.map(|value| (value.clamp(0.0, 1.0) * 255.0) as u8))
    });
    let full = DynamicImage::ImageRgb8(small).resize_exact(SIZE.0, SIZE.1, FilterType::CatmullRom);
    let mut canvas = Canvas::over(full.into_rgb8());
    canvas.grain(grain, 0x5eed);
    canvas.into_picture()
}

fn encode(picture: RgbImage, format: Format) -> ImageResult<Vec<u8>> {
    let picture = DynamicImage::ImageRgb8(picture);
    let mut file = Cursor::new(Vec::new());
    match format {
        Format::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 90))?,
        Format::Png => picture.write_to(&mut file, ImageFormat::Png)?,
        Format::Webp => picture.write_to(&mut file, ImageFormat::WebP)?,
    }
    Ok(file.into_inner())
}

/// From `low` to `high` as `share` goes from 0 to 1.
fn mix(low: Light, high: Light, share: f32) -> Light {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|channel| low[channel] + (high[channel] - low[channel]) * share)
}

/// `light` with `glow` of `color` added.
fn add(light: Light, color: Light, glow: f32) -> Light {
    [0, 1, 2].map(|channel| light[channel] + color[channel] * glow)
}

/// A number from 0 to 1 that looks random and depends on `x` and `y` only.
fn chance(x: i32, y: i32) -> f32 {
    let mut word = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    word = (word ^ (word >> 15)).wrapping_mul(0x2c1b_3c6d);
    word = (word ^ (word >> 12)).wrapping_mul(0x297a_2d39);
    ((word ^ (word >> 15)) & 0xffff) as f32 / 65535.0
}

/// The sun going down behind four ranges of hills.
fn sunset(x: f32, y: f32) -> Light {
    let sun = (x - 0.86).hypot((y - 0.47) * 1.02);
    let sky = match y {
        y if y < 0.3 => mix([0.16, 0.20, 0.45], [0.55, 0.33, 0.55], y / 0.3),
        y => mix([0.55, 0.33, 0.55], [1.0, 0.62, 0.32], (y - 0.3) / 0.25),
    };
    let cloud = ((x * 7.0 + (y * 38.0).sin() * 0.6).sin() * (y * 61.0 + x * 3.0).sin()).max(0.0);
    let mut light = add(sky, [1.0, 0.55, 0.35], cloud * 0.13 * (1.0 - (y - 0.28).abs() * 3.0).max(0.0));
    light = add(light, [1.0, 0.65, 0.3], 0.55 * (-sun * 5.0).exp());
    light = mix(light, [1.0, 0.95, 0.75], (0.075 - sun) * 160.0);
    for (layer, (top, color)) in
        [(0.56, [0.66, 0.38, 0.42]), (0.63, [0.44, 0.27, 0.38]), (0.73, [0.26, 0.18, 0.30]), (0.85, [0.11, 0.09, 0.17])]
            .into_iter()
            .enumerate()
    {
        let at = layer as f32;
        let ridge = top
            + 0.045 * (x * (3.1 + at) + at * 1.7).sin()
            + 0.018 * (x * (9.0 + at * 2.0) + at * 4.1).sin()
            + 0.004 * (x * 47.0 + at).sin();
        let haze = add(color, [1.0, 0.5, 0.3], 0.18 * (-(y - ridge).max(0.0) * 9.0).exp() * (1.0 - at * 0.22));
        light = mix(light, haze, (y - ridge) * 320.0);
    }
    light
}

/// A cup of coffee on a wooden table beside a window.
fn cup(x: f32, y: f32) -> Light {
    let edge = 0.58;
    let window = (-(x - 0.15).hypot(y - 0.1) * 1.9).exp();
    let mut light = add([0.80, 0.78, 0.72], [0.5, 0.48, 0.4], window * 0.7 - 0.18 * y);
    let (pane_x, pane_y) = ((x - 0.08) / 0.30, (y - 0.05) / 0.42);
    if (0.0..1.0).contains(&pane_x) && (0.0..1.0).contains(&pane_y) {
        let bar = (pane_x - 0.5).abs() < 0.02 || (pane_y - 0.5).abs() < 0.016;
        let garden = 0.5 + 0.5 * (pane_x * 9.0).sin() * (pane_y * 7.0 + pane_x * 4.0).cos();
        light = if bar { [0.97, 0.96, 0.93] } else { mix([0.74, 0.87, 0.93], [0.62, 0.78, 0.52], garden * pane_y) };
    }
    if y > edge {
        let depth = (y - edge) / (1.0 - edge);
        let ring = (x * 4.0 / (0.4 + depth) + (y * 60.0).sin() * 0.12 + (x * 2.3).sin() * 2.0).sin();
        let wood = add([0.56, 0.36, 0.21], [0.20, 0.14, 0.09], ring * 0.35 + window * 1.5);
        let shadow = (((x - 0.83) / 0.40).powi(2) + ((y - 0.83) / 0.09).powi(2)).min(1.0);
        light = mix([0.25, 0.15, 0.09], mix(wood, [0.36, 0.22, 0.13], depth * 0.4), 0.35 + 0.65 * shadow);
    }
    let saucer = ((x - 0.72) / 0.33).powi(2) + ((y - 0.80) / 0.085).powi(2);
    light = mix(light, add([0.88, 0.87, 0.85], [0.1, 0.1, 0.1], 0.72 - x), (1.0 - saucer) * 60.0);
    let handle = (((x - 0.955) / 0.10).hypot((y - 0.585) / 0.105) - 0.78).abs();
    light = mix(light, [0.12, 0.34, 0.40], (0.17 - handle) * 30.0);
    // The wall of the cup narrows downwards and ends in an ellipse.
    let (top, bottom) = (0.43, 0.80);
    let half = 0.235 - 0.075 * ((y - top) / (bottom - top)).clamp(0.0, 1.0).powi(2);
    let across = (x - 0.72) / half;
    let foot = bottom - 0.035 * (across * across - 0.3);
    let inside = ((1.0 - across.abs()) * 70.0).min((y - top) * 200.0).min((foot - y) * 200.0);
    let shine = 0.55 * (-((across + 0.55) * 3.2).powi(2)).exp() - 0.22 * across.max(0.0);
    light = mix(light, add([0.15, 0.42, 0.49], [0.5, 0.55, 0.55], shine), inside);
    let rim = ((x - 0.72) / 0.235).powi(2) + ((y - top) / 0.058).powi(2);
    light = mix(light, [0.78, 0.88, 0.89], (1.0 - rim) * 40.0);
    let coffee = ((x - 0.72) / 0.212).powi(2) + ((y - top - 0.008) / 0.046).powi(2);
    let crema = 0.5 + 0.5 * ((x * 60.0).sin() * (y * 110.0 + x * 20.0).sin());
    light = mix(light, mix([0.24, 0.13, 0.07], [0.52, 0.32, 0.17], crema * 0.6), (1.0 - coffee) * 40.0);
    let steam = (-((x - 0.72 - 0.03 * (y * 24.0).sin()) / 0.05).powi(2)).exp() * ((y - 0.08) * 3.0).clamp(0.0, 1.0);
    if y < top { add(light, [1.0, 1.0, 1.0], 0.16 * steam * ((top - y) * 14.0).min(1.0)) } else { light }
}

/// Lit towers and their reflection in a river, under the moon.
fn city(x: f32, y: f32) -> Light {
    let shore = 0.68;
    if y <= shore {
        return skyline(x, y, shore);
    }
    let depth = y - shore;
    let wave = 0.012 * (y * 260.0 + x * 9.0).sin() * (0.3 + depth * 3.0);
    let mirrored = skyline(x + wave, shore - depth * 0.9 + wave, shore);
    mix(add([0.01, 0.03, 0.07], mirrored, 0.62), [0.02, 0.05, 0.11], depth * 1.6)
}

fn skyline(x: f32, y: f32, shore: f32) -> Light {
    let mut light = mix([0.03, 0.05, 0.15], [0.24, 0.19, 0.36], y / shore);
    light = add(light, [0.9, 0.5, 0.3], 0.25 * (-(shore - y) * 7.0).exp());
    let moon = (x - 1.08).hypot(y - 0.16);
    light = mix(add(light, [0.6, 0.65, 0.8], 0.3 * (-moon * 9.0).exp()), [0.96, 0.95, 0.88], (0.05 - moon) * 200.0);
    let (star_x, star_y) = ((x * 110.0) as i32, (y * 110.0) as i32);
    if chance(star_x, star_y) > 0.985 && y < 0.42 {
        let away = (x * 110.0 - star_x as f32 - 0.5).hypot(y * 110.0 - star_y as f32 - 0.5);
        light = add(light, [0.8, 0.85, 1.0], (0.35 - away).max(0.0) * 2.2);
    }
    for layer in 0..2 {
        let (broad, seed) = ([0.075, 0.105][layer as usize], 40 + layer * 17);
        let tower = ((x + layer as f32 * 0.03) / broad) as i32;
        let within = (x + layer as f32 * 0.03) / broad - tower as f32;
        let tall = [0.20, 0.10][layer as usize] + [0.30, 0.26][layer as usize] * chance(tower, seed).powi(2);
        let top = shore - tall;
        if y < top || !(0.06..0.94).contains(&within) {
            continue;
        }
        light = mix([0.07, 0.08, 0.16], [0.12, 0.10, 0.18], (y - top) / tall);
        let (column, floor) = ((within * 7.0) as i32, ((y - top) * 62.0) as i32);
        let (in_column, in_floor) = ((within * 7.0).fract(), ((y - top) * 62.0).fract());
        let lit = chance(tower * 31 + column, floor + layer * 97) > 0.52;
        if lit && (0.2..0.8).contains(&in_column) && (0.25..0.8).contains(&in_floor) {
            let warm = chance(column + tower, floor * 7);
            light = mix([1.0, 0.78, 0.42], [0.75, 0.88, 1.0], (warm - 0.7) * 8.0);
            light = light.map(|value| value * (0.55 + 0.45 * warm));
        }
    }
    light
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_photos_have_the_format_and_size_they_claim_and_never_change() {
        let (first, second) = (photos().expect("photos"), photos().expect("photos"));
        for (sample, again) in first.iter().zip(&second) {
            let format = match sample.format {
                Format::Jpeg => ImageFormat::Jpeg,
                Format::Png => ImageFormat::Png,
                Format::Webp => ImageFormat::WebP,
            };
            let picture = image::load_from_memory_with_format(&sample.bytes, format).expect("a picture");
            assert_eq!((picture.width(), picture.height()), SIZE, "{}", sample.name);
            assert_eq!(sample.bytes, again.bytes, "{}", sample.name);
        }
    }
}
