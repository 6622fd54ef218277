//! One image: plan it, make the paid call, check what came, upload it, record it; and again, as far as [`judge`] allows.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryFutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::circuit::Met;
use super::gate::Gate;
use super::retry::retry;
use super::sources::{Sent, Sources};
use super::{Pipeline, compose};
use crate::failure::{Failure, Reach, Tried, Verdict, judge};
use crate::image::{self, Checked};
use crate::job::{Image, Job};
use crate::provider::{self, Answer, Edit, Partial, size_for};
use crate::queue::{self, Begun, CallId, Fault, Lease, Objects, Recorded};
use crate::telemetry::metrics;

/// The provider takes no longer prompts.
const MAX_PROMPT: usize = 32_000;
/// A job waits so long in a worker while the provider is left alone; for longer pauses it is given back.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// A path never holds other bytes than its first.
const FOREVER: &str = "max-age=31536000, immutable";

/// What became of an image, as far as its row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageOutcome {
    /// It is there.
    Made,
    /// It can't be made, and its row says why.
    Failed,
    /// It is still to be made: why, the gate knows.
    Left,
}

impl Pipeline {
    /// Makes one image and records what came of it. Fails only with the lease or the database.
    pub(super) async fn make_image(
        &self,
        lease: &Lease,
        image: Image,
        sources: &Sources,
        gate: &Gate,
    ) -> Result<ImageOutcome, Failure> {
        let edit = match self.plan(&lease.job, &image, sources.of(image.slide)?) {
            Ok(edit) => edit,
            Err(failure) => return self.give_up(lease, image, None, &failure).await,
        };
        let mut failed = 0;
        let mut turn = None;
        loop {
            if turn.is_none() {
                turn = gate.unless_closed(self.circuit.turn()).await;
            }
            let user = lease.job.user_id;
            let mut place = None;
            if self.settings.rated {
                place = gate.unless_closed(async { Some(self.place.acquire(user).await) }).await;
            }
            if place.is_some() && !gate.is_closed() {
                gate.sleep(lease.queue().reserve_call().await?).await;
            }
            let permit = gate.unless_closed(async { Some(self.calls.acquire(user).await) }).await;
            drop(place);
            let Some(permit) = permit.filter(|_| !gate.is_closed()) else {
                return Ok(ImageOutcome::Left);
            };
            if turn.is_none() && self.circuit.is_half_open() {
                continue;
            }
            if self.circuit.doubts_bucket()
                && let Err(failure) = self.look_at_bucket(edit.format.mime()).await
            {
                gate.pause(Some(Reach::Bucket));
                self.leave_alone(lease, Reach::Bucket, &failure).await?;
                return Ok(ImageOutcome::Left);
            }
            // A name for each call: a path never holds other bytes than its first.
            let place = Place::new(&lease.job, &image, &edit);
            let objects = Objects { name: &place.name(), previews: edit.partial_images };
            let estimate = self.settings.prices.estimate(&edit);
            let begun =
                lease.begin_call(image.id, objects, &edit.model, edit.quality.as_deref(), &edit.prompt, estimate);
            let call = match begun.await? {
                Begun::Call(call) => call,
                Begun::Spent(outcome) => return self.give_up(lease, image, None, &Failure::Spent(outcome)).await,
                Begun::Refused { code, words } => {
                    let failure = Failure::Limit { code, words };
                    gate.spoil(&failure);
                    return self.give_up(lease, image, None, &failure).await;
                }
                Begun::Paused(pause) if pause > LONG_PAUSE => {
                    gate.pause(None);
                    return Ok(ImageOutcome::Left);
                }
                Begun::Paused(pause) => {
                    drop(permit);
                    // Those who waited together don't come back together.
                    gate.sleep(pause.mul_f64(rand::random_range(1.0..1.5))).await;
                    continue;
                }
            };
            let counted = metrics::Call::new();
            let failure = match self.call(lease, image, call, &edit, &place).await {
                Ok(()) => {
                    counted.ended("ok");
                    return Ok(ImageOutcome::Made);
                }
                // Whoever has the lease by now may have said what became of it.
                Err(lost @ Failure::Queue(queue::Error::Lost)) => return Err(lost),
                Err(failure @ Failure::Queue(_)) => {
                    // So that the books say what became of it. The database may refuse this as well.
                    let ended =
                        lease.queue().end_call(call, failure.code(), failure.request_id(), failure.is_unbilled()).await;
                    if let Err(error) = ended {
                        tracing::debug!(job = %lease.job.id, image = %image.id, %error, "a call stays without an end");
                    }
                    return Err(failure);
                }
                Err(failure) => failure,
            };
            counted.ended(failure.code());
            drop(permit);
            failed += 1;
            let tried = Tried::Image { failed, billed: call.billed, most: self.settings.image_tries };
            let verdict = judge(&failure, tried);
            let reach = self.reach(&lease.job, &failure);
            if matches!(reach, Reach::Provider | Reach::Bucket) && !matches!(verdict, Verdict::Pause(_)) {
                let met = self.circuit.failed(reach, failure.code(), lease.job.id);
                // Nobody tries between this try and the next.
                turn = turn.or_else(|| self.circuit.try_turn());
                if matches!(met, Met::ByOther | Met::ByBoth) {
                    self.leave_alone(lease, reach, &failure).await?;
                }
                if met == Met::ByOther || gate.is_paused() {
                    gate.pause(Some(reach));
                    lease.queue().end_call(call, failure.code(), failure.request_id(), failure.is_unbilled()).await?;
                    metrics::image_tried_again(failure.code());
                    return Ok(ImageOutcome::Left);
                }
            }
            if verdict == Verdict::Final {
                if reach != Reach::Image {
                    gate.spoil(&failure);
                }
                return self.give_up(lease, image, Some(call), &failure).await;
            }
            lease.queue().end_call(call, failure.code(), failure.request_id(), failure.is_unbilled()).await?;
            tracing::info!(
                job = %lease.job.id, image = %image.id, code = failure.code(), error = %failure, failed, ?verdict,
                "an image is tried again"
            );
            metrics::image_tried_again(failure.code());
            match verdict {
                Verdict::Again(pause) => {
                    if matches!(failure, Failure::Provider(provider::Error::RateLimited { .. })) {
                        // The limit is the key's, or the model's, and not this call's: every worker with the same key waits.
                        self.pause(lease, pause, failure.code()).await?;
                    }
                    gate.sleep(pause).await;
                }
                _ => {
                    tracing::error!(code = failure.code(), error = %failure, ?verdict, "the provider is left alone");
                    if let Verdict::Pause(pause) = verdict {
                        self.pause(lease, pause, &failure.to_string()).await?;
                    }
                    gate.pause(Some(Reach::Provider));
                    return Ok(ImageOutcome::Left);
                }
            }
        }
    }

