//! The multipart body of a call, read as it comes: texts kept, files hashed, of the first picture the bytes kept to draw from.
//!
//! A refused body is read to its end all the same, so that the client reads the refusal and not a broken connection.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use multer::{Constraints, Field, Multipart, SizeLimit};
use sha2::{Digest as _, Sha256};

use super::call::ReceivedImage;
use super::error::ApiError;

/// Pictures a call may bring.
const MOST_IMAGES: usize = 16;
/// A picture must be smaller than this many megabytes, and a mask than [`MASK_MEGABYTES`].
const IMAGE_MEGABYTES: u64 = 50;
const MASK_MEGABYTES: u64 = 4;
/// Bytes of each picture that are kept to look at its header.
pub(super) const HEAD: usize = 128 << 10;
/// Texts longer than this are counted, not kept.
const LONGEST_TEXT: usize = 512 << 10;
/// More than sixteen of the largest pictures: no honest body is longer.
const WHOLE_BODY: u64 = (MOST_IMAGES as u64 + 1) * (IMAGE_MEGABYTES << 20);

/// What a call brought.
#[derive(Default)]
pub(super) struct Form {
    /// Texts in the order they came, name and value.
    pub(super) texts: Vec<(String, String)>,
    /// Pictures in the order they came.
    pub(super) images: Vec<Picture>,
    /// The mask, whole.
    pub(super) mask: Option<Bytes>,
}

/// A picture of the form.
pub(super) struct Picture {
    /// What is told about it.
    pub(super) received: ReceivedImage,
    /// Its beginning, or for the first picture all of it.
    pub(super) bytes: Bytes,
}

impl Form {
    /// The text called `name`.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a body to its end.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Ok(boundary) = multer::parse_boundary(content_type) else {
            return Err(ApiError::malformed(format!(
                "Unsupported content type: '{content_type}'. This API method only accepts 'multipart/form-data' requests."
            )));
        };
        let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(WHOLE_BODY));
        let mut multipart = Multipart::with_constraints(body.into_data_stream(), boundary, limits);
        let mut form = Self::default();
        let mut refused = None;
        while let Some(mut field) = multipart.next_field().await.map_err(unreadable)? {
            if refused.is_none() {
                refused = form.take(&mut field).await.err();
            }
            while field.chunk().await.map_err(unreadable)?.is_some() {}
        }
        refused.map_or(Ok(form), Err)
    }

    async fn take(&mut self, field: &mut Field<'_>) -> Result<(), ApiError> {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "image" | "image[]" => self.take_image(field, &name).await,
            "mask" => self.take_mask(field).await,
            _ => {
                let (kept, length) = collect(field, LONGEST_TEXT).await?;
                let value = String::from_utf8_lossy(&kept).into_owned();
                if length as usize > kept.len() {
                    return Err(ApiError::string_above_max_length(&name, super::edit::LONGEST_PROMPT, length as usize));
                }
                if self.text(&name).is_some() {
                    return Err(ApiError::duplicate_parameter(&name));
                }
                self.texts.push((name, value));
                Ok(())
            }
        }
    }

    async fn take_image(&mut self, field: &mut Field<'_>, name: &str) -> Result<(), ApiError> {
        let index = self.images.len();
        if index > 0 && (name == "image" || self.images.iter().any(|image| image.received.field == "image")) {
            return Err(ApiError::duplicate_parameter("image"));
        }
        let param = if name == "image" { name.to_owned() } else { format!("image[{index}]") };
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            return Err(ApiError::invalid_type("image", "one of an array of files or file"));
        };
        if index >= MOST_IMAGES {
            return Err(ApiError::array_too_long("image", MOST_IMAGES, index + 1));
        }
        let mime = mime(field, &param)?;
        if !["image/jpeg", "image/png", "image/webp"].contains(&mime.as_str()) {
            return Err(ApiError::unsupported_file_mimetype(&param, &mime));
        }
        let keep = if index == 0 { usize::MAX } else { HEAD };
        let (mut bytes, mut length, mut digest) = (BytesMut::new(), 0, Sha256::new());
        while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
            length += chunk.len() as u64;
            if length >= IMAGE_MEGABYTES << 20 {
                return Err(ApiError::file_too_large(&param, IMAGE_MEGABYTES));
            }
            digest.update(&chunk);
            bytes.extend_from_slice(&chunk[..chunk.len().min(keep - bytes.len())]);
        }
        let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let received = ReceivedImage { field: name.to_owned(), file_name, content_type: mime, length, sha256 };
        self.images.push(Picture { received, bytes: bytes.freeze() });
        Ok(())
    }

    async fn take_mask(&mut self, field: &mut Field<'_>) -> Result<(), ApiError> {
        let mime = mime(field, "mask")?;
        if mime != "image/png" {
            return Err(ApiError::unsupported_file_mimetype("mask", &mime));
        }
        let (kept, length) = collect(field, (MASK_MEGABYTES << 20) as usize).await?;
        if length >= MASK_MEGABYTES << 20 {
            return Err(ApiError::file_too_large("mask", MASK_MEGABYTES));
        }
        if self.mask.replace(kept).is_some() {
            return Err(ApiError::duplicate_parameter("mask"));
        }
        Ok(())
    }
}

/// The media type of a file, which the client has to say.
fn mime(field: &Field<'_>, param: &str) -> Result<String, ApiError> {
    field.content_type().map(|mime| mime.essence_str().to_owned()).ok_or_else(|| ApiError::missing_file_mimetype(param))
}

/// The first `most` bytes of a field, and how many there were.
async fn collect(field: &mut Field<'_>, most: usize) -> Result<(Bytes, u64), ApiError> {
    let (mut kept, mut length) = (BytesMut::new(), 0);
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        length += chunk.len() as u64;
        kept.extend_from_slice(&chunk[..chunk.len().min(most - kept.len())]);
    }
    Ok((kept.freeze(), length))
}

fn unreadable(error: multer::Error) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } => ApiError::body_too_large(),
        error => ApiError::malformed(format!("Could not parse multipart form: {error}")),
    }
}
