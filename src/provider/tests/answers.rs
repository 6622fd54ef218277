use super::*;

/// What becomes of an edit when the server answers so.
async fn edited(settings: impl FnOnce(&mut Settings), answer: impl AsRef<[u8]>) -> Result<Answer, Error> {
    let wire = Wire::bind().await;
    let mut own = self::settings(&wire);
    settings(&mut own);
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(own), permits(1));
    tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer)).0
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\r\ndata: {data}\r\n\r\n")
}

fn partial(index: u64, image: &[u8]) -> String {
    let data = format!(r#"{{"partial_image_index":{index},"b64_json":"{}"}}"#, STANDARD.encode(image));
    event("image_edit.partial_image", &data)
}

fn completed(image: &[u8]) -> String {
    let data = format!(
        r#"{{"type":"image_edit.completed","b64_json":"{}","usage":{{"total_tokens":9}}}}"#,
        STANDARD.encode(image)
    );
    event("image_edit.completed", &data)
}

#[tokio::test]
async fn an_answer_brings_image_usage_request_and_permit() {
    let wire = Wire::bind().await;
    let image = noise(3_000_000);
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let headers = format!("{JSON}x-request-id: req_42\r\n");
    let (result, _) =
        tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer("200 OK", &headers, body(&image))));
    let answer = result.unwrap();
    assert!(answer.image == image);
    assert_eq!(answer.usage.map(|usage| usage.total), Some(9));
    assert_eq!(answer.request_id.as_deref(), Some("req_42"));
    assert_eq!(transfers.available_permits(), 0, "the memory of the image is still taken");
    drop(answer.permit);
    assert_eq!(transfers.available_permits(), 1);
}

#[tokio::test]
async fn a_chunked_answer_is_whole_before_its_connection_ends() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let body = body(&noise(50_000));
    let server = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for piece in body.as_bytes().chunks(777) {
            line.send(format!("{:x}\r\n", piece.len())).await;
            line.send(piece).await;
            line.send("\r\n").await;
        }
        // No last chunk: a body that never ends.
        line.closed().await;
    };
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
    assert!(result.unwrap().image == noise(50_000));
}

#[tokio::test]
async fn a_body_is_read_only_with_a_permit() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let held = Arc::clone(&transfers).acquire_owned().await.unwrap();
    let image = vec![7; 40_000_000];
    let server = tokio::spawn({
        let bytes = answer("200 OK", JSON, body(&image));
        async move { wire.answer(bytes).await }
    });
    let mut editing = std::pin::pin!(provider.edit(&edit, &transfers, None));
    assert!(tokio::time::timeout(2 * SHORT, &mut editing).await.is_err(), "there is no permit to read it");
    assert!(!server.is_finished(), "the server waits with the rest of its body");
    drop(held);
    assert!(editing.await.unwrap().image == image);
    server.await.unwrap();
}

#[tokio::test]
async fn the_wait_for_a_permit_is_not_the_providers() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let mut settings = settings(&wire);
    (settings.total_timeout, settings.silence_timeout) = (4 * SHORT, 4 * SHORT);
    let (provider, transfers) = (provider(settings), permits(1));
    let held = Arc::clone(&transfers).acquire_owned().await.unwrap();
    let bytes = answer("200 OK", JSON, body(b"image"));
    let server = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send(&bytes[..bytes.len() - 40]).await;
        tokio::time::sleep(6 * SHORT).await;
        drop(held);
        tokio::time::sleep(SHORT / 3).await;
        line.send(&bytes[bytes.len() - 40..]).await;
    };
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
    assert_eq!(result.unwrap().image, b"image");
}

#[tokio::test]
async fn answers_that_stand_in_line_are_neither_silent_nor_late() {
    let wire = Wire::bind().await;
    let patience = Duration::from_secs(3);
    let mut settings = settings(&wire);
    (settings.total_timeout, settings.silence_timeout) = (patience, patience);
    let (provider, transfers) = (provider(settings), permits(1));
    let held = Arc::clone(&transfers).acquire_owned().await.unwrap();
    let (_folder, edit) = edit(&[b"source"]);
    // More than the system holds of it.
    let image = vec![7; 8_000_000];
    let whole = answer("200 OK", JSON, body(&image));
    let servers = futures::future::join_all((0..6).map(|_| wire.answer(&whole)));
    let edits = futures::future::join_all((0..6).map(|_| async {
        assert!(provider.edit(&edit, &transfers, None).await.unwrap().image == image);
    }));
    let line = async {
        tokio::time::sleep(2 * patience).await;
        drop(held);
    };
    tokio::join!(edits, servers, line);
}

