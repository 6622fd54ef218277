//! What people do with the tables of this schema, as a [`Caller`](crate::supabase::Caller): jobs, images, carousels, templates and uploads.

mod images;
mod jobs;
mod templates;
mod uploads;

pub use images::{Carousel, Image};
pub use jobs::{Job, JobList, Named, Status};
pub use templates::{Template, TemplateList};
