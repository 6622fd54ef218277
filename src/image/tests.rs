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
        assert_eq!(sniffed(&bytes).unwrap(), Header { format, size: SIZE, turned: false });
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
    assert_eq!(sniffed(&bytes).unwrap(), Header { format: Format::Jpeg, size: SIZE, turned: false });
    assert!(check(&bytes, Format::Jpeg, SIZE).is_ok());
}

/// EXIF that says how the picture is turned, in either order of bytes, behind `before` other entries.
fn exif(orientation: u16, big: bool, before: u16) -> Vec<u8> {
    let short = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let long = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let entry = |tag: u16, value: u16| [&short(tag)[..], &short(3), &long(1), &short(value), &[0, 0]].concat();
    let mut bytes = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    bytes.extend(long(10));
    // Between the header and the directory there may be anything.
    bytes.extend([0xff, 0xd9]);
    bytes.extend(short(before + 1));
    bytes.extend((0..before).flat_map(|_| entry(0x0100, 6)));
    bytes.extend(entry(0x0112, orientation));
    bytes.extend(long(0));
    bytes
}

/// The checksum of a PNG's chunk.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = (rest >> 1) ^ (0xedb8_8320 * (rest & 1));
        }
    }
    (!rest).to_be_bytes()
}

/// A picture with EXIF where its format has it.
fn with_exif(format: Format, exif: &[u8]) -> Vec<u8> {
    let plain = encode(format, SIZE);
    match format {
        Format::Png => {
            let mut metadata = chunk(b"eXIf", exif);
            let end = metadata.len() - 4;
            let sum = checksum(&metadata[4..end]);
            metadata[end..].copy_from_slice(&sum);
            [&plain[..33], &metadata, &plain[33..]].concat()
        }
        Format::Jpeg => {
            let length = (exif.len() as u16 + 8).to_be_bytes();
            // Other application data may stand before it.
            let xmp = b"\xff\xe1\0\x09http://";
            [&plain[..2], &xmp[..], b"\xff\xe1", &length, b"Exif\0\0", exif, &plain[2..]].concat()
        }
        Format::Webp => {
            let padded = [exif, &[0][..exif.len() % 2]].concat();
            let length = (exif.len() as u32).to_le_bytes();
            let extended = [b"VP8X\x0a\0\0\0\x08\0\0\0", &[95, 0, 0, 119, 0, 0][..], &plain[12..]].concat();
            let extended = [&extended[..], b"EXIF", &length, &padded].concat();
            [b"RIFF", &(extended.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &extended].concat()
        }
    }
}

#[test]
fn a_picture_is_as_upright_as_its_exif_says_in_every_format() {
    for format in FORMATS {
        for big in [false, true] {
            for orientation in 0..=9 {
                for before in [0, 12] {
                    let bytes = with_exif(format, &exif(orientation, big, before));
                    let header = sniffed(&bytes).unwrap();
                    assert_eq!(header.size, SIZE, "the size is the file's own");
                    let turned = (5..=8).contains(&orientation);
                    let upright = if turned { Size { width: 120, height: 96 } } else { SIZE };
                    assert_eq!(header.upright(), upright, "{format:?}, orientation {orientation}, big endian {big}");
                    // As the decoder sees it, which turns what the local provider draws on.
                    let mut decoder =
                        ImageReader::new(Cursor::new(&bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
                    let decoded = image::ImageDecoder::orientation(&mut decoder).unwrap().to_exif();
                    assert_eq!((5..=8).contains(&decoded), turned, "{format:?}, orientation {orientation}");
                }
            }
        }
    }
}

#[test]
fn exif_that_says_nothing_sensible_leaves_a_picture_as_it_lies() {
    let good = exif(6, false, 3);
    let mut far = good.clone();
    far[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut endless = good.clone();
    endless[10..12].copy_from_slice(&u16::MAX.to_le_bytes());
    endless.truncate(12);
    endless.resize(60_000, 0);
    let cuts = (0..good.len() - 6).map(|end| good[..end].to_vec());
    for format in FORMATS {
        for wrong in cuts.clone().chain([far.clone(), endless.clone(), b"XX*\0".to_vec()]) {
            let header = sniffed(&with_exif(format, &wrong)).unwrap();
            assert_eq!((header.size, header.upright()), (SIZE, SIZE), "{format:?}: {wrong:02x?}");
        }
    }
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
        assert_eq!(sniffed(&bytes).unwrap(), Header { format, size: SIZE, turned: false });
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
