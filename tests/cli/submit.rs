//! `carousel submit`: photos go up as they are, a job comes of it, and nothing is left when none does.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::acting::{json, operator, person, refused};
use crate::deployment::{Deployment, picture};
use crate::ended;

/// A photo of this machine, unlike others by `seed`.
pub fn photo(folder: &Path, name: &str, seed: u8) -> PathBuf {
    let file = folder.join(name);
    let pixels = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, seed]));
    pixels.save(&file).expect("a photo can be written");
    file
}

/// How many objects the bucket has, with their names.
async fn objects(deployment: &Deployment) -> Vec<String> {
    let rows = deployment.project.admin().await.query("select name from storage.objects order by name", &[]).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_person_submits_photos_waits_and_has_the_images_in_a_folder() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (photo(folder.path(), "one.png", 1), photo(folder.path(), "two.jpg", 2));
    let output = folder.path().join("out");
    let command = person(
        &me,
        &[
            "submit",
            one.to_str().unwrap(),
            two.to_str().unwrap(),
            "--prompt",
            "calm",
            "--slide",
            "the desk",
            "--slide",
            "the lamp",
            "--ratio",
            "1:1,4:5",
            "--title",
            "Desk",
            "--style",
            "mood=warm",
            "--style",
            "colors=[\"amber\"]",
            "--quality",
            "low",
            "--download",
            output.to_str().unwrap(),
            "--json",
        ],
    );
    let told = json(command, 0).await;
    let job = &told["job"];
    assert_eq!(job["status"], "completed");
    assert_eq!(job["style"], json!({ "mood": "warm", "colors": ["amber"] }));
    assert_eq!(
        (&job["slide_prompts"], &job["quality"], &job["title"]),
        (&json!(["the desk", "the lamp"]), &json!("low"), &json!("Desk"))
    );
    let id = job["id"].as_str().unwrap();
    let names = ["1x1_slide-1", "1x1_slide-2", "4x5_slide-1", "4x5_slide-2"];
    let expected = names.map(|name| output.join(id).join(format!("variant-1_{name}.png")));
    assert_eq!(told["files"], json!(expected));
    for (file, image) in expected.iter().zip(told["images"].as_array().unwrap()) {
        assert_eq!(std::fs::metadata(file).unwrap().len(), image["bytes"].as_u64().unwrap());
    }
    assert_eq!(std::fs::read_dir(output.join(id)).unwrap().count(), 4, "nothing else is left there");
    // The sources are what was chosen, byte for byte.
    for (path, file) in job["source_paths"].as_array().unwrap().iter().zip([&one, &two]) {
        assert_eq!(me.download(path.as_str().unwrap()).await, std::fs::read(file).unwrap());
    }
}

#[tokio::test]
async fn without_waiting_the_id_alone_is_printed_and_the_same_photos_find_their_template() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 3);
    let submit = || person(&me, &["submit", file.to_str().unwrap(), "-p", "calm"]);
    let mut templates = Vec::new();
    for _ in 0..2 {
        let (code, said, error) = ended(submit()).await;
        assert_eq!((code, error.as_str()), (0, ""), "{error}");
        let job = me.job(said.trim()).await;
        assert_eq!(job["status"], "pending", "{said}");
        templates.push(job["template_id"].clone());
    }
    assert_eq!(templates[0], templates[1]);
    assert_eq!(objects(&deployment).await.len(), 1, "one photo is one object");
}

#[tokio::test]
async fn the_operator_names_for_whom_and_nobody_else_can() {
    let deployment = Deployment::new().await;
    let (me, other) = (deployment.person().await, deployment.person().await);
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 4);
    let file = file.to_str().unwrap();
    let error = refused(operator(&deployment, &["submit", file, "-p", "calm"]), 1).await;
    assert!(error.contains("--user"), "{error}");
    let (mine, theirs) = (me.id.to_string(), other.id.to_string());
    let told = json(operator(&deployment, &["submit", file, "-p", "calm", "--user", &mine, "--json"]), 0).await;
    assert_eq!(told["job"]["user_id"], json!(me.id));
    assert!(objects(&deployment).await[0].starts_with(&format!("{}/sources/", me.id)));
    let error = refused(person(&me, &["submit", file, "-p", "calm", "--user", &theirs]), 1).await;
    assert!(error.contains("--user is for the operator"), "{error}");
    let error =
        refused(person(&other, &["submit", "--template", told["job"]["template_id"].as_str().unwrap()]), 1).await;
    assert!(error.contains("not among your templates"), "{error}");
}

