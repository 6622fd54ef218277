use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

use super::*;

const SIZE: Size = Size { width: 96, height: 120 };
const FORMATS: [Format; 3] = [Format::Png, Format::Jpeg, Format::Webp];

/// A picture with detail in it, encoded.
fn encode(format: Format, size: Size) -> Vec<u8> {
    let picture = RgbaImage::from_fn(size.width, size.height, |x, y| {
        Rgba([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x * y) % 256) as u8, 255])
    });
    let target = match format {
        Format::Png => ImageFormat::Png,
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Webp => ImageFormat::WebP,
    };
    let mut bytes = Cursor::new(Vec::new());
    // JPEG has no alpha channel.
    DynamicImage::from(picture).into_rgb8().write_to(&mut bytes, target).expect("a small picture is encoded");
    bytes.into_inner()
}

fn sniffed(bytes: &[u8]) -> Result<Header, Error> {
    sniff(&mut Cursor::new(bytes))
}

/// A JPEG with `metadata` bytes of application segments before its frame, as cameras write them.
fn jpeg_with_metadata(metadata: usize) -> Vec<u8> {
    let plain = encode(Format::Jpeg, SIZE);
    let mut bytes = plain[..2].to_vec();
    for part in vec![0xd9_u8; metadata].chunks(65_000) {
        bytes.extend([0xff, 0xe1]);
        bytes.extend((part.len() as u16 + 2).to_be_bytes());
        // The end-of-image marker of an embedded thumbnail must not be taken for the file's own.
        bytes.extend([0xff]);
        bytes.extend(&part[1..]);
    }
    bytes.extend(&plain[2..]);
    bytes
}

#[test]
fn a_whole_picture_of_the_right_kind_passes() {
    for format in FORMATS {
        let bytes = encode(format, SIZE);
        assert_eq!(sniffed(&bytes).unwrap(), Header { format, size: SIZE });
        let checked = check(&bytes, format, SIZE).unwrap();
        assert_eq!((checked.size, checked.format), (SIZE, format));
        assert_eq!(checked.sha256.len(), 64);
        let hash = STANDARD.decode(&checked.thumbhash).unwrap();
        let ratio = thumbhash::thumb_hash_to_approximate_aspect_ratio(&hash).unwrap();
        assert!((ratio - 0.8).abs() < 0.1, "a thumbhash keeps the shape, here {ratio}");
    }
}

#[test]
fn the_sha256_is_of_the_bytes_as_they_are() {
    let bytes = encode(Format::Png, SIZE);
    let mut padded = bytes.clone();
    padded.push(0);
    let hash = |bytes: &[u8]| check(bytes, Format::Png, SIZE).unwrap().sha256;
    assert_ne!(hash(&bytes), hash(&padded));
    let expected: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash(&bytes), expected);
}

#[test]
fn every_kind_of_webp_header_is_read() {
    let mut extended = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    extended.extend([0xff, 0x03, 0x00, 0xff, 0x04, 0x00]);
    assert_eq!(sniffed(&extended).unwrap().size, Size { width: 1024, height: 1280 });
    let mut lossy = b"RIFF\x00\x00\x00\x00WEBPVP8 \x0a\0\0\0\x30\x01\x00\x9d\x01\x2a".to_vec();
    lossy.extend([0x00, 0x04, 0x00, 0x45]);
    assert_eq!(sniffed(&lossy).unwrap().size, Size { width: 1024, height: 1280 });
}

#[test]
fn a_jpeg_is_recognised_behind_a_megabyte_of_metadata() {
    let bytes = jpeg_with_metadata(1_000_000);
    assert_eq!(sniffed(&bytes).unwrap(), Header { format: Format::Jpeg, size: SIZE });
    assert!(check(&bytes, Format::Jpeg, SIZE).is_ok());
}

