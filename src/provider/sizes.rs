//! The native sizes of the models: for each ratio one that the model makes by itself, so that nothing is ever cropped or scaled afterwards.

use crate::job::{AspectRatio, Size};

/// Both sides are divisible by this.
const GRID: u64 = 16;
/// The longest edge.
const MAX_EDGE: u64 = 3840;
/// Fewest and most pixels.
const PIXELS: (u64, u64) = (655_360, 8_294_400);
/// How much longer than the other a side may be.
const MAX_RATIO: u64 = 3;
/// Pixels that are meant to be made: about 1 to 1.6 megapixels, and 1.6 to 2.4 for the qualities `xhigh` and `max`.
const USUAL: [(u64, u64); 2] = [(1_000_000, 1_600_000), (1_600_000, 2_400_000)];

/// What older and compatible models make.
const OLDER: [Size; 3] =
    [Size { width: 1024, height: 1024 }, Size { width: 1536, height: 1024 }, Size { width: 1024, height: 1536 }];

/// The size to ask `model` for, or nothing when it has none of exactly this ratio. For `auto` it is the shape of `photo`, as that is shown, as near as the
/// model comes to it.
pub fn size_for(model: &str, ratio: AspectRatio, quality: Option<&str>, photo: Size) -> Option<Size> {
    let fine = usize::from(matches!(quality, Some("xhigh" | "max")));
    match (ratio.sides(), takes_any_size(model)) {
        (Some(_), true) => Some(usual(ratio)[fine]),
        (Some((wide, tall)), false) => OLDER.into_iter().find(|size| size.width * tall == size.height * wide),
        (None, true) => Some(of_photo(photo, fine)),
        (None, false) => {
            let shape = shape(photo.width.into(), photo.height.into());
            OLDER.into_iter().min_by(|one, other| {
                let apart = |size: &Size| apart(f64::from(size.width) / f64::from(size.height), shape);
                apart(one).total_cmp(&apart(other))
            })
        }
    }
}

/// The size of a ratio, usually and in the finest qualities.
fn usual(ratio: AspectRatio) -> [Size; 2] {
    let (usual, fine) = match ratio {
        AspectRatio::Square | AspectRatio::Auto => ((1024, 1024), (1440, 1440)),
        AspectRatio::Portrait => ((1024, 1280), (1280, 1600)),
        AspectRatio::Story => ((864, 1536), (1152, 2048)),
        AspectRatio::Classic => ((960, 1280), (1248, 1664)),
        AspectRatio::Wide => ((1536, 864), (2048, 1152)),
        AspectRatio::Landscape => ((1536, 1024), (1728, 1152)),
        AspectRatio::Tall => ((1024, 1536), (1152, 1728)),
    };
    [usual, fine].map(|(width, height)| Size { width, height })
}

/// The size of a photo's own shape: a usual one where that is the shape, else one that is exactly so, of those the one with the most usual number of
/// pixels; where there is none, of the usual sizes the one that comes nearest. A shape beyond 3:1 counts as 3:1.
fn of_photo(photo: Size, fine: usize) -> Size {
    let (width, height) = (u64::from(photo.width.max(1)), u64::from(photo.height.max(1)));
    let (width, height) = (width.min(MAX_RATIO * height), height.min(MAX_RATIO * width));
    let common = gcd(width, height);
    let (wide, tall) = (width / common, height / common);
    let named = AspectRatio::ALL
        .into_iter()
        .find(|ratio| ratio.sides().is_some_and(|sides| (u64::from(sides.0), u64::from(sides.1)) == (wide, tall)));
    if let Some(ratio) = named {
        return usual(ratio)[fine];
    }
    let (least, most) = USUAL[fine];
    let unusual = |(width, height): (u64, u64)| apart((width * height) as f64, ((least * most) as f64).sqrt());
    // Both are powers of two: the larger one brings both sides onto the grid.
    let step = (GRID / gcd(GRID, wide)).max(GRID / gcd(GRID, tall));
    let exact = (1..=MAX_EDGE)
        .map(|times| (wide * step * times, tall * step * times))
        .take_while(|(width, height)| *width.max(height) <= MAX_EDGE && width * height <= PIXELS.1)
        .filter(|(width, height)| width * height >= PIXELS.0)
        .min_by(|one, other| unusual(*one).total_cmp(&unusual(*other)));
    let near = || {
        let beside = |height: u64| {
            let width = height * wide / tall / GRID * GRID;
            [(width, height), (width + GRID, height)]
        };
        (GRID..=MAX_EDGE)
            .step_by(GRID as usize)
            .flat_map(beside)
            .filter(|(width, height)| (least..=most).contains(&(width * height)))
            .filter(|(width, height)| *width <= MAX_RATIO * height && *height <= MAX_RATIO * width)
            .min_by(|one, other| {
                let away = |size: &(u64, u64)| apart(shape(size.0, size.1), shape(wide, tall));
                away(one).total_cmp(&away(other)).then(unusual(*one).total_cmp(&unusual(*other)))
            })
    };
    let (width, height) = exact.or_else(near).unwrap_or((1024, 1024));
    Size { width: width as u32, height: height as u32 }
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

fn shape(width: u64, height: u64) -> f64 {
    width as f64 / height as f64
}

/// How far apart two numbers are, as factors are.
fn apart(one: f64, other: f64) -> f64 {
    (one / other).ln().abs()
}

/// Whether the name is that of gpt-image-2 or a later one: `gpt-image-2-2026-04-21`, `gpt-image-2.5-flare`, `gpt-image-3`.
fn takes_any_size(model: &str) -> bool {
    let Some(version) = model.strip_prefix("gpt-image-") else { return false };
    let major = version.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or("");
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

#[cfg(test)]
mod tests;
