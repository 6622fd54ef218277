//! Fetches an image that the provider left at an address, once [`crate::address`] allows it.

use reqwest::{Client, Url};
use tokio::time::timeout_at;

use super::answer::{Incoming, Limits};
use super::error::{Error, Wait};
use super::refusal::Head;

/// Fetches the image within `limits`. No key is sent. `head` is that of the answer that gave the address.
pub(super) async fn fetch(client: &Client, url: Url, head: &Head, limits: Limits) -> Result<Vec<u8>, Error> {
    let failed = |message: &str| Error::NotUnderstood { told: head.told(message) };
    let Ok(response) = timeout_at(limits.deadline, client.get(url).send()).await else {
        let told = head.told("the image's address did not answer in time");
        return Err(Error::Timeout { what: Wait::Total, may_be_billed: true, told });
    };
    let response = response.map_err(|_| failed("it gave an address that can't be reached"))?;
    if !response.status().is_success() {
        return Err(failed(&format!("it gave an address that answers with status {}", response.status().as_u16())));
    }
    let mut incoming = Incoming::new(response, head, limits);
    let mut image = Vec::new();
    while let Some(chunk) = incoming.next(false).await? {
        image.extend_from_slice(&chunk);
    }
    Ok(image)
}
