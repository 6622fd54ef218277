//! Pictures that an answer names by URL, for a client to fetch without a key.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::format::Format;

/// Pictures that are kept; an older one is forgotten, as the real links expire.
const KEPT: usize = 32;

/// The pictures.
#[derive(Default)]
pub(super) struct Hosted(Mutex<VecDeque<(String, Format, Bytes)>>);

impl Hosted {
    /// Keeps `file` and gives it a name.
    pub(super) fn put(&self, format: Format, file: Bytes) -> String {
        let name = format!("{}.{}", uuid::Uuid::new_v4().simple(), format.extension());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((name.clone(), format, file));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        name
    }

    /// The picture called `name`.
    pub(super) fn get(&self, name: &str) -> Option<(Format, Bytes)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, ..)| known == name).map(|(_, format, file)| (*format, file.clone()))
    }
}
