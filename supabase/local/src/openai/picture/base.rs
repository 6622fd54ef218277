//! Source pictures, decoded and cut to the size that was asked for, kept for the next call that wants the same.

use std::sync::{Arc, Mutex, PoisonError};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageReader, RgbImage};

use crate::openai::model::Size;

/// Bytes of cut pictures that are kept: a job of three sources in three ratios fits.
const KEPT_BYTES: usize = 64 << 20;

/// The pictures that were used last.
#[derive(Default)]
pub(in crate::openai) struct Bases {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The source that was decoded last, by its digest: the ratios of a job ask for the same one after another.
    decoded: Option<(String, DynamicImage)>,
    /// Cut pictures by digest and size, the newest at the end.
    cut: Vec<((String, Size), Arc<RgbImage>)>,
}

impl Bases {
    /// The picture in `source`, turned upright and cut to fill `size`. Slow: call it where blocking is allowed.
    ///
    /// Two calls that want the same picture at once wait for one decoding.
    pub(in crate::openai) fn get(&self, sha256: &str, source: &[u8], size: Size) -> Result<Arc<RgbImage>, ImageError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { decoded, cut } = &mut *kept;
        let key = (sha256.to_owned(), size);
        if let Some(index) = cut.iter().position(|(held, _)| *held == key) {
            let found = cut.remove(index);
            let picture = found.1.clone();
            cut.push(found);
            return Ok(picture);
        }
        let (_, whole) = match decoded.take().filter(|(held, _)| held == sha256) {
            Some(same) => decoded.insert(same),
            None => decoded.insert((key.0.clone(), decode(source)?)),
        };
        let picture = Arc::new(filling(whole, size));
        cut.push((key, picture.clone()));
        while cut.len() > 1 && cut.iter().map(|(_, picture)| picture.len()).sum::<usize>() > KEPT_BYTES {
            cut.remove(0);
        }
        Ok(picture)
    }
}

/// The middle of `picture` that has the shape of `size`, in that size.
fn filling(picture: &DynamicImage, size: Size) -> RgbImage {
    let (width, height) = (u64::from(picture.width()), u64::from(picture.height()));
    let (wide, tall) = (u64::from(size.width), u64::from(size.height));
    // Cut first: enlarging what is cut off afterwards would take most of the time.
    let across = (height * wide / tall).clamp(1, width);
    let down = (width * tall / wide).clamp(1, height);
    let cut = picture.crop_imm(((width - across) / 2) as u32, ((height - down) / 2) as u32, across as u32, down as u32);
    cut.resize_exact(size.width, size.height, FilterType::Triangle).into_rgb8()
}

/// Decodes a picture and turns it as its EXIF orientation says.
fn decode(source: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut decoder = ImageReader::new(std::io::Cursor::new(source)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_fills_the_size_and_the_sides_are_cut_off() {
        // A white square between black sides.
        let wide = RgbImage::from_fn(300, 100, |x, _| image::Rgb([if (100..200).contains(&x) { 255 } else { 0 }; 3]));
        let square = filling(&DynamicImage::ImageRgb8(wide.clone()), Size { width: 64, height: 64 });
        assert!(square.pixels().all(|pixel| pixel[0] == 255));
        let tall = filling(&DynamicImage::ImageRgb8(wide), Size { width: 16, height: 48 });
        assert_eq!((tall.dimensions(), tall.get_pixel(8, 24)[0]), ((16, 48), 255));
    }
}
