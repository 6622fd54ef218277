use super::*;

const REFUSED: &str =
    r#"{"error":{"message":"Incorrect API key provided: sk-test-0123456789","code":"invalid_api_key"}}"#;

#[tokio::test]
async fn a_refusal_keeps_its_meaning_and_gives_no_key_away() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(0));
    let headers = "x-request-id: req_1\r\nx-should-retry: false\r\nretry-after: 3\r\n";
    let refused = answer("401 Unauthorized", headers, REFUSED);
    let (result, _) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(refused));
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert_eq!((error.status(), error.request_id(), error.should_retry()), (Some(401), Some("req_1"), Some(false)));
    assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
}

#[tokio::test]
async fn an_early_refusal_is_read_while_the_sources_are_still_sent() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[&vec![7; 40_000_000]]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    for half_closed in [false, true] {
        let server = async {
            let mut line = wire.accept().await;
            line.head().await;
            line.send(answer("401 Unauthorized", JSON, REFUSED)).await;
            if half_closed {
                line.finish().await;
            }
            // Else keep-alive, as some servers promise. Either way the rest of the upload must not come.
            line.closed().await
        };
        let (result, sent) = tokio::join!(provider.edit(&edit, &transfers, None), server);
        assert!(matches!(result, Err(Error::Unauthorized { .. })), "half closed: {half_closed}: {result:?}");
        assert!(sent < 40_000_000, "the upload was broken off");
    }
}

#[tokio::test]
async fn an_early_refusal_behind_a_reset_is_never_taken_for_billed() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[&vec![7; 40_000_000]]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let server = async {
        let mut line = wire.accept().await;
        line.head().await;
        line.send(answer("401 Unauthorized", JSON, REFUSED)).await;
        line.reset();
    };
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
    // The system may throw the answer away before anyone could read it.
    let known = matches!(result, Err(Error::Unauthorized { .. } | Error::Reset { may_be_billed: false, .. }));
    assert!(known, "{result:?}");
}

#[tokio::test]
async fn a_connection_serves_one_edit() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(2));
    let ok = answer("200 OK", JSON, body(b"image"));
    for _ in 0..2 {
        // Each of them waits for a new connection.
        tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(&ok)).0.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_edit_closes_its_connection() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let mut line = tokio::select! {
        result = provider.edit(&edit, &transfers, None) => panic!("{result:?}"),
        line = async { let mut line = wire.accept().await; line.request().await; line } => line,
    };
    line.send("HTTP/1.1 200 OK\r\n").await;
    line.closed().await;
}

#[tokio::test]
async fn without_a_server_nothing_was_sent() {
    let wire = Wire::bind().await;
    let provider = provider(settings(&wire));
    drop(wire);
    let (_folder, edit) = edit(&[b"source"]);
    let error = provider.edit(&edit, &permits(1), None).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && !error.may_be_billed(), "{error:?}");
}

#[tokio::test]
async fn a_lost_connection_may_be_billed_once_all_was_sent() {
    let wire = Wire::bind().await;
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    for all_sent in [true, false] {
        let (_folder, edit) = edit(&[&vec![7; 40_000_000]]);
        let server = async {
            let mut line = wire.accept().await;
            if all_sent {
                drop(line.request().await)
            } else {
                drop(line.head().await)
            }
            line.reset();
        };
        let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
        let Err(Error::Reset { may_be_billed, .. }) = result else { panic!("{result:?}") };
        assert_eq!(may_be_billed, all_sent);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_truncated() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let whole = answer("200 OK", JSON, body(&noise(500_000)));
    for reset in [false, true] {
        let server = async {
            let mut line = wire.accept().await;
            line.request().await;
            line.send(&whole[..whole.len() / 2]).await;
            if reset {
                line.reset();
            }
        };
        let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), server);
        assert!(matches!(result, Err(Error::Truncated { .. })), "{result:?}");
    }
    assert_eq!(transfers.available_permits(), 1, "a failure gives its permit back");
}