#[tokio::test]
async fn the_echo_of_our_wait_is_not_the_providers_silence() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let mut settings = settings(&wire);
    settings.silence_timeout = SHORT;
    let (provider, transfers) = (provider(settings), permits(1));
    let held = Arc::clone(&transfers).acquire_owned().await.unwrap();
    let bytes = answer("200 OK", JSON, body(b"image"));
    let server = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send(&bytes[..bytes.len() - 40]).await;
        tokio::time::sleep(30 * SHORT).await;
        drop(held);
        // As a system does that tries ever more rarely to get rid of the rest.
        tokio::time::sleep(6 * SHORT).await;
        line.send(&bytes[bytes.len() - 40..]).await;
    };
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
    assert_eq!(result.unwrap().image, b"image");
}

#[tokio::test]
async fn partial_images_arrive_on_the_way_and_hold_no_permit_between_them() {
    let wire = Wire::bind().await;
    let (_folder, mut edit) = edit(&[b"source"]);
    edit.partial_images = 2;
    let mut settings = settings(&wire);
    settings.silence_timeout = SHORT;
    let (provider, transfers) = (provider(settings), permits(1));
    let (sender, mut partials) = mpsc::channel::<Partial>(4);
    let server = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send(SSE).await;
        line.send(": keep-alive\n\n").await;
        line.send(partial(0, b"first")).await;
        let first = partials.recv().await.unwrap();
        assert_eq!((first.index, first.image.as_slice()), (0, &b"first"[..]));
        assert_eq!(transfers.available_permits(), 1, "between events the permit is free");
        // Longer than the patience with silence: the provider is painting.
        tokio::time::sleep(2 * SHORT).await;
        line.send(partial(1, b"second")).await;
        assert_eq!(partials.recv().await.unwrap().image, b"second");
        line.send(completed(b"image")).await;
        line.closed().await;
    };
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, Some(&sender)), server);
    let answer = result.unwrap();
    assert_eq!((answer.image.as_slice(), answer.usage.map(|usage| usage.total)), (&b"image"[..], Some(9)));
    assert_eq!(transfers.available_permits(), 0);
}

#[tokio::test]
async fn a_slow_taker_of_partial_images_stops_nothing() {
    let wire = Wire::bind().await;
    let (_folder, mut edit) = edit(&[b"source"]);
    edit.partial_images = 3;
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let (sender, mut partials) = mpsc::channel::<Partial>(1);
    let stream = [SSE.to_owned(), partial(0, b"a"), partial(1, b"b"), partial(2, b"c"), completed(b"image")].concat();
    let (result, _) = tokio::join!(provider.edit(&edit, &transfers, Some(&sender)), wire.answer(stream));
    assert_eq!(result.unwrap().image, b"image");
    drop(sender);
    assert_eq!(partials.recv().await.map(|partial| partial.index), Some(0));
    assert!(partials.recv().await.is_none(), "what found no room is gone");
}

#[tokio::test]
async fn an_event_of_twenty_megabytes_is_read() {
    let image = noise(15_000_000);
    let answer = edited(|_| (), [SSE.to_owned(), completed(&image)].concat()).await.unwrap();
    assert!(answer.image == image);
}