#[test]
fn what_is_no_picture_is_named() {
    let cases: [(&[u8], &str); 12] = [
        (b"", "an empty file"),
        (b"GIF89a\x01\x00", "a GIF picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF picture"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<svg xmlns=", "an SVG drawing"),
        (b"  <svg width=\"100000\">", "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"just words\n", "a text"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x00\x01\x02\x03", "data of an unknown kind"),
    ];
    for (bytes, expected) in cases {
        match sniffed(bytes) {
            Err(Error::NotAnImage { found }) => assert_eq!(found, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_picture_of_impossible_size_is_refused_by_its_header() {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(100_000_u32.to_be_bytes());
    bytes.extend(100_000_u32.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    for result in [sniffed(&bytes).map(|_| ()), check(&bytes, Format::Png, SIZE).map(|_| ())] {
        let Err(Error::TooManyPixels { size }) = result else { panic!("{result:?}") };
        assert_eq!(size, Size { width: 100_000, height: 100_000 });
    }
    // Each side is allowed, all the pixels together are not.
    bytes[16..20].copy_from_slice(&16_384_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&16_384_u32.to_be_bytes());
    assert!(matches!(sniffed(&bytes), Err(Error::TooManyPixels { .. })));
    bytes[16..20].copy_from_slice(&0_u32.to_be_bytes());
    assert!(matches!(sniffed(&bytes), Err(Error::Damaged { .. })));
}

#[test]
fn a_header_that_lies_about_its_pixels_does_not_unfold() {
    // The frame says 96x120, its data is that of a picture a hundred times larger.
    let large = encode(Format::Png, Size { width: 960, height: 1200 });
    let mut bytes = large;
    bytes[16..20].copy_from_slice(&SIZE.width.to_be_bytes());
    bytes[20..24].copy_from_slice(&SIZE.height.to_be_bytes());
    assert!(matches!(check(&bytes, Format::Png, SIZE), Err(Error::Damaged { .. })));
}

#[test]
fn another_format_or_size_than_asked_for_is_refused() {
    let bytes = encode(Format::Webp, SIZE);
    assert!(matches!(
        check(&bytes, Format::Png, SIZE),
        Err(Error::WrongFormat { found: Format::Webp, wanted: Format::Png })
    ));
    let wanted = Size { width: 120, height: 96 };
    let Err(Error::WrongSize { found, .. }) = check(&bytes, Format::Webp, wanted) else { panic!("accepted") };
    assert_eq!(found, SIZE);
}

#[test]
fn a_picture_cut_anywhere_is_refused() {
    for format in FORMATS {
        let bytes = encode(format, SIZE);
        let cuts = (1..40).chain((40..bytes.len()).step_by(97)).chain(bytes.len() - 12..bytes.len());
        for cut in cuts {
            let result = check(&bytes[..cut], format, SIZE);
            assert!(
                matches!(result, Err(Error::Damaged { .. } | Error::NotAnImage { .. })),
                "{format:?} cut at {cut} of {}: {result:?}",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_second_file_behind_a_picture_is_refused() {
    for format in FORMATS {
        let mut bytes = encode(format, SIZE);
        bytes.extend([0, 0, b'\n']);
        assert!(check(&bytes, format, SIZE).is_ok(), "padding is allowed: {format:?}");
        bytes.extend(b"PK\x03\x04");
        assert!(matches!(check(&bytes, format, SIZE), Err(Error::Damaged { .. })), "{format:?}");
    }
}

/// A chunk of a PNG, without its checksum: what is tested here comes before the decoder.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat()
}

#[test]
fn an_animation_is_refused_as_a_result_and_known_as_a_source() {
    let plain = encode(Format::Png, SIZE);
    let header = plain.len().min(33);
    let png = [&plain[..header], &chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]), &plain[header..]].concat();
    let plain = encode(Format::Webp, SIZE);
    let extended = [b"VP8X\x0a\0\0\0\x02\0\0\0", &[95, 0, 0, 119, 0, 0][..], &plain[12..]].concat();
    let length = (extended.len() as u32 + 4).to_le_bytes();
    let webp = [b"RIFF", &length[..], b"WEBP", &extended].concat();
    for (format, bytes) in [(Format::Png, png), (Format::Webp, webp)] {
        assert_eq!(sniffed(&bytes).unwrap(), Header { format, size: SIZE });
        let Err(Error::Damaged { reason }) = check(&bytes, format, SIZE) else { panic!("{format:?} passes") };
        assert_eq!(reason, "it is an animation");
    }
}

#[test]
fn a_jpeg_of_nothing_but_fill_bytes_is_not_walked_to_its_end() {
    let mut file = Cursor::new([&[0xff, 0xd8][..], &vec![0xff; 1_000_000]].concat());
    let Err(Error::Damaged { reason }) = sniff(&mut file) else { panic!("it passes") };
    assert_eq!(reason, "its header has no end");
    assert!(file.position() < 10_000, "{} bytes were read", file.position());
}

#[test]
fn no_bytes_make_the_checks_panic() {
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for format in FORMATS {
        let whole = encode(format, Size { width: 24, height: 30 });
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..=random() % 6 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(1 + random() % bytes.len());
            if let Ok(checked) = check(&bytes, format, Size { width: 24, height: 30 }) {
                assert_eq!(checked.format, format);
            }
        }
    }
}