#[tokio::test]
async fn an_error_whose_body_breaks_off_keeps_its_status() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let cut = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 500\r\n\r\n{\"error\":";
    let (result, _) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(cut));
    let Err(Error::RateLimited { retry_after, .. }) = result else { panic!("{result:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn a_huge_error_is_cut_and_still_has_its_words() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let body = "too long ".repeat(30_000);
    let (result, _) = tokio::join!(
        provider.edit(&edit, &transfers, None),
        wire.answer(format!("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 270000\r\n\r\n{body}"))
    );
    let Err(Error::InvalidRequest { told }) = result else { panic!("{result:?}") };
    assert!(told.message.starts_with("too long too long") && told.message.len() < 400, "{}", told.message);
}

#[tokio::test]
async fn every_wait_has_its_end() {
    let wire = Wire::bind().await;
    let transfers = permits(1);
    let headers = format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 100\r\n\r\n{{\"data\":");
    let (head, alive) = (&headers[..headers.len() - 8], format!("{}  ", &headers[..headers.len() - 8]));
    let event = format!("{SSE}: alive\n\nevent: image_edit.completed\ndata: {{");
    let mut impatient = settings(&wire);
    impatient.silence_timeout = SHORT;
    let mut hurried = settings(&wire);
    hurried.total_timeout = 2 * SHORT;
    let mut both = impatient.clone();
    both.total_timeout = 2 * SHORT;
    let (small, large) = (noise(10), vec![7; 60_000_000]);
    // (settings, source, whether the server reads the request, what it sends, the wait that ends, may be billed)
    let cases = [
        ("silence in the answer", &impatient, &small, true, headers.as_str(), Wait::Silence, true),
        ("silence in an event", &impatient, &small, true, event.as_str(), Wait::Silence, true),
        // Before that the provider works, and may do so for as long as it has.
        ("a head and nothing else", &both, &small, true, head, Wait::Total, true),
        ("a head and spaces", &both, &small, true, alive.as_str(), Wait::Total, true),
        ("a stream without an event", &both, &small, true, SSE, Wait::Total, true),
        ("no answer", &hurried, &small, true, "", Wait::Total, true),
        ("an answer that never ends", &hurried, &small, true, headers.as_str(), Wait::Total, true),
        ("an upload that is not taken", &impatient, &large, false, "", Wait::Silence, false),
        ("an upload without an end", &hurried, &large, false, "", Wait::Total, false),
    ];
    for (name, settings, source, reads, sends, wait, billed) in cases {
        let (_folder, edit) = edit(&[source]);
        let provider = provider(settings.clone());
        let server = async {
            let mut line = wire.accept().await;
            if reads {
                line.request().await;
            }
            line.send(sends).await;
            line
        };
        let (result, line) = tokio::join!(provider.edit(&edit, &transfers, None), server);
        let Err(Error::Timeout { what, may_be_billed, .. }) = result else { panic!("{name}: {result:?}") };
        assert_eq!((what, may_be_billed), (wait, billed), "{name}");
        line.closed().await;
    }
}

#[tokio::test]
async fn what_comes_long_after_its_head_is_read() {
    let (wire, elsewhere) = (Wire::bind().await, Wire::bind().await);
    let (_folder, edit) = edit(&[b"source"]);
    let mut settings = settings(&wire);
    settings.silence_timeout = SHORT;
    settings.url_hosts = vec![elsewhere.address().to_string()];
    let (provider, transfers) = (provider(settings), permits(1));
    let address = body_with_url(elsewhere.url("/image.png").as_str());
    let spent = r#"{"error":{"message":"no money","type":"insufficient_quota"}}"#;
    let late = async |wire: &Wire, status: &str, body: &[u8]| {
        let mut line = wire.accept().await;
        line.request().await;
        let whole = answer(status, JSON, body);
        let (head, body) = whole.split_at(whole.len() - body.len());
        line.send(head).await;
        tokio::time::sleep(3 * SHORT).await;
        line.send(body).await;
    };
    let whole = body(b"image");
    let (result, ()) = tokio::join!(provider.edit(&edit, &transfers, None), late(&wire, "200 OK", whole.as_bytes()));
    assert_eq!(result.unwrap().image, b"image");
    let (result, ()) =
        tokio::join!(provider.edit(&edit, &transfers, None), late(&wire, "429 Too Many Requests", spent.as_bytes()));
    assert!(matches!(result, Err(Error::QuotaSpent { .. })), "the reason is waited for: {result:?}");
    let (result, _, ()) = tokio::join!(
        provider.edit(&edit, &transfers, None),
        wire.answer(answer("200 OK", JSON, address)),
        late(&elsewhere, "200 OK", b"picture")
    );
    assert_eq!(result.unwrap().image, b"picture");
}

#[tokio::test]
async fn an_answer_that_has_not_begun_holds_no_permit() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let whole = answer("200 OK", JSON, body(b"first"));
    let head = whole.len() - body(b"first").len();
    let first = async { provider.edit(&edit, &transfers, None).await.map(|answer| answer.image) };
    let second = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send(&whole[..head]).await;
        let both =
            tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(answer("200 OK", JSON, body(b"second"))));
        assert_eq!(both.0.unwrap().image, b"second", "it takes the only permit");
        line.send(&whole[head..]).await;
    };
    assert_eq!(tokio::join!(first, second).0.unwrap(), b"first");
}

#[tokio::test]
async fn a_compressed_answer_is_not_asked_for_and_told() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    for encoding in ["gzip", "br", "deflate, gzip"] {
        for (status, billed) in [("200 OK", true), ("400 Bad Request", false)] {
            let headers = format!("{JSON}content-encoding: {encoding}\r\n");
            let compressed = answer(status, &headers, b"\x1f\x8b\x08\0\0\0\0\0");
            let (result, request) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(compressed));
            assert_eq!(request.header("accept-encoding"), Some("identity"));
            let error = result.unwrap_err();
            let word = format!("compressed ({})", encoding.replace(' ', ""));
            assert!(error.to_string().contains(&word) && error.may_be_billed() == billed, "{error}");
        }
    }
    let same = answer("200 OK", &format!("{JSON}content-encoding: identity\r\n"), body(b"image"));
    let (result, _) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(same));
    assert_eq!(result.unwrap().image, b"image");
}

#[tokio::test]
async fn one_byte_at_a_time_is_not_silence_and_still_ends() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let mut settings = settings(&wire);
    (settings.silence_timeout, settings.total_timeout) = (SHORT, 3 * SHORT);
    let (provider, transfers) = (provider(settings), permits(1));
    let server = async {
        let mut line = wire.accept().await;
        line.request().await;
        line.send(format!("HTTP/1.1 200 OK\r\n{JSON}\r\n")).await;
        loop {
            line.send(" ").await;
            tokio::time::sleep(SHORT / 5).await;
        }
    };
    let error = tokio::select! {
        result = provider.edit(&edit, &transfers, None) => result.unwrap_err(),
        () = server => unreachable!("the server goes on"),
    };
    assert!(matches!(error, Error::Timeout { what: Wait::Total, may_be_billed: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let wire = Wire::bind().await;
    let (_folder, edit) = edit(&[b"source"]);
    let (provider, transfers) = (provider(settings(&wire)), permits(1));
    let moved = answer("307 Temporary Redirect", &format!("location: {}\r\n", wire.url("/else")), "");
    let (result, _) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(moved));
    let error = result.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("OPENAI_BASE_URL"), "{error}");
}
