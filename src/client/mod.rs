//! What people do with the tables of this schema, as a [`Caller`](crate::supabase::Caller): jobs, images, carousels, templates and uploads.

mod follow;
mod hints;
mod images;
mod jobs;
mod submit;
mod templates;
mod uploads;

pub use follow::{Ended, Seen, follow};
pub use hints::{Hint, Hints};
pub use images::{Carousel, Image};
pub use jobs::{Job, JobList, Named, Status};
pub use submit::{NewJob, Submitted};
pub use templates::{Template, TemplateList};
