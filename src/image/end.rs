//! The parts of a picture file: whether it is whole, and nothing else hangs on it.
//!
//! Decoders stop when they have their pixels, and the JPEG decoder paints what is missing grey: neither notices a file that was cut or continued. What
//! stands in the format's own places for metadata (provenance, colour profile, comments) belongs to the picture, whatever it says.

use super::Error;
use crate::job::Format;

/// Makes sure that the file has its end, and that nothing but padding follows.
pub(super) fn check(bytes: &[u8], format: Format) -> Result<(), Error> {
    let end = match format {
        Format::Png => png(bytes)?,
        Format::Jpeg => jpeg(bytes),
        Format::Webp => webp(bytes)?,
    };
    let rest = end.and_then(|end| bytes.get(end..)).ok_or_else(|| Error::damaged("its end is missing"))?;
    // Encoders pad with zeros or a line end; a second file behind the picture is somebody's trick.
    if rest.iter().all(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        Ok(())
    } else {
        Err(Error::damaged("something else follows its end"))
    }
}

/// Frames after the first are pictures that nobody has looked at.
fn animated() -> Error {
    Error::damaged("it is an animation")
}

/// Where the IEND chunk of a PNG ends.
fn png(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let mut at = 8_usize;
    while let Some((length, rest)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk) {
        // Length, name and checksum stand around the data.
        at = at.saturating_add(12).saturating_add(u32::from_be_bytes(*length) as usize);
        match rest.first_chunk() {
            Some(b"IEND") => return Ok(Some(at)),
            Some(b"acTL") => return Err(animated()),
            _ => {}
        }
    }
    Ok(None)
}

/// Where the end-of-image marker of a JPEG ends. Thumbnails in its metadata have such a marker too, so the segments are walked.
fn jpeg(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        // Within a scan, 0xff is followed by 0 (a data byte) or by a restart marker; anything else ends the scan.
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => return Some(at + 2),
            _ => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
        }
    }
}

/// Where the RIFF container of a WebP ends.
fn webp(bytes: &[u8]) -> Result<Option<usize>, Error> {
    // The first chunk's flags, where it is an extended one.
    if bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 0x02 != 0) {
        return Err(animated());
    }
    let length = bytes.get(4..).and_then(<[u8]>::first_chunk);
    Ok(length.map(|length| (u32::from_le_bytes(*length) as usize).saturating_add(8)))
}
