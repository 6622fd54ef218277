use super::*;

/// Headers and content of each part of a form.
fn parts(request: &wire::Request) -> Vec<(String, Vec<u8>)> {
    let kind = request.header("content-type").expect("a form has a type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form is multipart");
    let mut body =
        request.body.strip_prefix(format!("--{boundary}\r\n").as_bytes()).expect("a form begins with a part");
    let between = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    while !body.is_empty() {
        let head = memchr::memmem::find(body, b"\r\n\r\n").expect("a part has a head");
        let end = memchr::memmem::find(body, between.as_bytes()).expect("a part has an end");
        let name = String::from_utf8(body[..head].to_vec()).expect("a part's head is text");
        parts.push((name, body[head + 4..end].to_vec()));
        body = &body[end + between.len() + 2..];
        if body == b"\r\n" {
            break;
        }
    }
    parts
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_the_bytes_of_the_files() {
    let wire = Wire::bind().await;
    let (first, second) = (noise(3_000_001), noise(5));
    let (_folder, mut edit) = edit(&[&first, &second]);
    edit.quality = Some("high".into());
    edit.safety_identifier = Some("person-7".into());
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let (result, request) =
        tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer("200 OK", JSON, body(b"image"))));
    result.unwrap();

    assert!(request.head.starts_with("POST /v1/images/edits HTTP/1.1\r\n"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-test-0123456789"));
    assert_eq!(request.header("user-agent"), Some(concat!("carousel/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));

    let parts = parts(&request);
    let field = |name: &str| {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        parts.iter().find(|part| part.0 == head).map(|part| String::from_utf8_lossy(&part.1).into_owned())
    };
    for (name, value) in [
        ("model", "gpt-image-2"),
        ("prompt", edit.prompt.as_str()),
        ("n", "1"),
        ("size", "1024x1280"),
        ("output_format", "webp"),
        ("quality", "high"),
        ("safety_identifier", "person-7"),
    ] {
        assert_eq!(field(name).as_deref(), Some(value), "{name}");
    }
    let head = |file: &str, kind: &str| {
        format!("Content-Disposition: form-data; name=\"image[]\"; filename=\"{file}\"\r\nContent-Type: {kind}")
    };
    assert_eq!(parts.len(), 9, "nothing is sent that was not asked for, neither stream nor background");
    assert_eq!((&parts[7].0, &parts[8].0), (&head("source-1.png", "image/png"), &head("source-2.jpg", "image/jpeg")));
    assert!(parts[7].1 == first && parts[8].1 == second, "sources arrive as they are");
}

#[tokio::test]
async fn partial_images_are_asked_for_with_a_stream() {
    let wire = Wire::bind().await;
    let (_folder, mut edit) = edit(&[b"source"]);
    edit.partial_images = 2;
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let (result, request) =
        tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer("200 OK", JSON, body(b"image"))));
    assert_eq!(result.unwrap().image, b"image", "a server that can't stream answers whole");
    let sent = |text: &str| memchr::memmem::find(&request.body, text.as_bytes()).is_some();
    assert!(sent("name=\"stream\"\r\n\r\ntrue\r\n") && sent("name=\"partial_images\"\r\n\r\n2\r\n"));
}

#[tokio::test]
async fn a_header_and_a_query_of_ones_own_reach_other_servers() {
    let wire = Wire::bind().await;
    let mut settings = settings(&wire);
    settings.base_url = wire.url("/openai/deployments/mine/?x=1");
    settings.auth_header = "api-key".into();
    settings.query = Some("api-version=2026-10-01".into());
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings), permits(1));
    let (result, request) =
        tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer("200 OK", JSON, body(b"image"))));
    result.unwrap();
    let line = "POST /openai/deployments/mine/images/edits?x=1&api-version=2026-10-01 HTTP/1.1\r\n";
    assert!(request.head.starts_with(line), "{}", request.head);
    assert_eq!((request.header("api-key"), request.header("authorization")), (Some(KEY), None));
}

#[tokio::test]
async fn a_source_that_is_gone_or_shorter_is_told_by_its_name() {
    let wire = Wire::bind().await;
    let (transfers, provider) = (permits(1), provider(settings(&wire)));
    for shorter in [false, true] {
        let (_folder, edit) = edit(&[&noise(100_000)]);
        let path = &edit.sources[0].path;
        if shorter {
            std::fs::write(path, b"less").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        let server = async { wire.accept().await.closed().await };
        let (result, _) = tokio::join!(provider.edit(&edit, &transfers, None), server);
        let Err(Error::SourceUnreadable(error)) = result else { panic!("{result:?}") };
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn the_key_shows_nowhere() {
    let wire = Wire::bind().await;
    let provider = provider(settings(&wire));
    let shown = format!("{provider:?} {:?}", provider.settings);
    assert!(shown.contains("Provider") && !shown.contains(KEY), "{shown}");
    let mut settings = settings(&wire);
    settings.api_key = "sk-with-line-end\n".into();
    let error = Provider::new(settings).unwrap_err().to_string();
    assert!(error.contains("OPENAI_API_KEY") && !error.contains("sk-"), "{error}");
}

#[tokio::test]
async fn a_check_tells_a_wrong_key_or_address() {
    let wire = Wire::bind().await;
    let provider = provider(settings(&wire));
    let check = async |answer: Vec<u8>| tokio::join!(provider.check(), wire.answer(answer));
    let check_edits = async |edits: Vec<u8>| {
        let server = async {
            wire.answer(answer("404 Not Found", "", "no such page")).await;
            wire.answer(edits).await
        };
        tokio::join!(provider.check(), server)
    };
    let (result, request) = check(answer("200 OK", JSON, r#" {"object":"list","data":[]}"#)).await;
    assert_eq!(result.unwrap(), Learnt::KeyAccepted);
    assert!(request.head.starts_with("GET /v1/models HTTP/1.1\r\n"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-test-0123456789"));
    for refused in ["400 Bad Request", "422 Unprocessable Content"] {
        let (result, request) = check_edits(answer(refused, JSON, r#"{"error":{"message":"no image"}}"#)).await;
        assert_eq!(result.unwrap(), Learnt::NothingOfTheKey, "a compatible server without the list");
        let body = String::from_utf8(request.body).unwrap();
        assert!(request.head.starts_with("POST /v1/images/edits ") && !body.contains("prompt"), "{body}");
    }
    assert!(matches!(check_edits(answer("401 Unauthorized", "", "")).await.0, Err(Error::Unauthorized { .. })));
    for elsewhere in ["200 OK", "301 Moved Permanently", "404 Not Found", "405 Method Not Allowed"] {
        let error = check_edits(answer(elsewhere, "content-type: text/html\r\n", "<html>")).await.0.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("/v1"), "{elsewhere}: {error}");
    }
    assert!(matches!(check(answer("401 Unauthorized", "", "")).await.0, Err(Error::Unauthorized { .. })));
    for elsewhere in ["200 OK", "302 Found"] {
        assert!(matches!(check(answer(elsewhere, "", "<html>")).await.0, Err(Error::NotFound { .. })), "{elsewhere}");
    }
}
