//! The nouns of a job in the description of the API. They don't know it themselves.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::job::{AspectRatio, Format, SlidesFrom};

/// A text that is one of these.
fn one_of(description: &str, values: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    RefOr::T(Schema::Object(schema.enum_values(Some(values)).build()))
}

impl PartialSchema for SlidesFrom {
    fn schema() -> RefOr<Schema> {
        one_of("Where the slides of a carousel come from.", Self::ALL.map(Self::as_str))
    }
}

impl ToSchema for SlidesFrom {
    fn name() -> Cow<'static, str> {
        "SlidesFrom".into()
    }
}

impl PartialSchema for AspectRatio {
    fn schema() -> RefOr<Schema> {
        one_of("Shape of a picture, width to height, as clients write it.", Self::ALL.map(Self::as_str))
    }
}

impl ToSchema for AspectRatio {
    fn name() -> Cow<'static, str> {
        "AspectRatio".into()
    }
}

impl PartialSchema for Format {
    fn schema() -> RefOr<Schema> {
        one_of("File format of a picture, source or result.", [Self::Png, Self::Jpeg, Self::Webp].map(Self::as_str))
    }
}

impl ToSchema for Format {
    fn name() -> Cow<'static, str> {
        "Format".into()
    }
}
