//! The first bytes of a picture file: its format and its size, or what the file is instead.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Error, exif};
use crate::job::{Format, Size};

/// Longest side of a picture that is accepted, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels of a picture that is accepted.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Bytes that tell what a file is. Only a JPEG's size may stand later, behind its metadata.
const HEAD: u64 = 512;
/// Segments before a JPEG's frame header. Real files have some dozens; a file made of nothing else would be walked for ever.
const MAX_SEGMENTS: usize = 2_000;
/// Segments of a JPEG that are looked at for EXIF. It stands in the first one or two of its kind.
const MAX_EXIF: usize = 8;
/// Bytes that fill the space before a JPEG's markers. Real files have none or a few.
const MAX_FILL: usize = 1_000;

/// What a picture file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format by the file's first bytes, whatever its name says.
    pub format: Format,
    /// Size by the file's header.
    pub size: Size,
    /// Whether it is shown turned by a quarter, as cameras ask for by EXIF: its sides change places.
    pub turned: bool,
}

impl Header {
    /// The size in which the picture is shown.
    pub fn upright(&self) -> Size {
        let Size { width, height } = self.size;
        if self.turned { Size { width: height, height: width } } else { self.size }
    }
}

/// Reads format, size and orientation from magic, header and metadata, without decoding anything.
///
/// Takes a reader, because the size of a JPEG stands behind its metadata, anywhere in the file, and the orientation of a WebP at its end; what lies
/// between is skipped by seeking. Give it a buffered file. Reads at most some kilobytes.
///
/// # Errors
/// `NotAnImage`, `Damaged`, `TooManyPixels`, and `Unreadable` when the reader fails.
pub fn sniff(file: &mut (impl Read + Seek)) -> Result<Header, Error> {
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(Error::Unreadable)?;
    let (format, size, turned) = match Format::of(&head) {
        Some(Format::Png) => (Format::Png, png(&head)?, exif::in_png(file).map_err(Error::Unreadable)?),
        Some(Format::Jpeg) => {
            let (size, turned) = jpeg(file)?;
            (Format::Jpeg, size, turned)
        }
        Some(Format::Webp) => (Format::Webp, webp(&head)?, exif::in_webp(file).map_err(Error::Unreadable)?),
        None => return Err(Error::NotAnImage { found: other(&head) }),
    };
    if size.width == 0 || size.height == 0 {
        return Err(Error::damaged("its header states no size"));
    }
    let pixels = u64::from(size.width) * u64::from(size.height);
    if size.width > MAX_SIDE || size.height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(Error::TooManyPixels { size });
    }
    Ok(Header { format, size, turned })
}

fn early_end() -> Error {
    Error::damaged("it ends within its header")
}

fn png(head: &[u8]) -> Result<Size, Error> {
    let header = head.get(8..24).ok_or_else(early_end)?;
    if header[..8] != *b"\0\0\0\x0dIHDR" {
        return Err(Error::damaged("it does not begin with its header"));
    }
    let side = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok(Size { width: side(8), height: side(12) })
}

/// Size of a JPEG, and whether it is shown turned by a quarter.
fn jpeg(file: &mut (impl Read + Seek)) -> Result<(Size, bool), Error> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => early_end(),
        _ => Error::Unreadable(error),
    };
    file.seek(SeekFrom::Start(2)).map_err(Error::Unreadable)?;
    let (mut fill, mut looked_at, mut turned) = (0, 0, None);
    for _ in 0..MAX_SEGMENTS {
        let mut marker = [0; 2];
        file.read_exact(&mut marker).map_err(cut)?;
        if marker[0] != 0xff {
            return Err(Error::damaged("its segments are out of step"));
        }
        while marker[1] == 0xff {
            fill += 1;
            if fill > MAX_FILL {
                return Err(Error::damaged("its header has no end"));
            }
            file.read_exact(&mut marker[1..]).map_err(cut)?;
        }
        let mut length = [0; 2];
        match marker[1] {
            0x01 | 0xd0..=0xd8 => continue,
            0xd9 | 0xda => return Err(Error::damaged("it has no frame header")),
            _ => file.read_exact(&mut length).map_err(cut)?,
        }
        let length = u16::from_be_bytes(length);
        if is_frame(marker[1]) {
            let mut frame = [0; 5];
            file.read_exact(&mut frame).map_err(cut)?;
            let side = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
            return Ok((Size { width: side(3), height: side(1) }, turned.unwrap_or(false)));
        }
        let rest = length.checked_sub(2).ok_or_else(|| Error::damaged("a segment has no length"))?;
        let data = file.stream_position().map_err(Error::Unreadable)?;
        if marker[1] == 0xe1 && turned.is_none() && looked_at < MAX_EXIF {
            looked_at += 1;
            turned = exif::in_segment(file, rest.into()).map_err(Error::Unreadable)?;
        }
        file.seek(SeekFrom::Start(data + u64::from(rest))).map_err(Error::Unreadable)?;
    }
    Err(Error::damaged("its header has no end"))
}

/// Start-of-frame markers: all of C0 to CF that don't mean something else.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn webp(head: &[u8]) -> Result<Size, Error> {
    let chunk = head.get(12..30).ok_or_else(early_end)?;
    let (kind, data) = (&chunk[..4], &chunk[8..]);
    let size = match kind {
        // Lossy: a frame tag of three bytes, the start code, then two sides of 14 bits.
        b"VP8 " if data[3..6] == [0x9d, 0x01, 0x2a] => {
            let side = |at: usize| u32::from(u16::from_le_bytes([data[at], data[at + 1]]) & 0x3fff);
            Size { width: side(6), height: side(8) }
        }
        // Lossless: a signature byte, then both sides less one, 14 bits each.
        b"VP8L" if data[0] == 0x2f => {
            let bits = u32::from_le_bytes([data[1], data[2], data[3], data[4]]);
            Size { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 }
        }
        // Extended: flags, then both sides less one, 24 bits each.
        b"VP8X" => {
            let side = |at: usize| u32::from_le_bytes([data[at], data[at + 1], data[at + 2], 0]) + 1;
            Size { width: side(4), height: side(7) }
        }
        _ => return Err(Error::damaged("its first chunk is unknown")),
    };
    Ok(size)
}

/// Names what a file is that is no accepted picture. A text is told from data by its bytes, a document by how it begins.
fn other(head: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"GIF8", "a GIF picture"),
        (b"BM", "a BMP picture"),
        (b"II*\0", "a TIFF picture"),
        (b"MM\0*", "a TIFF picture"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    ];
    if head.is_empty() {
        return "an empty file";
    }
    if let Some((_, name)) = KNOWN.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        return name;
    }
    if head.get(4..8) == Some(b"ftyp") {
        return match head.get(8..12) {
            Some(b"avif" | b"avis") => "an AVIF picture",
            Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => "a HEIC picture",
            _ => "a video",
        };
    }
    // A cut in the middle of a character is the head's, not the text's.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return "data of an unknown kind",
    };
    let start = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if start.starts_with('<') && start.contains("<svg") {
        "an SVG drawing"
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "an HTML page"
    } else if text.contains(|letter: char| letter.is_control() && !letter.is_whitespace()) {
        "data of an unknown kind"
    } else {
        "a text"
    }
}
