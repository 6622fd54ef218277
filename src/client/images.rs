//! The images of jobs, and the carousels that they make up, as rows of the API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Job;
use super::jobs::{JOBS, SHORT};
use crate::job::AspectRatio;
use crate::supabase::{Caller, Cursor, Error, Page, Stamped};

const IMAGES: &str = "generated_carousel_images";
const CAROUSELS: &str = "generated_carousels";
/// An image's columns without the prompt that was sent for it: with a hundred images it is the job's words a hundred times.
const COLUMNS: &str = "id,job_id,user_id,carousel_id,variant,slide,aspect_ratio,status,storage_path,preview_path,thumbhash,width,height,bytes,mime_type,\
     sha256,model,quality,usage,cost_usd,duration_ms,provider_request_id,error_code,error_message,is_favorite,created_at,completed_at,updated_at";
/// The order in which a person looks at a job's images.
const IMAGE_ORDER: &str = "variant.asc,aspect_ratio.asc,slide.asc";

/// A picture of a job, there from the moment that the job is claimed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Primary key.
    pub id: Uuid,
    /// Its job.
    pub job_id: Uuid,
    /// Owner.
    pub user_id: Uuid,
    /// One for each job, variant and aspect ratio.
    pub carousel_id: Uuid,
    /// Variant, from 1.
    pub variant: i32,
    /// Slide, from 1.
    pub slide: i32,
    /// Shape.
    pub aspect_ratio: AspectRatio,
    /// `pending`, `generating`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// Object in the bucket, set when completed.
    pub storage_path: Option<String>,
    /// Latest preview while it is made.
    pub preview_path: Option<String>,
    /// Blurred placeholder, base64.
    pub thumbhash: Option<String>,
    /// Pixels.
    pub width: Option<i32>,
    /// Pixels.
    pub height: Option<i32>,
    /// Size of the object.
    pub bytes: Option<i64>,
    /// `image/png`, `image/jpeg` or `image/webp`.
    pub mime_type: Option<String>,
    /// Digest of the object, lowercase hex.
    pub sha256: Option<String>,
    /// Model that was asked.
    pub model: Option<String>,
    /// Quality that was asked for.
    pub quality: Option<String>,
    /// Tokens as the provider reported them.
    pub usage: Option<Map<String, Value>>,
    /// Cost in dollars.
    pub cost_usd: Option<f64>,
    /// From the call's start to the recorded image.
    pub duration_ms: Option<i32>,
    /// The provider's id of the call.
    pub provider_request_id: Option<String>,
    /// Stable code of the failure.
    pub error_code: Option<String>,
    /// The failure in words for a person.
    pub error_message: Option<String>,
    /// Marked by its owner.
    pub is_favorite: bool,
    /// When the row was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was recorded.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// When the row last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// The slides of one variant in one shape.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Carousel {
    /// The images' `carousel_id`.
    pub id: Uuid,
    /// Its job.
    pub job_id: Uuid,
    /// Owner.
    pub user_id: Uuid,
    /// Variant, from 1.
    pub variant: i32,
    /// Shape.
    pub aspect_ratio: AspectRatio,
    /// Number of slides.
    pub slides: i32,
    /// Slides that are in the bucket.
    pub completed_slides: i32,
    /// Slides that could not be made.
    pub failed_slides: i32,
    /// Object of the first completed slide.
    pub cover_path: Option<String>,
    /// Placeholder of the first completed slide.
    pub cover_thumbhash: Option<String>,
    /// Whether one of its images is marked.
    pub is_favorite: bool,
    /// Cost in dollars.
    pub cost_usd: Option<f64>,
    /// When its first row was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its latest image was recorded.
    #[schema(format = DateTime)]
    pub last_completed_at: Option<String>,
}

impl Stamped for Carousel {
    fn stamp(&self) -> (&str, Uuid) {
        (&self.created_at, self.id)
    }
}

impl Caller {
    /// A job and its images as they are at one moment, in the order in which a person looks at them.
    pub async fn job_with_images(&self, id: Uuid) -> Result<(Job, Vec<Image>), Error> {
        self.both("*", id).await
    }

    /// [`Caller::job_with_images`] without the texts that stay the same, for those who look again and again.
    pub async fn progress(&self, id: Uuid) -> Result<(Job, Vec<Image>), Error> {
        self.both(SHORT, id).await
    }

    async fn both(&self, columns: &str, id: Uuid) -> Result<(Job, Vec<Image>), Error> {
        #[derive(Deserialize)]
        struct Both {
            #[serde(flatten)]
            job: Job,
            generated_carousel_images: Vec<Image>,
        }
        let request = self.from(JOBS).select(format!("{columns},{IMAGES}({COLUMNS})")).eq("id", id.to_string());
        let both: Both = self.row(request).await?;
        let mut images = both.generated_carousel_images;
        images.sort_by(|a, b| {
            (a.variant, a.aspect_ratio.as_str(), a.slide).cmp(&(b.variant, b.aspect_ratio.as_str(), b.slide))
        });
        Ok((both.job, images))
    }

    /// A job's images, in the order in which a person looks at them.
    pub async fn images(&self, job: Uuid) -> Result<Vec<Image>, Error> {
        self.rows(self.from(IMAGES).select(COLUMNS).eq("job_id", job.to_string()).order(IMAGE_ORDER)).await
    }

    /// A job's carousels.
    pub async fn carousels_of(&self, job: Uuid) -> Result<Vec<Carousel>, Error> {
        self.rows(self.from(CAROUSELS).eq("job_id", job.to_string()).order("variant.asc,aspect_ratio.asc")).await
    }

    /// A page of carousels, newest first.
    pub async fn carousels(&self, limit: usize, after: Option<&Cursor>) -> Result<Page<Carousel>, Error> {
        self.page(self.from(CAROUSELS), limit, after).await
    }
}
