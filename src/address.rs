//! Which foreign addresses may be called: those of hosts that configuration names, and no other.
//!
//! A redirect leads nowhere: [`crate::outgoing`] follows none.

use reqwest::Url;

/// Longest address that is looked at; a `data:` address of megabytes is none.
const MAX_ADDRESS: usize = 8 * 1024;

/// Whether `address` may be fetched: an allowed host (`host` or `host:port`), and the scheme `https`, or `http` where that of `base` is.
pub fn allowed(address: &str, hosts: &[String], base: &Url) -> Option<Url> {
    if address.len() > MAX_ADDRESS {
        return None;
    }
    let url = Url::parse(address).ok()?;
    let safe = url.scheme() == "https" || (url.scheme() == "http" && base.scheme() == "http");
    let plain = url.username().is_empty() && url.password().is_none();
    let host = url.host_str()?;
    let port = url.port().map(|port| format!("{host}:{port}"));
    let listed = hosts.iter().any(|entry| entry.eq_ignore_ascii_case(port.as_deref().unwrap_or(host)));
    (safe && plain && listed).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_are_allowed() {
        let hosts = ["cdn.example".to_owned(), "127.0.0.1:8080".to_owned()];
        let base = |base: &str| Url::parse(base).unwrap();
        let secure = base("https://api.example/v1");
        assert!(allowed("https://cdn.example/a.png?sig=1", &hosts, &secure).is_some());
        assert!(allowed("https://CDN.example:443/a.png", &hosts, &secure).is_some());
        for address in [
            "http://cdn.example/a.png",
            "https://cdn.example:8443/a.png",
            "https://cdn.example.evil.example/a.png",
            "https://cdn.example@evil.example/a.png",
            "https://user:word@cdn.example/a.png",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "not an address",
        ] {
            assert!(allowed(address, &hosts, &secure).is_none(), "{address}");
        }
        assert!(allowed("http://127.0.0.1:8080/a.png", &hosts, &base("http://127.0.0.1:1/v1")).is_some());
        assert!(allowed("http://127.0.0.1/a.png", &hosts, &base("http://127.0.0.1:1/v1")).is_none());
        assert!(allowed("https://cdn.example/a.png", &[], &secure).is_none(), "no list allows nothing");
        let long = format!("https://cdn.example/{}", "a".repeat(MAX_ADDRESS));
        assert!(allowed(&long, &hosts, &secure).is_none());
        let long = format!("https://cdn.example/?{}", "ü".repeat(MAX_ADDRESS));
        assert!(allowed(&long, &hosts, &secure).is_none());
    }
}