    /// What is to be asked of the provider, or why it is not worth asking.
    fn plan(&self, job: &Job, image: &Image, sent: &Sent) -> Result<Edit, Failure> {
        let unfit = |code, message: String| Failure::Unfit { code, message };
        let model = job.model.as_ref().unwrap_or(&self.settings.model);
        // What somebody else's choice of a model costs, or breaks, is the operator's to allow.
        let allowed = *model == self.settings.model || self.settings.models.contains(model);
        if !allowed {
            let mut known = vec![self.settings.model.as_str()];
            known.extend(self.settings.models.iter().map(String::as_str).filter(|model| *model != self.settings.model));
            let known = known.join(", ");
            return Err(unfit(
                "model_not_allowed",
                format!("The model {model} is not offered here; use one of {known}."),
            ));
        }
        let quality = job.quality.as_ref().unwrap_or(&self.settings.quality);
        let size = size_for(model, image.ratio, Some(quality), sent.photo).ok_or_else(|| {
            unfit("size_not_offered", format!("The model {model} makes no pictures of exactly {}.", image.ratio))
        })?;
        let prompt = compose(job, image, size);
        let length = prompt.chars().count();
        if length > MAX_PROMPT {
            let message =
                format!("With slide and style the prompt has {length} characters; at most {MAX_PROMPT} are accepted.");
            return Err(unfit("prompt_too_long", message));
        }
        Ok(Edit {
            model: model.clone(),
            prompt,
            sources: Arc::clone(&sent.files),
            size,
            quality: Some(quality.clone()),
            format: job.format,
            background: job.background.clone(),
            partial_images: job.partial_previews,
            safety_identifier: Some(pseudonym(job)),
        })
    }

    /// One paid call and what follows it, up to the recorded image.
    async fn call(&self, lease: &Lease, image: Image, call: CallId, edit: &Edit, place: &Place) -> Result<(), Failure> {
        let started = Instant::now();
        let (previews, mut shown) = mpsc::channel(1);
        let asked = async {
            let previews = previews;
            self.provider.edit(edit, &self.transfers, Some(&previews)).await
        };
        let showing = async {
            let mut number = 0;
            while let Some(partial) = shown.recv().await {
                // What was not written down is not shown.
                if number < edit.partial_images {
                    number += 1;
                    self.show(lease, image, edit, &place.preview(number), partial).await;
                }
            }
        };
        let (answer, ()) = tokio::join!(asked, showing);
        let Answer { image: bytes, usage, request_id, permit } = answer?;
        let bytes = Bytes::from(bytes);

        let decode =
            Arc::clone(&self.decodes).acquire_owned().await.map_err(|error| Failure::Internal(error.to_string()))?;
        let (format, size, picture) = (edit.format, edit.size, bytes.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let checked = image::check(&picture, format, size);
            drop(decode);
            checked
        });
        let checked: Checked =
            checked.await.map_err(|error| Failure::Internal(error.to_string()))?.map_err(Failure::Result)?;
        self.circuit.works(Reach::Provider);