#[tokio::test]
async fn an_image_may_stand_in_a_data_address() {
    let image = noise(300_000);
    for head in ["data:image/png;base64,", "data:image\\/webp;base64,", "DATA:;BASE64,"] {
        let text = format!("{head}{}", STANDARD.encode(&image));
        let documents = [
            format!(r#"{{"data":[{{"b64_json":"{text}"}}]}}"#),
            format!(r#"{{"data":[{{"url":"{text}","b64_json":null}}]}}"#),
            format!(r#"{{"data":[{{"b64_json":null,"url":"{text}"}}]}}"#),
        ];
        for document in documents {
            let answer = edited(|_| (), answer("200 OK", JSON, document)).await;
            assert!(answer.is_ok_and(|answer| answer.image == image), "{head}");
        }
        for key in ["b64_json", "url"] {
            let last = event("image_edit.completed", &format!(r#"{{"{key}":"{text}"}}"#));
            let answer = edited(|_| (), [SSE, &last].concat()).await;
            assert!(answer.is_ok_and(|answer| answer.image == image), "{head} in an event");
        }
    }
    for text in ["data:image/png,%89PNG", "data:image/png;base64,%%", "data:image/png;base64"] {
        let result = edited(|_| (), answer("200 OK", JSON, body_with_url(text))).await;
        assert!(matches!(result, Err(Error::NotUnderstood { .. })), "{text}: {result:?}");
    }
}

#[tokio::test]
async fn a_stream_without_its_end_is_truncated() {
    let begun = r#"data: {"type":"image_edit.completed","b64_json":"AAAA"#;
    for stream in [String::new(), partial(0, b"a"), partial(0, b"a") + "data: [DONE]\n\n", begun.to_owned()] {
        let result = edited(|_| (), [SSE, &stream].concat()).await;
        assert!(matches!(result, Err(Error::Truncated { .. })), "{stream}: {result:?}");
    }
}

#[tokio::test]
async fn an_error_in_a_stream_keeps_its_meaning() {
    let blocked = r#"{"type":"error","error":{"code":"moderation_blocked","message":"no"}}"#;
    for stream in [
        event("error", blocked),
        format!("data: {blocked}\n\n"),
        event("error", &blocked.replace("\"type\":\"error\",", "")),
    ] {
        let result = edited(|_| (), [SSE.to_owned(), partial(0, b"a"), stream].concat()).await;
        assert!(matches!(result, Err(Error::Moderation { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_success_without_an_image_is_no_success() {
    let cases = [
        (r#"{"error":{"type":"server_error","message":"boom"}}"#, "Server"),
        (r#"{"error":{"code":"moderation_blocked"},"data":null}"#, "Moderation"),
        (r#"{"created":1,"data":[{"b64_json":null,"url":null}]}"#, "NotUnderstood"),
        (r#"{"data":[{"b64_json":"%%%%"}]}"#, "NotUnderstood"),
        (r#"{"created":1,"images":["AAAA"]}"#, "NotUnderstood"),
        (r#"{"created":1,"data":[]}"#, "Empty"),
        ("<html>gateway</html>", "NotUnderstood"),
        (r#"{"data":[{"b64_json":"AAAA"}]"#, "Truncated"),
        ("", "Truncated"),
    ];
    for (body, expected) in cases {
        let error = edited(|_| (), answer("200 OK", JSON, body)).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_web_page_is_no_answer_of_the_provider() {
    let page = answer("200 OK", "content-type: text/html; charset=utf-8\r\n", "<html>hello</html>");
    let error = edited(|_| (), page).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }) && !error.may_be_billed(), "{error:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_too_large() {
    let large = answer("200 OK", JSON, body(&[7; 1_000_000]));
    let result = edited(|settings| settings.max_answer_bytes = 1_000_000, large).await;
    assert!(matches!(&result, Err(error @ Error::TooLarge { .. }) if error.may_be_billed()), "{result:?}");
}

#[tokio::test]
async fn an_address_is_fetched_from_an_allowed_host_without_the_key() {
    let (wire, elsewhere) = (Wire::bind().await, Wire::bind().await);
    let (_folder, edit) = edit(&[b"source"]);
    let body = body_with_url(elsewhere.url("/image.png?sig=1").as_str());
    let found = answer("200 OK", JSON, body);
    let transfers = permits(1);

    let strict = provider(settings(&wire));
    let (result, _) = tokio::join!(strict.edit(&edit, &transfers, None), wire.answer(&found));
    assert!(matches!(result, Err(Error::UrlRefused { .. })), "{result:?}");

    let mut settings = settings(&wire);
    settings.url_hosts = vec![elsewhere.address().to_string()];
    let trusting = provider(settings);
    let (result, _, request) = tokio::join!(
        trusting.edit(&edit, &transfers, None),
        wire.answer(&found),
        elsewhere.answer(answer("200 OK", "content-type: image/png\r\n", "picture"))
    );
    assert_eq!(result.unwrap().image, b"picture");
    assert!(request.head.starts_with("GET /image.png?sig=1 "), "{}", request.head);
    assert_eq!(request.header("authorization"), None);

    let (result, _, _) = tokio::join!(
        trusting.edit(&edit, &transfers, None),
        wire.answer(&found),
        elsewhere.answer(answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""))
    );
    assert!(matches!(result, Err(Error::NotUnderstood { .. })), "{result:?}");
}
