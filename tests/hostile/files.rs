//! Files that are not what they seem.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};

/// A genuine picture of one colour.
pub fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(width, height, image::Rgb([200, 120, 40])));
    picture.write_to(&mut bytes, format).expect("a picture can be encoded");
    bytes.into_inner()
}

/// A chunk of a PNG.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checked = [&name[..], data].concat();
    let mut sum = !0_u32;
    for byte in &checked {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], &checked, &(!sum).to_be_bytes()].concat()
}

/// A PNG with these chunks right behind its header.
pub fn with_chunks(png: &[u8], chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunks: Vec<u8> = chunks.iter().flat_map(|(name, data)| chunk(name, data)).collect();
    // Eight bytes of signature, and the header's chunk with its thirteen.
    [&png[..33], &chunks, &png[33..]].concat()
}

/// A PNG whose header says that it is so large.
pub fn claiming(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &zeros(0)), &chunk(b"IEND", b"")].concat()
}

/// A black PNG of this size whose pixels' data goes on for `surplus` bytes more.
pub fn with_surplus(width: u32, height: u32, surplus: usize) -> Vec<u8> {
    let pixels = (1 + 3 * width as usize) * height as usize;
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let data = zeros(pixels + surplus);
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", b"")].concat()
}

/// Deflated zeros with zlib's header, at least so many. The stream has no end of its own.
pub fn zeros(count: usize) -> Vec<u8> {
    [&[0x78, 0x01][..], &deflated_zeros(count)].concat()
}

/// Deflated zeros: one, and then copies of 258 of them in 13 bits each, which repeat themselves every 13 bytes.
fn deflated_zeros(count: usize) -> Vec<u8> {
    let zero = "00110000";
    let copies = "11000101".to_owned() + "00000";
    // The last block, with the fixed codes.
    let bits: Vec<u8> = ["110", zero, &copies.repeat(16)].concat().bytes().map(|bit| bit - b'0').collect();
    let bytes: Vec<u8> = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| sum * 2 + bit)).collect();
    let again = &bytes[2..15];
    [&bytes[..2], &again.repeat(1 + count / (8 * 258))].concat()
}

/// Zeros as gzip.
pub fn gzip(count: usize) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &deflated_zeros(count)].concat()
}

/// A PNG that has one more frame.
pub fn animated_png(width: u32, height: u32) -> Vec<u8> {
    with_chunks(&picture(ImageFormat::Png, width, height), &[(b"acTL", vec![0, 0, 0, 2, 0, 0, 0, 0])])
}

/// A WebP of two frames.
pub fn animated_webp(width: u32, height: u32) -> Vec<u8> {
    let part = |name: &[u8], data: &[u8]| {
        [name, &(data.len() as u32).to_le_bytes(), data, if data.len() % 2 == 1 { &[0] } else { &[] }].concat()
    };
    let three = |number: u32| number.to_le_bytes()[..3].to_vec();
    let size = [three(width - 1), three(height - 1)].concat();
    let still = picture(ImageFormat::WebP, width, height);
    let frame = part(b"ANMF", &[&[0; 6][..], &size, &three(100), &[0], &still[12..]].concat());
    let parts = [part(b"VP8X", &[&[2, 0, 0, 0][..], &size].concat()), part(b"ANIM", &[0; 6]), frame.clone(), frame];
    part(b"RIFF", &[b"WEBP", &parts.concat()[..]].concat())
}

/// A JPEG with `segments` application segments of 64 KB, as a camera's metadata.
pub fn with_metadata(jpeg: &[u8], segments: usize) -> Vec<u8> {
    let mut segment = [&[0xff, 0xe1, 0xff, 0xff][..], b"Exif\0\0"].concat();
    segment.resize(2 + 0xffff, 0xd9);
    [&jpeg[..2], &segment.repeat(segments), &jpeg[2..]].concat()
}
