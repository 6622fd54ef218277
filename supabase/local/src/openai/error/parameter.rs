//! The refusals of single parameters, which only the reading and checking of a call needs.

use super::{ApiError, REQUEST, USER};

impl ApiError {
    pub(in crate::openai) fn missing_parameter(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::new(400, REQUEST, "missing_required_parameter", message).on(param)
    }

    pub(in crate::openai) fn unknown_parameter(param: &str) -> Self {
        Self::new(400, REQUEST, "unknown_parameter", format!("Unknown parameter: '{param}'.")).on(param)
    }

    pub(in crate::openai) fn unsupported_parameter(param: &str) -> Self {
        let message = format!("Unsupported parameter: '{param}' is not supported with this model.");
        Self::new(400, REQUEST, "unsupported_parameter", message).on(param)
    }

    pub(in crate::openai) fn duplicate_parameter(param: &str) -> Self {
        let message = format!(
            "Duplicate parameter: '{param}'. You provided multiple values for this parameter, whereas only one is allowed. If you \
             are trying to provide a list of values, use the array syntax instead e.g. '{param}[]=<value>'."
        );
        Self::new(400, REQUEST, "duplicate_parameter", message).on(param)
    }

    pub(in crate::openai) fn string_above_max_length(param: &str, limit: usize, length: usize) -> Self {
        let message = format!(
            "Invalid '{param}': string too long. Expected a string with maximum length {limit}, but got a string with length \
             {length} instead."
        );
        Self::new(400, REQUEST, "string_above_max_length", message).on(param)
    }

    pub(in crate::openai) fn empty_string(param: &str) -> Self {
        let message = format!(
            "Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead."
        );
        Self::new(400, REQUEST, "empty_string", message).on(param)
    }

    pub(in crate::openai) fn invalid_type(param: &str, expected: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected {expected}, but got a string instead.");
        Self::new(400, REQUEST, "invalid_type", message).on(param)
    }

    pub(in crate::openai) fn integer_out_of_range(param: &str, got: i64, lowest: i64, highest: i64) -> Self {
        let (side, code, bound) = if got < lowest {
            ("below minimum", "integer_below_min_value", format!(">= {lowest}"))
        } else {
            ("above maximum", "integer_above_max_value", format!("<= {highest}"))
        };
        let message =
            format!("Invalid '{param}': integer {side} value. Expected a value {bound}, but got {got} instead.");
        Self::new(400, REQUEST, code, message).on(param)
    }

    pub(in crate::openai) fn invalid_value(param: &str, value: &str, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|known| format!("'{known}'")).collect();
        let known = match known.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
            _ => known.join(", "),
        };
        let message = format!("Invalid value: '{value}'. Supported values are: {known}.");
        Self::new(400, REQUEST, "invalid_value", message).on(param)
    }

    pub(in crate::openai) fn array_too_long(param: &str, limit: usize, length: usize) -> Self {
        let message = format!(
            "Invalid '{param}': array too long. Expected an array with maximum length {limit}, but got an array with length \
             {length} instead."
        );
        Self::new(400, REQUEST, "array_above_max_length", message).on(param)
    }

    pub(in crate::openai) fn file_too_large(param: &str, megabytes: u64) -> Self {
        let message = format!("Invalid file '{param}': file too large. Each image must be less than {megabytes}MB.");
        Self::new(400, REQUEST, "file_too_large", message).on(param)
    }

    pub(in crate::openai) fn transparent_model() -> Self {
        Self::new(400, USER, "invalid_value", "Transparent background is not supported for this model.")
            .on("background")
    }

    pub(in crate::openai) fn transparent_jpeg() -> Self {
        let message = "Transparent background is not supported for JPEG output format";
        Self::new(400, USER, "invalid_transparent_background_output_format", message)
    }

    pub(in crate::openai) fn compressed_png() -> Self {
        let message = "Compression less than 100 is not supported for PNG output format";
        Self::new(400, USER, "invalid_png_output_compression", message)
    }

    pub(in crate::openai) fn invalid_mask(reason: &str) -> Self {
        Self::new(400, USER, "invalid_mask_image_format", format!("Invalid mask image format - {reason}"))
    }

    pub(in crate::openai) fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, REQUEST, None, message)
    }

    pub(in crate::openai) fn body_too_large() -> Self {
        Self::new(413, REQUEST, None, "Request body too large")
    }

    /// 404 without a code: there is nothing at this path, as without the `/v1`.
    #[must_use]
    pub fn unknown_url(method: &str, path: &str) -> Self {
        Self::new(404, REQUEST, None, format!("Invalid URL ({method} {path})"))
    }

    /// 405 `method_not_supported`.
    #[must_use]
    pub fn wrong_method(method: &str, path: &str) -> Self {
        Self::new(405, REQUEST, "method_not_supported", format!("Not allowed to {method} on {path}."))
    }
}
