//! `carousel carousels`: what was made, and its images on disk.

use serde_json::json;

use crate::acting::{json, operator, person, refused};
use crate::deployment::Deployment;
use crate::ended;

#[tokio::test]
async fn the_images_of_a_carousel_or_of_a_whole_job_are_written_whole_and_nowhere_else() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let (me, other) = (deployment.person().await, deployment.person().await);
    let asked = json!({
        "prompt": "calm", "slide_prompts": ["one", "two"], "aspect_ratios": ["1:1", "4:5"],
        "output_format": "webp", "source_paths": [me.photo().await],
    });
    let job = me.submit(&asked).await;
    me.over(&job).await;
    let listed = json(person(&me, &["carousels", "list", "--json"]), 0).await;
    let of_job = json(operator(&deployment, &["carousels", "list", "--job", &job, "--json"]), 0).await;
    assert_eq!(of_job["carousels"].as_array().unwrap().len(), 2);
    let (_, said, _) = ended(person(&me, &["carousels", "list"])).await;
    assert_eq!(said.lines().filter(|line| line.contains(&job) && line.contains("2/2")).count(), 2, "{said}");
    let tall = listed["carousels"].as_array().unwrap().iter().find(|row| row["aspect_ratio"] == "4:5").unwrap();
    let tall = tall["id"].as_str().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::write(&outside, "mine").unwrap();
    let output = folder.path().join("out");
    std::fs::create_dir_all(output.join(&job)).unwrap();
    // What lies in the way is replaced, and not followed.
    let place = output.join(&job).join("variant-1_4x5_slide-1.webp");
    std::os::unix::fs::symlink(&outside, &place).unwrap();
    let dir = output.to_str().unwrap();
    let told = json(person(&me, &["carousels", "download", tall, "--dir", dir, "--json"]), 0).await;
    assert_eq!(told["files"], json!([place, output.join(&job).join("variant-1_4x5_slide-2.webp")]));
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine");
    assert!(!place.is_symlink());
    let row = me.images(&job).await.into_iter().find(|image| image["aspect_ratio"] == "4:5").unwrap();
    assert_eq!(std::fs::read(&place).unwrap(), me.download(row["storage_path"].as_str().unwrap()).await);

    let (code, said, error) = ended(operator(&deployment, &["carousels", "download", &job, "--dir", dir])).await;
    assert_eq!((code, said.lines().count()), (0, 4), "{said}{error}");
    assert_eq!(std::fs::read_dir(output.join(&job)).unwrap().count(), 4);

    refused(person(&other, &["carousels", "download", tall, "--dir", dir]), 6).await;
    refused(person(&other, &["carousels", "download", &job, "--dir", dir]), 6).await;
    let unwritable = outside.to_str().unwrap();
    let error = refused(person(&me, &["carousels", "download", tall, "--dir", unwritable]), 1).await;
    assert!(error.contains("is no folder"), "{error}");
}

#[tokio::test]
async fn an_image_that_is_not_what_its_row_says_is_not_kept() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let me = deployment.person().await;
    let job = me.submit(&json!({ "prompt": "calm", "source_paths": [me.photo().await] })).await;
    me.over(&job).await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for forged in ["sha256 = repeat('0', 64)", "bytes = 10"] {
        let admin = deployment.project.admin().await;
        admin.batch_execute(&format!("update public.generated_carousel_images set {forged}")).await.unwrap();
        let error = refused(person(&me, &["carousels", "download", &job, "--dir", dir]), 1).await;
        assert!(error.contains("not what its row says"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path().join(&job)).unwrap().count(), 0, "nothing is left");
    }
}
