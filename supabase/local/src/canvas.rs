//! A picture in memory on which flat shapes are drawn, a row at a time.
//!
//! Rows are copied from a prepared row, so a shape costs a `memcpy` for each of its rows; a debug build of this crate would
//! otherwise spend most of a second on its pixels.

use image::RgbImage;

/// Red, green, blue.
pub(crate) type Color = [u8; 3];

/// An RGB picture with a few ways to draw on it. Coordinates beyond its edges are cut off.
pub(crate) struct Canvas {
    picture: RgbImage,
}

impl Canvas {
    /// Draws on `picture`.
    pub(crate) fn over(picture: RgbImage) -> Self {
        Self { picture }
    }

    /// The picture with all that was drawn.
    pub(crate) fn into_picture(self) -> RgbImage {
        self.picture
    }

    /// Width in pixels.
    pub(crate) fn width(&self) -> i64 {
        i64::from(self.picture.width())
    }

    /// Height in pixels.
    pub(crate) fn height(&self) -> i64 {
        i64::from(self.picture.height())
    }

    /// Fills the pixels from `left` up to `right` of row `y`.
    pub(crate) fn span(&mut self, y: i64, left: i64, right: i64, color: Color) {
        let (left, right) = (left.max(0), right.min(self.width()));
        if y < 0 || y >= self.height() || left >= right {
            return;
        }
        let row = color.repeat((right - left) as usize);
        let start = ((y * self.width() + left) * 3) as usize;
        let pixels: &mut [u8] = &mut self.picture;
        pixels[start..start + row.len()].copy_from_slice(&row);
    }

    /// Fills a rectangle.
    pub(crate) fn rectangle(&mut self, left: i64, top: i64, width: i64, height: i64, color: Color) {
        for y in top..top + height {
            self.span(y, left, left + width, color);
        }
    }

    /// Fills a circle around `(x, y)`.
    pub(crate) fn disc(&mut self, x: i64, y: i64, radius: i64, color: Color) {
        for row in -radius..=radius {
            let half = ((radius * radius - row * row) as f64).sqrt() as i64;
            self.span(y + row, x - half, x + half, color);
        }
    }

    /// Draws the outline of a rectangle, `thick` pixels inwards.
    pub(crate) fn outline(&mut self, left: i64, top: i64, width: i64, height: i64, thick: i64, color: Color) {
        self.rectangle(left, top, width, thick, color);
        self.rectangle(left, top + height - thick, width, thick, color);
        self.rectangle(left, top, thick, height, color);
        self.rectangle(left + width - thick, top, thick, height, color);
    }

    /// Darkens a rectangle to half its light.
    pub(crate) fn shade(&mut self, left: i64, top: i64, width: i64, height: i64) {
        let (left, right) = (left.max(0), (left + width).min(self.width()));
        for y in top.max(0)..(top + height).min(self.height()) {
            let start = ((y * self.width() + left) * 3) as usize;
            let pixels: &mut [u8] = &mut self.picture;
            let row = &mut pixels[start..start + ((right - left).max(0) * 3) as usize];
            // Sixteen colour values at once: shifted by one bit, without the bit that came from the neighbour.
            for word in row.chunks_exact_mut(16) {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(word);
                let half = (u128::from_ne_bytes(bytes) >> 1) & (u128::MAX / 255 * 0x7f);
                word.copy_from_slice(&half.to_ne_bytes());
            }
        }
    }

    /// Adds grain of up to `bits` bits, 0 to 7, to every colour value, which no format can compress away.
    pub(crate) fn grain(&mut self, bits: u8, seed: u64) {
        if !(1..8).contains(&bits) {
            return;
        }
        let mask = u128::MAX / 255 * ((1 << bits) - 1);
        let mut state = u128::from(seed) << 64 | u128::from(seed) | 1;
        let pixels: &mut [u8] = &mut self.picture;
        for word in pixels.chunks_exact_mut(16) {
            // Xorshift is enough to defeat a compressor, and costs three shifts for sixteen values.
            state ^= state << 23;
            state ^= state >> 17;
            state ^= state << 26;
            let mut bytes = [0; 16];
            bytes.copy_from_slice(word);
            let values = u128::from_ne_bytes(bytes);
            // Room for the grain is made in proportion to the light, so no value runs over into its neighbour.
            let room = (values >> (8 - bits)) & mask;
            word.copy_from_slice(&(values - room + (state & mask)).to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(value: u8) -> Canvas {
        Canvas::over(RgbImage::from_pixel(32, 16, image::Rgb([value; 3])))
    }

    #[test]
    fn grain_stays_near_the_light_it_is_added_to() {
        for value in [0, 1, 31, 32, 127, 200, 254, 255] {
            let mut canvas = gray(value);
            canvas.grain(3, 7);
            let grained = canvas.into_picture();
            assert!(grained.iter().all(|grained| grained.abs_diff(value) <= 7), "{value}");
            assert!(grained.iter().any(|one| *one != grained.as_raw()[0]), "{value}");
        }
    }

    #[test]
    fn shade_halves_the_light_inside_and_leaves_the_rest() {
        let mut canvas = gray(201);
        canvas.shade(0, 0, 16, 8);
        let picture = canvas.into_picture();
        assert_eq!(
            (picture.get_pixel(3, 3)[0], picture.get_pixel(20, 3)[0], picture.get_pixel(3, 12)[0]),
            (100, 201, 201)
        );
    }

    #[test]
    fn shapes_beyond_the_edges_are_cut_off() {
        let mut canvas = gray(0);
        canvas.disc(31, 15, 10, [255; 3]);
        canvas.rectangle(-5, -5, 7, 7, [255; 3]);
        let picture = canvas.into_picture();
        assert_eq!(
            (picture.get_pixel(0, 0)[0], picture.get_pixel(2, 2)[0], picture.get_pixel(30, 15)[0]),
            (255, 0, 255)
        );
    }
}