        let path = place.path();
        let length = bytes.len();
        self.upload(&path, edit, bytes).await?;
        self.circuit.works(Reach::Bucket);
        drop(permit);

        let cost = usage.as_ref().and_then(|usage| self.settings.prices.cost(&edit.model, usage));
        let recorded = Recorded {
            path: &path,
            thumbhash: &checked.thumbhash,
            size: checked.size,
            bytes: length,
            format: checked.format,
            sha256: &checked.sha256,
            usage: usage.as_ref().map(|usage| &usage.raw),
            cost,
            duration: started.elapsed(),
            request_id: request_id.as_deref(),
        };
        lease.record_image(image.id, call, &recorded).await?;
        metrics::image_made(cost);
        tracing::info!(
            job = %lease.job.id, image = %image.id, bytes = length, ms = started.elapsed().as_millis(),
            request_id = request_id.as_deref(), "image recorded"
        );
        Ok(())
    }

    async fn upload(&self, path: &str, edit: &Edit, bytes: Bytes) -> Result<(), Failure> {
        let offer = || {
            let offered = self.storage.upload(path, edit.format.mime(), bytes.clone(), FOREVER);
            offered.map_err(Failure::Upload)
        };
        retry(|failed| Tried::Upload { failed }, offer).await
    }

    /// Shows a partial preview. A preview that can't be shown is not missed.
    async fn show(&self, lease: &Lease, image: Image, edit: &Edit, path: &str, partial: Partial) {
        // Not decoded, as it goes in a moment; but what the bucket serves as a picture is one.
        let header = image::sniff(&mut Cursor::new(&partial.image));
        if !header.is_ok_and(|header| header.format == edit.format) {
            tracing::debug!(job = %lease.job.id, image = %image.id, "a preview is not what was asked for");
            return;
        }
        let shown = match self.storage.upload(path, edit.format.mime(), partial.image.into(), FOREVER).await {
            Ok(()) => lease.record_preview(image.id, path).await.map_err(Failure::from),
            Err(error) => Err(Failure::Upload(error)),
        };
        if let Err(error) = shown {
            tracing::debug!(job = %lease.job.id, image = %image.id, %error, "a preview was not shown");
        }
    }

    async fn give_up(
        &self,
        lease: &Lease,
        image: Image,
        call: Option<CallId>,
        failure: &Failure,
    ) -> Result<ImageOutcome, Failure> {
        tracing::warn!(job = %lease.job.id, image = %image.id, code = failure.code(), error = %failure, "an image can't be made");
        metrics::image_failed(failure.code());
        let message = failure.message();
        let fault = Fault { code: failure.code(), message: &message, request_id: failure.request_id() };
        let call = call.map(|call| (call, failure.is_unbilled()));
        lease.record_failure(image.id, call, &fault).await?;
        Ok(ImageOutcome::Failed)
    }
}

/// Where one call puts what it makes, chosen before it is made: `{user}/jobs/{job}/{variant}-{slide}-{ratio}-{mark}.{ext}`.
struct Place {
    folder: String,
    stem: String,
    extension: &'static str,
}

impl Place {
    /// A place that was never used. The mark is drawn at random, and tells nothing of other people's calls.
    fn new(job: &Job, image: &Image, edit: &Edit) -> Self {
        let Image { variant, slide, ratio, .. } = image;
        let mark: u64 = rand::random();
        Self {
            folder: format!("{}/jobs/{}", job.user_id, job.id),
            stem: format!("{variant}-{slide}-{}-{mark:016x}", ratio.in_path()),
            extension: edit.format.extension(),
        }
    }

    /// The picture's name in its folder.
    fn name(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    /// The picture's path.
    fn path(&self) -> String {
        format!("{}/{}", self.folder, self.name())
    }

    /// The path of a preview, counted from 1. The sweep makes the same of the picture's name.
    fn preview(&self, number: u8) -> String {
        format!("{}/{}-preview-{number}.{}", self.folder, self.stem, self.extension)
    }
}

/// A stable name for the owner that tells the provider nothing about them.
fn pseudonym(job: &Job) -> String {
    let digest = Sha256::digest(job.user_id.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
