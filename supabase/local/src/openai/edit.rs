//! The rules of `POST /v1/images/edits`: a form in, an edit or a refusal out.

use std::str::FromStr as _;

use image::ImageDecoder as _;
use image::codecs::png::PngDecoder;
use time::Date;

use super::error::ApiError;
use super::form::{Form, Picture};
use super::model::Size;
use super::model::{self, Generation};
use super::usage::Usage;
use crate::format::Format;

/// Characters of the longest prompt.
pub(super) const LONGEST_PROMPT: usize = 32_000;

/// Every text field that an edit may have.
const KNOWN: [&str; 14] = [
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "background",
    "input_fidelity",
    "output_format",
    "output_compression",
    "stream",
    "partial_images",
    "safety_identifier",
    "user",
    "moderation",
];

/// An edit that will be made.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) model: &'static str,
    pub(super) prompt: String,
    pub(super) size: Size,
    pub(super) count: u32,
    pub(super) quality: &'static str,
    pub(super) format: Format,
    /// 0 to 100, for JPEG.
    pub(super) compression: u8,
    pub(super) background: &'static str,
    pub(super) stream: bool,
    pub(super) partials: u32,
    pub(super) input_images: u32,
    pub(super) usage: Usage,
}

impl Edit {
    /// Checks a form by the rules of the model it names, as they are on `today`.
    pub(super) fn check(form: &Form, today: Date) -> Result<Self, ApiError> {
        if let Some((unknown, _)) = form.texts.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return Err(ApiError::unknown_parameter(unknown));
        }
        let name = form.text("model").ok_or_else(|| ApiError::malformed("you must provide a model parameter"))?;
        let model = model::find(name, today)?;
        let prompt = check_prompt(form)?;
        if form.images.is_empty() {
            return Err(ApiError::missing_parameter("image"));
        }
        let quality = one_of(form, "quality", model.generation.qualities(), "auto")?;
        let background = one_of(form, "background", &["transparent", "opaque", "auto"], "auto")?;
        one_of(form, "moderation", &["low", "auto"], "auto")?;
        let format =
            Format::from_str(one_of(form, "output_format", &["png", "webp", "jpeg"], "png")?).unwrap_or(Format::Png);
        let compression = integer(form, "output_compression", 0, 100)?;
        if compression.is_some_and(|compression| compression < 100) && format == Format::Png {
            return Err(ApiError::compressed_png());
        }
        if background == "transparent" {
            if model.generation == Generation::Two {
                return Err(ApiError::transparent_model());
            } else if format == Format::Jpeg {
                return Err(ApiError::transparent_jpeg());
            }
        }
        if form.text("input_fidelity").is_some() && model.generation >= Generation::Two {
            return Err(ApiError::unsupported_parameter("input_fidelity"));
        }
        one_of(form, "input_fidelity", &["high", "low"], "low")?;
        let stream = one_of(form, "stream", &["true", "false"], "false")? == "true";
        let partials = integer(form, "partial_images", 0, 3)?.filter(|_| stream).unwrap_or(0);
        let count = integer(form, "n", 1, 10)?.unwrap_or(1);
        let wanted = model.generation.size(form.text("size").unwrap_or("auto"))?;

        let inputs = form
            .images
            .iter()
            .enumerate()
            .map(|(index, image)| look_at(index, image))
            .collect::<Result<Vec<_>, _>>()?;
        check_mask(form, inputs[0])?;
        let size = wanted.unwrap_or_else(|| fitting(inputs[0]));
        let quality = if quality == "auto" { "medium" } else { quality };
        Ok(Self {
            model: model.id,
            size,
            count,
            quality,
            format,
            compression: compression.map_or(90, |compression| compression.clamp(1, 100) as u8),
            background: if background == "auto" { "opaque" } else { background },
            stream,
            partials,
            input_images: inputs.len() as u32,
            usage: Usage::estimate(&prompt, &inputs, size, quality, count, partials),
            prompt,
        })
    }
}

fn check_prompt(form: &Form) -> Result<String, ApiError> {
    let prompt = form.text("prompt").ok_or_else(|| ApiError::missing_parameter("prompt"))?;
    match prompt.chars().count() {
        0 => Err(ApiError::empty_string("prompt")),
        length if length > LONGEST_PROMPT => Err(ApiError::string_above_max_length("prompt", LONGEST_PROMPT, length)),
        _ => Ok(prompt.to_owned()),
    }
}

/// The value of `param`, which must be one of `known`.
fn one_of(form: &Form, param: &str, known: &[&'static str], default: &'static str) -> Result<&'static str, ApiError> {
    let Some(value) = form.text(param) else { return Ok(default) };
    known.iter().find(|known| **known == value).copied().ok_or_else(|| ApiError::invalid_value(param, value, known))
}

fn integer(form: &Form, param: &str, lowest: i64, highest: i64) -> Result<Option<u32>, ApiError> {
    let Some(value) = form.text(param) else { return Ok(None) };
    let number: i64 = value.parse().map_err(|_| ApiError::invalid_type(param, "an integer"))?;
    if (lowest..=highest).contains(&number) {
        Ok(Some(number as u32))
    } else {
        Err(ApiError::integer_out_of_range(param, number, lowest, highest))
    }
}

/// The size of an input picture, read from its header.
///
/// A header that lies beyond the part that was kept counts as a usual size. A JPEG of several pictures (phones write
/// such for portrait and HDR shots) is refused, as the real service refuses it.
fn look_at(index: usize, picture: &Picture) -> Result<Size, ApiError> {
    let refused = || ApiError::invalid_image_file(index + 1);
    let format = image::guess_format(&picture.bytes).map_err(|_| refused())?;
    if !matches!(format, image::ImageFormat::Jpeg | image::ImageFormat::Png | image::ImageFormat::WebP) {
        return Err(refused());
    }
    let head = &picture.bytes[..picture.bytes.len().min(super::form::HEAD)];
    if format == image::ImageFormat::Jpeg && memchr::memmem::find(head, b"MPF\0").is_some() {
        return Err(refused());
    }
    let reader = image::ImageReader::with_format(std::io::Cursor::new(&picture.bytes), format);
    match reader.into_dimensions() {
        Ok((width, height)) => Ok(Size { width, height }),
        Err(_) if picture.received.length > picture.bytes.len() as u64 => Ok(Size { width: 1024, height: 1024 }),
        Err(_) => Err(refused()),
    }
}

fn check_mask(form: &Form, first: Size) -> Result<(), ApiError> {
    let Some(mask) = &form.mask else { return Ok(()) };
    let decoder =
        PngDecoder::new(std::io::Cursor::new(mask)).map_err(|_| ApiError::invalid_mask("mask is not a PNG"))?;
    if !decoder.color_type().has_alpha() {
        return Err(ApiError::invalid_mask("mask image missing alpha channel"));
    }
    if decoder.dimensions() != (first.width, first.height) {
        return Err(ApiError::invalid_mask("mask size does not match image size"));
    }
    Ok(())
}

/// What `auto` makes of a source.
fn fitting(source: Size) -> Size {
    let ratio = f64::from(source.width) / f64::from(source.height.max(1));
    match ratio {
        ratio if ratio > 1.2 => Size { width: 1536, height: 1024 },
        ratio if ratio < 0.83 => Size { width: 1024, height: 1536 },
        _ => Size { width: 1024, height: 1024 },
    }
}
