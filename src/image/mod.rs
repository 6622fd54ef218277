//! Tells what a picture file is, and whether a generated one is what was asked for. Pure: it reads what it is given, nothing else.
//!
//! [`sniff`] looks at magic and header only, so a source that claims to be enormous costs nothing. [`check`] really decodes, but only after
//! the header has the wanted format and size, and with the decoder's limits set from that size: a bomb is refused before it can unfold.
//!
//! [`check`] takes tens of milliseconds of a core for each megapixel: call it on a blocking thread. It refuses a file that goes on as another one
//! behind its end, and animations; metadata within the picture's own format is let through, provenance among it. [`sniff`] lets all of these pass: a phone's
//! photo may have a film behind it, and what the owner chose is sent as it is. The weakness of [`check`]: the JPEG decoder forgives damage inside
//! the picture's data, so that a JPEG whose end is in place but whose middle is garbled passes.

mod end;
mod exif;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header;
#[cfg(test)]
mod tests;

use std::io::{self, Cursor};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use sha2::{Digest, Sha256};

use crate::job::{Format, Size};

pub use header::{Header, MAX_PIXELS, MAX_SIDE, sniff};

/// Longest side of the picture that a thumbhash is made from, as its algorithm demands.
const THUMB_SIDE: u32 = 100;
/// What a decoder may allocate beside the pixels: tables, colour profile, one row.
const DECODER_EXTRA: u64 = 8 * 1024 * 1024;

/// Why bytes are not the picture that they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no picture of a format that is worked with.
    #[error("this is {found}; use a PNG, JPEG or WebP picture")]
    NotAnImage {
        /// What it is instead, with its article: `a GIF picture`.
        found: &'static str,
    },
    /// A picture, but of another format than the one that was asked for.
    #[error("the picture is {}, but {} was asked for", .found.as_str(), .wanted.as_str())]
    WrongFormat {
        /// The format of the bytes.
        found: Format,
        /// The format that was asked for.
        wanted: Format,
    },
    /// A picture, but of another size than the one that was asked for.
    #[error("the picture has {found} pixels, but {wanted} was asked for")]
    WrongSize {
        /// The size that the header states.
        found: Size,
        /// The size that was asked for.
        wanted: Size,
    },
    /// The file begins as a picture and breaks off, contradicts itself or goes on as something else.
    #[error("the picture is damaged: {reason}")]
    Damaged {
        /// What is wrong with it, in a few words.
        reason: String,
    },
    /// The header states more pixels than anyone would want to work with.
    #[error("the picture has {size} pixels; at most {MAX_SIDE} on a side and {} million in all are accepted", MAX_PIXELS / 1_000_000)]
    TooManyPixels {
        /// The size that the header states.
        size: Size,
    },
    /// The file could not be read: nothing is known about the picture.
    #[error("the picture could not be read: {0}")]
    Unreadable(io::Error),
}

impl Error {
    fn damaged(reason: impl ToString) -> Self {
        Self::Damaged { reason: reason.to_string() }
    }
}

/// What [`check`] learned about a picture that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Width and height in pixels.
    pub size: Size,
    /// Format of the file.
    pub format: Format,
    /// A blurred miniature of about 25 bytes (<https://evanw.github.io/thumbhash/>), in base64.
    pub thumbhash: String,
    /// SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: String,
}

/// Decodes `bytes` and makes sure that they are a whole picture of the format `wanted` and of exactly `size`.
///
/// # Errors
/// Every variant of [`Error`] but `Unreadable`.
pub fn check(bytes: &[u8], wanted: Format, size: Size) -> Result<Checked, Error> {
    let header = sniff(&mut Cursor::new(bytes))?;
    if header.format != wanted {
        return Err(Error::WrongFormat { found: header.format, wanted });
    }
    if header.size != size {
        return Err(Error::WrongSize { found: header.size, wanted: size });
    }
    end::check(bytes, wanted)?;
    // The decoders read foreign bytes: a panic in one of them is a fault of this picture, not of the worker.
    let picture = std::panic::catch_unwind(|| decode(bytes, wanted, size))
        .unwrap_or_else(|_| Err(Error::damaged("the decoder gave up")))?;
    let found = Size { width: picture.width(), height: picture.height() };
    if found != size {
        return Err(Error::WrongSize { found, wanted: size });
    }
    let thumbhash = STANDARD.encode(thumbhash(&picture));
    let sha256 = format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(bytes)));
    Ok(Checked { size, format: wanted, thumbhash, sha256 })
}

fn decode(bytes: &[u8], format: Format, size: Size) -> Result<DynamicImage, Error> {
    let known = match format {
        Format::Png => ImageFormat::Png,
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Webp => ImageFormat::WebP,
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(size.width);
    limits.max_image_height = Some(size.height);
    // Four channels of 16 bits, and as much again for a decoder that works in a buffer of its own.
    limits.max_alloc = Some(u64::from(size.width) * u64::from(size.height) * 16 + DECODER_EXTRA);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    reader.limits(limits);
    reader.decode().map_err(Error::damaged)
}

fn thumbhash(picture: &DynamicImage) -> Vec<u8> {
    let small = picture.thumbnail(THUMB_SIDE, THUMB_SIDE).to_rgba8();
    thumbhash::rgba_to_thumb_hash(small.width() as usize, small.height() as usize, small.as_raw())
}