#[tokio::test]
async fn a_request_that_is_sent_again_finds_its_job() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (photo(folder.path(), "a.png", 5), photo(folder.path(), "b.png", 6));
    let mut ids = Vec::new();
    for file in [&first, &other] {
        let arguments =
            ["submit", file.to_str().unwrap(), "-p", "calm", "--idempotency-key", "order 7 & more", "--json"];
        ids.push(json(person(&me, &arguments), 0).await["job"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let (_, jobs) = me.rest("GET", "image_generation_jobs", None).await;
    assert_eq!((jobs.as_array().unwrap().len(), objects(&deployment).await.len()), (1, 1), "nothing is uploaded twice");
}

/// Whoever is second finds the first one's job, and does not take away the photo that both have.
#[tokio::test]
async fn two_at_once_with_one_key_are_one_job_with_its_photo() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 10);
    let arguments = ["submit", file.to_str().unwrap(), "-p", "calm", "--idempotency-key", "k", "--json"];
    let all = futures::future::join_all((0..4).map(|_| json(person(&me, &arguments), 0))).await;
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|told| told["job"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "{all:#?}");
    let path = all[0]["job"]["source_paths"][0].as_str().unwrap();
    assert_eq!(me.download(path).await, std::fs::read(&file).unwrap());
}

#[tokio::test]
async fn a_photo_whose_object_is_about_to_go_is_uploaded_anew() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 12);
    let submit = || json(person(&me, &["submit", file.to_str().unwrap(), "-p", "calm", "--json"]), 0);
    let first = submit().await["job"]["source_paths"][0].take();
    let removing =
        "insert into carousel_private.storage_cleanup (path, reason, attempts) values ($1, 'template deleted', 1)";
    deployment.project.admin().await.execute(removing, &[&first.as_str().unwrap()]).await.unwrap();
    let second = submit().await["job"]["source_paths"][0].take();
    assert_ne!(first, second);
    assert_eq!(me.download(second.as_str().unwrap()).await, std::fs::read(&file).unwrap());
}

#[tokio::test]
async fn who_is_interrupted_while_waiting_leaves_the_job_as_it_is() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 11);
    let mut command = person(&me, &["submit", file.to_str().unwrap(), "-p", "calm", "--wait"]);
    command.stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap();
    let job = line.strip_prefix("Job ").unwrap_or_else(|| panic!("{line}"));
    // Its row is shown: it waits.
    assert!(said.next_line().await.unwrap().unwrap().contains("0%"));
    let pid = process.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(process.wait().await.unwrap().code(), Some(130));
    let last = said.next_line().await.unwrap().unwrap();
    assert_eq!(last, format!("The job goes on: carousel watch {job}"));
    assert_eq!(me.job(job).await["status"], "pending");
}

#[tokio::test]
async fn a_file_that_no_job_can_use_is_named_before_anything_is_sent() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let good = photo(folder.path(), "good.png", 7);
    let text = folder.path().join("text\u{1b}[2J.png");
    std::fs::write(&text, "hello").unwrap();
    let large = folder.path().join("large.png");
    std::fs::write(&large, picture()).unwrap();
    std::fs::File::options().write(true).open(&large).unwrap().set_len(51 << 20).unwrap();
    let missing = folder.path().join("missing.png");
    for (bad, word) in [
        (text.as_path(), "PNG, JPEG or WebP"),
        (&large, "50 MB"),
        (&missing, "No such file"),
        (folder.path(), "no file"),
    ] {
        let arguments = ["submit", good.to_str().unwrap(), bad.to_str().unwrap(), "-p", "calm"];
        let error = refused(person(&me, &arguments), 1).await;
        let name = bad.file_name().unwrap().to_str().unwrap().replace('\u{1b}', "\u{241b}");
        assert!(error.contains(&name) && !error.contains('\u{1b}'), "{error}");
        assert!(error.contains(word), "{word}: {error}");
    }
    let many = vec![good.to_str().unwrap(); 17];
    assert!(
        refused(person(&me, &[&["submit", "-p", "calm"], &many[..]].concat()), 1).await.contains("16 source images")
    );
    for wrong in [
        &["submit"][..],
        &["submit", "x.png", "--variants", "11"],
        &["submit", "x.png", "--ratio", "2:1"],
        &["submit", "x.png", "--style", "warm"],
        &["submit", "x.png", "--template", "7"],
    ] {
        assert!(refused(person(&me, wrong), 2).await.contains("error:"), "{wrong:?}");
    }
    assert_eq!(objects(&deployment).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_job_takes_back_nothing_and_what_it_uploaded_goes_after_a_day() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let (kept, gone, shared) = (
        photo(folder.path(), "kept.png", 8),
        photo(folder.path(), "gone.png", 9),
        photo(folder.path(), "shared.png", 10),
    );
    json(person(&me, &["submit", kept.to_str().unwrap(), "-p", "calm", "--json"]), 0).await;
    // Neither prompt nor slides: the schema's own words are passed on.
    let arguments = ["submit", kept.to_str().unwrap(), gone.to_str().unwrap(), shared.to_str().unwrap()];
    let error = refused(person(&me, &arguments), 1).await;
    assert!(error.contains("the job was not made") && error.contains("prompt"), "{error}");
    let error = refused(person(&me, &["submit", gone.to_str().unwrap(), "-p", "x", "--run-at", "soon"]), 2).await;
    assert!(error.contains("soon"), "{error}");
    assert_eq!(objects(&deployment).await.len(), 3);
    // Another request has the same photo: names are made of content.
    let other = json(person(&me, &["submit", shared.to_str().unwrap(), "-p", "calm", "--json"]), 0).await;
    let admin = deployment.project.admin().await;
    admin.batch_execute("select carousel_private.sweep_objects('0')").await.unwrap();
    let doomed = admin.query("select path from carousel_private.storage_cleanup", &[]).await.unwrap();
    assert_eq!(doomed.len(), 1, "only the photo that no job names");
    let path = other["job"]["source_paths"][0].as_str().unwrap();
    assert_ne!(doomed[0].get::<_, &str>(0), path);
    assert_eq!(me.download(path).await, std::fs::read(&shared).unwrap());
}

