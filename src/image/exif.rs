//! Which way up a picture is shown: the orientation in its EXIF metadata, which stands in a place of its own in each format.
//!
//! What is malformed says nothing: browsers show such a picture as it lies, and so is it taken here. Little is read, whatever the file says.

use std::io::{self, Read, Seek, SeekFrom};

/// What EXIF begins with in a JPEG, and at times in a WebP.
const MARK: &[u8; 6] = b"Exif\0\0";
/// Entries of the first directory that are looked at. Real files have some dozens.
const MAX_ENTRIES: u16 = 200;
/// Chunks of a container that are passed over on the way to its EXIF.
const MAX_CHUNKS: usize = 500;
/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// Whether the EXIF in a JPEG's segment, of whose data `length` bytes begin at the reader's place, turns the picture by a quarter. Nothing when it
/// is no EXIF.
pub(super) fn in_segment(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<bool>> {
    let mut mark = [0; MARK.len()];
    if !fill(file, &mut mark)? || mark != *MARK {
        return Ok(None);
    }
    turns(file, length.saturating_sub(MARK.len() as u64)).map(Some)
}

/// Whether a PNG's EXIF, which stands before its pixels, turns it by a quarter.
pub(super) fn in_png(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut at = 8;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        if !fill(file, &mut head)? || head[4..] == *b"IDAT" {
            break;
        }
        let length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        if head[4..] == *b"eXIf" {
            return turns(file, length);
        }
        // Length, name and checksum stand around the data.
        at += 12 + length;
    }
    Ok(false)
}

/// Whether a WebP's EXIF, which stands behind its pixels, turns it by a quarter.
pub(super) fn in_webp(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        if !fill(file, &mut head)? {
            break;
        }
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        if head[..4] == *b"EXIF" {
            // Writers don't agree on whether the mark belongs there.
            if let Some(turned) = in_segment(file, length)? {
                return Ok(turned);
            }
            file.seek(SeekFrom::Start(at + 8))?;
            return turns(file, length);
        }
        at += 8 + length + length % 2;
    }
    Ok(false)
}

/// Whether the TIFF structure of `length` bytes that begins here has one of the four orientations that exchange the sides.
fn turns(file: &mut (impl Read + Seek), length: u64) -> io::Result<bool> {
    let begin = file.stream_position()?;
    let mut head = [0; 8];
    if length < head.len() as u64 || !fill(file, &mut head)? {
        return Ok(false);
    }
    let big = match &head[..4] {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return Ok(false),
    };
    let short = |bytes: [u8; 2]| if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let offset = [head[4], head[5], head[6], head[7]];
    let offset = u64::from(if big { u32::from_be_bytes(offset) } else { u32::from_le_bytes(offset) });
    file.seek(SeekFrom::Start(begin + offset))?;
    let mut count = [0; 2];
    if !fill(file, &mut count)? {
        return Ok(false);
    }
    let room = length.saturating_sub(offset + 2) / 12;
    for _ in 0..u64::from(short(count).min(MAX_ENTRIES)).min(room) {
        let mut entry = [0; 12];
        if !fill(file, &mut entry)? {
            break;
        }
        if short([entry[0], entry[1]]) == ORIENTATION {
            return Ok(matches!(short([entry[8], entry[9]]), 5..=8));
        }
    }
    Ok(false)
}

/// Fills `into`; not, when the file ends before.
fn fill(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
