//! The frontend from before carousel, in a project where it goes on.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carousel::client;
use carousel::http::{self, Settings};
use carousel::local::openai::OpenAi;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    let project = client::Project::new(&url, deployment.stack.publishable_key().to_owned().into(), &[]).unwrap();
    let settings = Settings { origins: Vec::new(), patience: Duration::from_secs(30), metrics_token: None };
    let readiness = Arc::new(|| async { Vec::new() }.boxed());
    let end = CancellationToken::new();
    let http::Door { router, tasks } = http::door(project, settings, readiness, end.clone());
    tokio::spawn(http::serve(listener, router, tasks, end.cancelled_owned()));
    address
}

#[tokio::test]
async fn a_frontend_from_before_carousel_goes_on_unchanged() {
    let project = Project::new().await;
    project.let_frontend_go_on("http://localhost/").await;
    let deployment = Deployment::on(project, OpenAi::new(OPENAI_KEY)).await;
    // It is known once the stack runs.
    let address = format!("{}/storage/v1/object/public/generated-carousels/", deployment.stack.url());
    let address = format!("update carousel_private.adoption set public_address = '{address}'");
    deployment.project.owner.batch_execute(&address).await.unwrap();
    let _worker = deployment.worker();
    let shapes: Vec<Value> = [(60, 40), (40, 60), (50, 50)].into_iter().map(photo).collect();
    let facts = json!({ "api": api(&deployment).await, "shapes": shapes });
    run_with(&deployment, "before.mjs", facts).await;
}
