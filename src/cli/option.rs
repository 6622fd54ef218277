//! How values of options are read from the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::job::{AspectRatio, Format, SlidesFrom};

/// Numbers of photos, from 1.
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) Vec<u32>);

/// `1,3`, taken apart.
pub(super) fn numbers(text: &str) -> Result<Numbers, String> {
    let numbers = text.split(',').map(|number| number.trim().parse().ok().filter(|number| *number > 0));
    numbers
        .collect::<Option<_>>()
        .map(Numbers)
        .ok_or_else(|| "write numbers of photos from 1, for example 1,3".to_owned())
}

/// One of the origins of slides.
pub(super) fn origin() -> impl TypedValueParser<Value = SlidesFrom> {
    PossibleValuesParser::new(SlidesFrom::ALL.map(SlidesFrom::as_str)).try_map(|text| text.parse::<SlidesFrom>())
}

/// One of the ratios.
pub(super) fn ratio() -> impl TypedValueParser<Value = AspectRatio> {
    PossibleValuesParser::new(AspectRatio::ALL.map(AspectRatio::as_str)).try_map(|text| text.parse::<AspectRatio>())
}

/// One of the file formats.
pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str)).try_map(|text| text.parse::<Format>())
}

/// `NAME=VALUE`, taken apart.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, for example mood=warm".to_owned()),
    }
}