#[tokio::test]
async fn a_template_is_used_with_what_is_given_beside_it() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let first = me.submit(&json!({ "prompt": "calm", "source_paths": [me.photo().await], "variants": 2 })).await;
    let template: Value = me.job(&first).await["template_id"].take();
    let template = template.as_str().unwrap();
    let arguments = ["templates", "use", template, "--ratio", "9:16", "--slide", "one", "--priority", "-5", "--json"];
    let job = json(person(&me, &arguments), 0).await["job"].take();
    assert_eq!(
        (&job["prompt"], &job["variants"], &job["aspect_ratios"], &job["priority"], &job["template_id"]),
        (&json!("calm"), &json!(2), &json!(["9:16"]), &json!(-5), &json!(template))
    );
}

#[tokio::test]
async fn slides_come_from_the_photos_or_see_those_that_are_named() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let folder = tempfile::tempdir().unwrap();
    let photos: Vec<_> = (0..17).map(|number| photo(folder.path(), &format!("{number}.png"), number)).collect();
    let photos: Vec<&str> = photos.iter().map(|photo| photo.to_str().unwrap()).collect();
    let submit = |files: &[&str], options: &[&str]| {
        let arguments = [&["submit", "-p", "calm", "--json"], files, options].concat();
        json(person(&me, &arguments), 0)
    };
    let each = submit(&photos, &["--slides-from", "sources", "--ratio", "auto,3:2"]).await["job"].take();
    assert_eq!(
        (&each["slides_from"], &each["aspect_ratios"], &each["total_images"]),
        (&json!("sources"), &json!(["auto", "3:2"]), &json!(34))
    );
    let named = ["--slide", "one", "--slide", "two", "--slide-sources", "1,3", "--slide-sources", "2"];
    let named = submit(&photos[..3], &named).await["job"].take();
    assert_eq!(
        (&named["slides_from"], &named["slide_sources"], &named["total_images"]),
        (&json!("prompts"), &json!([[1, 3], [2]]), &json!(2))
    );
    let shown = ended(person(&me, &["jobs", "show", named["id"].as_str().unwrap()])).await.1;
    assert!(shown.contains("one | two (of photos 1,3 | 2)"), "{shown}");
    let shown = ended(person(&me, &["jobs", "show", each["id"].as_str().unwrap()])).await.1;
    assert!(shown.contains("one for each photo"), "{shown}");

    // A copy of the template carries it along.
    let template = each["template_id"].as_str().unwrap();
    let copy = json(person(&me, &["templates", "duplicate", template, "--json"]), 0).await["template"].take();
    assert_eq!(copy["slides_from"], "sources");

    let before = objects(&deployment).await;
    let error = refused(person(&me, &[&["submit", "-p", "calm"], &photos[..]].concat()), 1).await;
    assert!(error.contains("16 source images") && error.contains("--slides-from sources"), "{error}");
    for wrong in ["0", "1,", "one", "-1", "1;2"] {
        let arguments = ["submit", photos[0], "-p", "calm", &format!("--slide-sources={wrong}")];
        assert!(refused(person(&me, &arguments), 2).await.contains("numbers of photos"), "{wrong}");
    }
    let error = refused(person(&me, &["submit", photos[0], "-p", "calm", "--slide-sources", "2"]), 1).await;
    assert!(error.contains("slide_sources names 2 for slide 1"), "{error}");
    assert_eq!(objects(&deployment).await, before);
}
