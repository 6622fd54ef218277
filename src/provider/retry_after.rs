//! How long a server wants to be left alone, from its headers.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Longest wait that is believed. A server that names a longer one is asked again after this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Reads `retry-after-ms`, else `retry-after` as seconds (whole or not) or as a date. What is none of these counts as nothing.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let capped = |seconds: f64| {
        // A NaN compares with nothing, an infinity is capped.
        (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64())))
    };
    let number = |text: &str| text.parse::<f64>().ok();
    let from_milliseconds = text("retry-after-ms").and_then(number).and_then(|wait| capped(wait / 1000.0));
    from_milliseconds.or_else(|| {
        let value = text(RETRY_AFTER.as_str())?;
        if let Some(seconds) = number(value) {
            return capped(seconds);
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default().min(MAX_RETRY_AFTER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &str)]) -> Option<f64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        read(&map, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "20")]), Some(20.0));
        assert_eq!(wait(&[("retry-after", " 1.5 ")]), Some(1.5));
        assert_eq!(wait(&[("retry-after-ms", "250")]), Some(0.25));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "20")]), Some(0.25));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), Some(30.0));
        assert_eq!(wait(&[("retry-after", "Sunday, 06-Nov-94 08:50:07 GMT")]), Some(30.0));
    }

    #[test]
    fn a_date_that_is_past_is_no_wait() {
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(0.0));
    }

    #[test]
    fn a_long_wait_is_capped() {
        for value in ["86400", "1e300", "inf", "Sun, 07 Nov 2094 08:49:37 GMT"] {
            assert_eq!(wait(&[("retry-after", value)]), Some(600.0), "{value}");
        }
        assert_eq!(wait(&[("retry-after-ms", "99999999999")]), Some(600.0));
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        for value in ["-1", "NaN", "soon", "", "Sun, 99 Nov 1994"] {
            assert_eq!(wait(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(wait(&[("retry-after-ms", "soon"), ("retry-after", "3")]), Some(3.0));
    }
}
