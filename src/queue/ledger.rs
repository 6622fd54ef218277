//! The ledger of paid calls: each is written down under its job's lease before it is made, and closed once its outcome is known.

use std::time::Duration;

use uuid::Uuid;

use super::writes::BeginCall;
use super::{Error, Lease, Queue, seconds};

/// What a paid call may put into the folder of its job.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// Name of the picture, never used before.
    pub name: &'a str,
    /// How many previews may stand beside it.
    pub previews: u8,
}

/// Row of `carousel_private.provider_calls` that is open while a paid call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    pub(super) id: i64,
    /// How many calls for the same image may have been billed before it, whoever made them.
    pub billed: u32,
}

/// Answer to the wish to make a paid call.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It is written down: go ahead.
    Call(CallId),
    /// Nothing was written: the provider is to be left alone for so long.
    Paused(Duration),
    /// Nothing was written: a limit of the job's owner is reached.
    Refused {
        /// Stable code.
        code: String,
        /// Words for the owner.
        words: String,
    },
    /// Nothing was written: the image was perhaps billed for as often as may be. How the last time ended; nobody may know.
    Spent(Option<String>),
}

impl Lease {
    /// Writes down that a paid call is about to be made, and what it may put into the bucket, unless [`super::BILLED_TRIES`] for this image may have
    /// been billed since its job was last asked for, or a limit of its owner is reached. `estimate` is what it may cost, in millionths of a dollar;
    /// none when the model has no price. Nothing is paid for that was not written down, and no object is made.
    pub async fn begin_call(
        &self,
        image: Uuid,
        objects: Objects<'_>,
        model: &str,
        quality: Option<&str>,
        prompt: &str,
        estimate: Option<i64>,
    ) -> Result<Begun, Error> {
        let write = BeginCall {
            under: self.under(),
            image,
            model: model.to_owned(),
            quality: quality.map(str::to_owned),
            prompt: prompt.to_owned(),
            object_name: objects.name.to_owned(),
            previews: i32::from(objects.previews),
            estimate,
        };
        let row = self.queue.writes.calls.send(&self.queue, write).await?.ok_or(Error::Lost)?;
        let pause = seconds(row.try_get("seconds")?);
        match row.try_get("id")? {
            Some(id) => {
                let billed = u32::try_from(row.try_get::<_, i64>("billed")?).unwrap_or(u32::MAX);
                Ok(Begun::Call(CallId { id, billed }))
            }
            None if !pause.is_zero() => Ok(Begun::Paused(pause)),
            None => Ok(match row.try_get("refused")? {
                Some(code) => Begun::Refused { code, words: row.try_get("words")? },
                None => Begun::Spent(row.try_get("outcome")?),
            }),
        }
    }
}

impl Queue {
    /// Closes a call that failed and may be made again; `unbilled`: the provider is known not to have billed it. It needs no lease: the books are kept even when that is lost.
    pub async fn end_call(
        &self,
        call: CallId,
        outcome: &str,
        request_id: Option<&str>,
        unbilled: bool,
    ) -> Result<(), Error> {
        let statement = include_str!("../../sql/end_call.sql");
        self.row(statement, &[&call.id, &outcome, &request_id, &unbilled]).await?;
        Ok(())
    }
}
