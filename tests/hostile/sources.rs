//! Files that people upload: recognised by their beginning, never decoded, and sent as they are or refused with a code.

use image::ImageFormat;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, OPENAI_KEY};
use crate::files;
use crate::process::Worker;

#[tokio::test]
async fn a_source_is_sent_as_it_is_or_refused_with_a_code_and_never_decoded() {
    let deployment = Deployment::new().await;
    let openai = deployment.stack.openai_url().unwrap();
    let worker = Worker::start(&deployment, &openai, OPENAI_KEY, deployment.stack.url());
    let person = deployment.person().await;

    let (png, jpeg) = (files::picture(ImageFormat::Png, 320, 400), files::picture(ImageFormat::Jpeg, 320, 400));
    let script = b"Comment\0<script>alert(1)</script>".to_vec();
    let film = [&jpeg[..], b"\0\0\0\x18ftypmp42", &[7; 100_000]].concat();
    let mut several = files::with_metadata(&jpeg, 1);
    several[6..10].copy_from_slice(b"MPF\0");
    several.extend(&jpeg);
    let fill = [&[0xff, 0xd8][..], &vec![0xff; 40 << 20]].concat();
    // What the file is, its bytes, and the code that its job ends with, unless it is sent.
    let sources = [
        ("zip behind.png", [&png[..], b"PK\x03\x04\x14\0\0\0"].concat(), None),
        ("page behind.png", [&png[..], b"<html><script>alert(1)</script>"].concat(), None),
        ("script.png", files::with_chunks(&png, &[(b"tEXt", script)]), None),
        ("surplus.png", files::with_surplus(320, 400, 1 << 30), None),
        ("frames.png", files::animated_png(320, 400), None),
        ("film.webp", files::animated_webp(320, 400), None),
        ("metadata.jpg", files::with_metadata(&jpeg, 80), None),
        ("film behind.jpg", film, None),
        // The provider can't use these, and says so.
        ("several.jpg", several, Some("invalid_source_image")),
        ("cut.jpg", jpeg[..100].to_vec(), Some("invalid_source_image")),
        ("fill.jpg", fill, Some("source_damaged")),
        ("stub.jpg", jpeg[..12].to_vec(), Some("source_damaged")),
        ("claim.png", files::claiming(50_000, 50_000), Some("source_too_large")),
        ("page.png", b"<!DOCTYPE html><script>alert(1)</script>".to_vec(), Some("source_not_an_image")),
        ("pdf.jpg", b"%PDF-1.7".to_vec(), Some("source_not_an_image")),
        ("gif.webp", b"GIF89a\x01\0\x01\0".to_vec(), Some("source_not_an_image")),
    ];
    let mut jobs = Vec::new();
    for (name, bytes, code) in sources {
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = person.upload(name, "image/png", bytes).await;
        let job = person.submit(&json!({ "prompt": name, "source_paths": [path] })).await;
        jobs.push((name, job, sha256, code));
    }
    for (name, job, sha256, code) in &jobs {
        let row = person.over(job).await;
        assert_eq!(
            (&row["error_code"], row["status"] == "completed"),
            (&json!(code), code.is_none()),
            "{name}: {row:#}"
        );
        let calls = deployment.openai.calls();
        let sent = calls.iter().find(|call| call.prompt().contains(name)).map(|call| call.images[0].sha256.as_str());
        let expected = Some(sha256.as_str()).filter(|_| matches!(code, None | Some("invalid_source_image")));
        assert_eq!(sent, expected, "{name} is sent byte for byte, or not at all");
    }
    let completed = jobs.iter().filter(|(.., code)| code.is_none()).count();
    assert_eq!(deployment.openai.billed(), completed as u64);
    worker.end(&[deployment.stack.secret_key()]).await;
}
