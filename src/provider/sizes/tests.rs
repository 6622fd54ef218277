use super::*;

const CURRENT: [&str; 4] = ["gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.5-sunburst", "gpt-image-3"];
const OLD: [&str; 6] =
    ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest", "dall-e-2", "qwen-image-edit", "gpt-image-"];
const QUALITIES: [Option<&str>; 7] =
    [None, Some("low"), Some("medium"), Some("high"), Some("auto"), Some("xhigh"), Some("max")];
const PHOTO: Size = Size { width: 4032, height: 3024 };

/// What the provider takes, in its own words.
fn is_legal(Size { width, height }: Size) -> bool {
    width.is_multiple_of(16)
        && height.is_multiple_of(16)
        && width.max(height) <= 3840
        && width <= 3 * height
        && height <= 3 * width
        && (655_360..=8_294_400).contains(&(width * height))
}

fn is_usual(size: Size, quality: Option<&str>) -> bool {
    let (least, most) = if matches!(quality, Some("xhigh" | "max")) { USUAL[1] } else { USUAL[0] };
    (least..=most).contains(&u64::from(size.width * size.height))
}

fn auto(photo: Size, quality: Option<&str>) -> Size {
    size_for("gpt-image-2", AspectRatio::Auto, quality, photo).expect("every photo has a size")
}

fn is_exact(size: Size, (wide, tall): (u32, u32)) -> bool {
    u64::from(size.width) * u64::from(tall) == u64::from(size.height) * u64::from(wide)
}

#[test]
fn every_native_size_is_legal_usual_and_exactly_its_ratio() {
    for model in CURRENT {
        for ratio in AspectRatio::ALL {
            let Some(sides) = ratio.sides() else { continue };
            for quality in QUALITIES {
                let size = size_for(model, ratio, quality, PHOTO).expect("a current model has a size for each ratio");
                assert!(is_exact(size, sides), "{size} is exactly {ratio}");
                assert!(is_legal(size) && is_usual(size, quality), "{size}");
                // A photo of that shape, however large.
                for times in [1, 7, 100] {
                    let photo = Size { width: sides.0 * times, height: sides.1 * times };
                    assert_eq!(auto(photo, quality), size, "{photo} is {ratio}");
                }
            }
        }
    }
}

#[test]
fn an_older_or_unknown_model_makes_its_three_shapes_and_no_other() {
    let size = |width, height| Some(Size { width, height });
    for model in OLD {
        for ratio in AspectRatio::ALL {
            let expected = match ratio {
                AspectRatio::Square => size(1024, 1024),
                AspectRatio::Landscape => size(1536, 1024),
                AspectRatio::Tall => size(1024, 1536),
                AspectRatio::Auto => continue,
                _ => None,
            };
            assert_eq!(size_for(model, ratio, None, PHOTO), expected, "{model} {ratio}");
        }
        for (width, height, expected) in [
            (1000, 1000, size(1024, 1024)),
            (1200, 1000, size(1024, 1024)),
            (4000, 3000, size(1536, 1024)),
            (10_000, 10, size(1536, 1024)),
            (1000, 1200, size(1024, 1024)),
            (3000, 4000, size(1024, 1536)),
            (1, 16_384, size(1024, 1536)),
        ] {
            assert_eq!(size_for(model, AspectRatio::Auto, None, Size { width, height }), expected, "{width}x{height}");
        }
    }
}

/// Photos of every simple shape, and of odd ones.
fn photos() -> impl Iterator<Item = Size> {
    let simple = (1..=48).flat_map(|width| (1..=48).map(move |height| Size { width, height }));
    let mut seed = 11_u64;
    let odd = std::iter::repeat_with(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Size { width: 1 + (seed >> 50) as u32, height: 1 + ((seed >> 36) & 0x3fff) as u32 }
    });
    simple.chain(odd.take(500))
}

#[test]
fn a_photos_own_shape_is_made_exactly_where_any_legal_size_has_it() {
    let sides = || (16..=3840).step_by(16);
    let legal: Vec<Size> = sides()
        .flat_map(|width| sides().map(move |height| Size { width, height }))
        .filter(|size| is_legal(*size))
        .collect();
    for photo in photos() {
        let shape = (photo.width.min(3 * photo.height), photo.height.min(3 * photo.width));
        for quality in [None, Some("max")] {
            let size = auto(photo, quality);
            assert!(is_legal(size), "{photo} becomes {size}");
            let exact: Vec<&Size> = legal.iter().filter(|size| is_exact(**size, shape)).collect();
            if exact.is_empty() {
                assert!(is_usual(size, quality), "{photo} becomes {size}");
                let away = |size: Size| {
                    apart(f64::from(size.width) / f64::from(size.height), f64::from(shape.0) / f64::from(shape.1))
                };
                let nearest = legal.iter().filter(|size| is_usual(**size, quality)).map(|size| away(*size));
                let nearest = nearest.fold(f64::INFINITY, f64::min);
                assert!(away(size) <= nearest + 1e-12, "{photo} becomes {size}, {} away, not {nearest}", away(size));
            } else {
                assert!(is_exact(size, shape), "{photo} becomes {size}, but {exact:?} have its shape");
                let usual = exact.iter().any(|size| is_usual(**size, quality));
                assert!(!usual || is_usual(size, quality), "{photo} becomes {size}, but {exact:?} have its shape");
            }
        }
    }
}

#[test]
fn photos_as_cameras_take_them_have_the_sizes_that_are_told() {
    for (width, height, expected) in [
        (4032, 3024, "1280x960"),
        (3024, 4032, "960x1280"),
        (6000, 4000, "1536x1024"),
        (1920, 1080, "1536x864"),
        (1080, 1350, "1024x1280"),
        (2048, 1365, "1392x928"),
        (9000, 1000, "1968x656"),
        (1, 16_384, "656x1968"),
    ] {
        assert_eq!(auto(Size { width, height }, None).to_string(), expected, "{width}x{height}");
    }
}
