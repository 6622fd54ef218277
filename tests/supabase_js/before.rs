//! The frontend from before carousel, in a project where it goes on.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carousel::http::{self, Settings};
use carousel::migrations::{self, Adoption};
use carousel::supabase;
use carousel_local::openai::OpenAi;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deployment::{Deployment, OPENAI_KEY};
use crate::project::Project;
use crate::run_with;

/// A picture of this size.
fn photo((width, height): (u32, u32)) -> Value {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, 90]));
    pixels.write_to(&mut bytes, image::ImageFormat::Png).expect("a picture can be encoded");
    json!({ "width": width, "height": height, "base64": STANDARD.encode(bytes.into_inner()) })
}

/// An HTTP API for the deployment, and its address. It goes with the test.
async fn api(deployment: &Deployment) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let url = deployment.stack.url().parse().unwrap();
    let project = supabase::Project::new(&url, deployment.stack.publishable_key().to_owned().into(), &[]).unwrap();
    let settings = Settings { origins: Vec::new(), patience: Duration::from_secs(30), metrics_token: None };
    let readiness = Arc::new(|| async { Vec::new() }.boxed());
    let end = CancellationToken::new();
    let http::Door { router, tasks } = http::door(project, settings, readiness, end.clone());
    tokio::spawn(http::serve(listener, router, tasks, end.cancelled_owned()));
    address
}

/// Runs the frontend in a project where it goes on; `carried` is what the app had made there.
async fn go_on(project: Project, carried: Value) {
    let deployment = Deployment::on(project, OpenAi::new(OPENAI_KEY)).await;
    // It is known once the stack runs.
    let address = format!("{}/storage/v1/object/public/generated-carousels/", deployment.stack.url());
    let address = format!("update carousel_private.adoption set public_address = '{address}'");
    deployment.project.owner.batch_execute(&address).await.unwrap();
    let _worker = deployment.worker();
    let shapes: Vec<Value> = [(60, 40), (40, 60), (50, 50)].into_iter().map(photo).collect();
    let facts = json!({ "api": api(&deployment).await, "shapes": shapes, "carried": carried });
    run_with(&deployment, "before.mjs", facts).await;
}

#[tokio::test]
async fn a_frontend_from_before_carousel_goes_on_unchanged() {
    let project = Project::new().await;
    project.let_frontend_go_on("http://localhost/").await;
    go_on(project, Value::Null).await;
}

/// The project began as that app's, and has rows of a person's in it.
#[tokio::test]
async fn it_goes_on_in_the_project_that_it_has_had() {
    let mut project = Project::before_carousel().await;
    let (user, job) = (project.user().await, Uuid::new_v4());
    let bucket = "https://abc.supabase.co/storage/v1/object/public/generated-carousels";
    let rows = format!(
        r#"
        with template as (
          insert into public.image_generation_templates (user_id, name, thumbnail_url, source_images, default_prompt, default_settings, usage_count, is_favorite)
          values ('{user}', 'Desk', '{bucket}/{user}/sources/1_0.png', '["{bucket}/{user}/sources/1_0.png", "{bucket}/{user}/sources/1_1.png"]', 'words', '{{"aspect_ratio": "4:5"}}', 3, true)
          returning id
        ),
        job as (
          insert into public.image_generation_jobs (id, user_id, name, template_id, template_name, status, progress, variants, prompt, settings, completed_at)
          select '{job}', '{user}', 'My carousel', id, 'Desk', 'completed', 100, 1, 'make it blue', '{{"quality": "hd"}}', now() from template
          returning id
        )
        insert into public.generated_carousel_images
          (job_id, user_id, carousel_index, image_index, source_image_url, generated_image_url, storage_path, width, height, prompt_used, settings_used)
        select job.id, '{user}', 0, photo, format('{bucket}/{user}/sources/1_%s.png', photo), '{bucket}/' || path, path, 1024, 1280, 'make it blue', '{{}}'
        from job cross join generate_series(0, 1) as photo
        cross join lateral (select format('{user}/generated/job-1-{job}/variant-0/%s.jpg', photo) as path) as place"#
    );
    project.owner.batch_execute(&rows).await.unwrap();
    let row = "select jsonb_build_object('user', $1::text, 'job', to_jsonb(job), 'template', to_jsonb(template), 'images', (
            select jsonb_agg(to_jsonb(image) order by image_index) from public.generated_carousel_images image where job_id = job.id
        ))
        from public.image_generation_jobs job join public.image_generation_templates template on template.id = template_id";
    let carried: Value = project.owner.query_one(row, &[&user.to_string()]).await.unwrap().get(0);
    let adoption = Adoption { frontend: true, ..Adoption::default() };
    migrations::adopt(&mut project.owner, &adoption, true).await.unwrap();
    go_on(project, carried).await;
}
