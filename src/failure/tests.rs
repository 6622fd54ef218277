use std::time::Duration;

use super::{Failure, Reach, Tried, Verdict};
use crate::image;
use crate::job::{Format, Size};
use crate::provider::{Error, Told};
use crate::supabase::{BadFile, storage};

/// The verdict on an image.
fn judge(failure: &Failure, failed: u32, billed: u32, most: u32) -> Verdict {
    super::judge(failure, Tried::Image { failed, billed, most })
}

fn told(should_retry: Option<bool>) -> Box<Told> {
    Box::new(Told { message: "it said so".to_owned(), should_retry, ..Told::default() })
}

fn limited(retry_after: Option<u64>, should_retry: Option<bool>) -> Failure {
    let retry_after = retry_after.map(Duration::from_secs);
    Failure::Provider(Error::RateLimited { retry_after, slow_down: false, told: told(should_retry) })
}

#[test]
fn the_providers_wish_is_obeyed_before_our_own_arithmetic() {
    let Verdict::Again(pause) = judge(&limited(Some(7), None), 1, 0, 5) else { panic!("a limit passes") };
    assert!((7.0..7.3).contains(&pause.as_secs_f64()), "{pause:?}");
    assert_eq!(judge(&limited(Some(7), Some(false)), 1, 0, 5), Verdict::Final);
}

#[test]
fn waits_double_up_to_a_minute_and_tries_have_an_end() {
    for (failed, longest) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (40, 60.0)] {
        let Verdict::Again(pause) = judge(&limited(None, None), failed, 0, 50) else { panic!("a limit passes") };
        assert!((longest / 2.0..=longest).contains(&pause.as_secs_f64()), "after {failed}: {pause:?}");
    }
    assert_eq!(judge(&limited(None, None), 5, 0, 5), Verdict::Final);
}

#[test]
fn what_may_be_billed_is_tried_once_more_only_and_what_was_not_billed_does_not_count() {
    let truncated = Failure::Provider(Error::Truncated { told: told(None) });
    assert!(matches!(judge(&truncated, 1, 0, 50), Verdict::Again(_)));
    assert_eq!(judge(&truncated, 2, 1, 50), Verdict::Final);
    assert_eq!(judge(&truncated, 1, 1, 50), Verdict::Final, "another worker made the first one");
    assert!(matches!(judge(&truncated, 4, 0, 50), Verdict::Again(_)), "three were refused before they were billed");
    assert_eq!(judge(&truncated, 50, 0, 50), Verdict::Final);
}

#[test]
fn money_and_keys_pause_and_a_refusal_is_final_whatever_a_header_wishes() {
    let spent = Failure::Provider(Error::QuotaSpent { told: told(Some(true)) });
    assert!(matches!(judge(&spent, 1, 0, 5), Verdict::Pause(_)));
    let nowhere = Failure::Provider(Error::NotFound { told: told(Some(true)) });
    assert!(matches!(judge(&nowhere, 1, 0, 5), Verdict::Pause(_)), "the operator's address is no job's fault");
    let refused = Failure::Provider(Error::Moderation { details: None, told: told(Some(true)) });
    assert_eq!(judge(&refused, 1, 0, 5), Verdict::Final);
}

#[test]
fn what_is_wrong_for_every_image_alike_reaches_further_than_its_own() {
    let provider = |error: fn(Box<Told>) -> Error| Failure::Provider(error(told(None)));
    let size = Size { width: 16, height: 16 };
    let rows = [
        (provider(|told| Error::UrlRefused { told }), Reach::Provider),
        (provider(|told| Error::NotUnderstood { told }), Reach::Provider),
        (provider(|told| Error::NotFound { told }), Reach::Provider),
        (Failure::Result(image::Error::WrongSize { found: size, wanted: size }), Reach::Provider),
        (Failure::Result(image::Error::WrongFormat { found: Format::Png, wanted: Format::Webp }), Reach::Provider),
        (Failure::Result(image::Error::Damaged { reason: String::new() }), Reach::Image),
        (provider(|told| Error::ModelNotFound { told }), Reach::Job),
        (provider(|told| Error::Moderation { details: None, told }), Reach::Image),
        (provider(|told| Error::Empty { told }), Reach::Image),
        (Failure::Upload(storage::Error::NotFound { message: String::new() }), Reach::Bucket),
        (Failure::Upload(storage::Error::BadFile(BadFile::UnsupportedType { message: String::new() })), Reach::Bucket),
        (Failure::Upload(storage::Error::Denied { message: String::new() }), Reach::Bucket),
    ];
    for (failure, reach) in rows {
        assert_eq!(failure.reach(), reach, "{failure}");
    }
}

#[test]
fn storage_that_is_away_passes_and_one_that_refuses_does_not() {
    let away = Failure::Upload(storage::Error::Unavailable { status: 503, message: String::new() });
    assert!(matches!(super::judge(&away, Tried::Upload { failed: 3 }), Verdict::Again(_)));
    // So does a machine that has no file to open, or no room.
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let ours = Failure::Fetch { path: String::new(), error: storage::Error::Io(full) };
    assert!(matches!(super::judge(&ours, Tried::Fetch { failed: 3 }), Verdict::Again(_)));
    // But its patience has an end, and no picture is made and paid again because it could not be kept.
    assert_eq!(super::judge(&away, Tried::Upload { failed: 10 }), Verdict::Final);
    assert_eq!(judge(&away, 1, 0, 10), Verdict::Final);
    let refused = Failure::Upload(storage::Error::Denied { message: String::new() });
    assert_eq!(super::judge(&refused, Tried::Upload { failed: 1 }), Verdict::Final);
}

#[test]
fn a_key_that_storage_does_not_take_and_a_bucket_that_is_not_there_are_no_jobs_fault() {
    use storage::Error as S;
    let message = String::new;
    let fetch = |error| Failure::Fetch { path: "u/sources/a.png".to_owned(), error };
    for error in [S::Unauthorized { message: message() }, S::NoBucket { message: message() }] {
        let failure = fetch(error);
        assert!(matches!(super::judge(&failure, Tried::Job), Verdict::Pause(_)), "{failure}");
        assert!(!failure.message().contains("u/sources"), "its owner is not blamed: {}", failure.message());
    }
    // What is wrong with one path stops nobody else's.
    for error in [
        S::NotFound { message: message() },
        S::Denied { message: message() },
        S::BadFile(BadFile::TooLarge { message: message() }),
    ] {
        let failure = fetch(error);
        assert_eq!(super::judge(&failure, Tried::Fetch { failed: 1 }), Verdict::Final, "{failure}");
    }
}
