//! A call that passed every check: pictures are drawn, and answered in the way its fault wants.

use std::sync::Arc;

use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use image::RgbImage;

use super::OpenAi;
use super::answer::{About, Payload, error_event};
use super::body::{self, Piece};
use super::call::InFlight;
use super::edit::Edit;
use super::error::ApiError;
use super::fault::Fault;
use super::picture::{self, Motif};
use crate::format::Format;

/// An edit that is being made.
pub(super) struct Generation {
    pub(super) openai: OpenAi,
    pub(super) edit: Edit,
    pub(super) fault: Option<Fault>,
    /// The first source, cut to size.
    pub(super) base: Arc<RgbImage>,
    /// Its digest.
    pub(super) sha256: String,
    /// Where the client reached the service, for URLs that lead back.
    pub(super) origin: String,
}

impl Generation {
    /// The answer, when it is time.
    pub(super) async fn answer(self, call: InFlight) -> Result<Response, ApiError> {
        let service = self.openai.0.clone();
        let latency = service.settings.latency(self.edit.quality, call.number);
        if !self.edit.stream {
            tokio::time::sleep(latency).await;
            service.gate.pass().await;
        }
        match &self.fault {
            Some(Fault::RefusedLate(error)) => return Err(error.clone()),
            Some(Fault::ErrorMidStream(_)) if !self.edit.stream => return Err(ApiError::server_error()),
            Some(Fault::ResetLate) => return Ok(reset(&self.openai, call)),
            _ => {}
        }
        let (partials, finished) = self.draw(call.number).await?;
        let about = About { edit: &self.edit, number: call.number, usage: !matches!(self.fault, Some(Fault::NoUsage)) };
        let pieces = match (self.edit.stream, &self.fault) {
            (true, Some(Fault::ErrorMidStream(error))) => {
                let mut pieces = about.events(partials, vec![], latency);
                pieces.truncate(unfinished(&pieces));
                pieces.push(error_event(error));
                pieces
            }
            (true, Some(Fault::NoCompletion)) => {
                let mut pieces = about.events(partials, vec![], latency);
                pieces.truncate(unfinished(&pieces));
                pieces
            }
            (true, _) => about.events(partials, finished, latency),
            (false, _) => about.object(finished),
        };
        let content_type = if self.edit.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
        Ok(self.send(pieces, content_type, call))
    }

    /// The partial and the finished pictures, as the answer is to show them.
    async fn draw(&self, number: usize) -> Result<(Vec<Payload>, Vec<Payload>), ApiError> {
        let service = self.openai.0.clone();
        let partials = match self.fault {
            Some(Fault::EarlyCompletion | Fault::ErrorMidStream(_)) => self.edit.partials.min(1),
            _ => self.edit.partials,
        };
        let count = match self.fault {
            Some(Fault::NoData | Fault::NoCompletion) => 0,
            _ => self.edit.count,
        };
        let format = match (&self.fault, self.edit.format) {
            (Some(Fault::WrongFormat), Format::Png) => Format::Jpeg,
            (Some(Fault::WrongFormat), _) => Format::Png,
            (_, format) => format,
        };
        let (edit, base, sha256) = (self.edit.clone(), self.base.clone(), self.sha256.clone());
        let grain = service.settings.grain;
        // A call draws at most 10 pictures.
        let first = if service.settings.varied { 10 * number as u32 } else { 0 };
        // Closed never: the semaphore lives as long as the service.
        let _permit = service.drawing.acquire().await;
        let drawn = tokio::task::spawn_blocking(move || {
            let transparent = edit.background == "transparent";
            let encode = |picture| picture::encode(picture, format, edit.compression, transparent).map(Bytes::from);
            let draw = |index| Motif::new(&edit.prompt, &sha256, first + index).draw(&base, grain);
            let partials = if partials == 0 {
                vec![]
            } else {
                let whole = draw(0);
                (0..partials).map(|index| encode(picture::unfinished(&whole, 32 >> index))).collect::<Result<_, _>>()?
            };
            let finished = (0..count).map(|index| encode(draw(index))).collect::<Result<Vec<_>, _>>()?;
            Ok::<(Vec<Bytes>, Vec<Bytes>), image::ImageError>((partials, finished))
        });
        let (partials, finished) =
            drawn.await.map_err(|_| ApiError::generation_failed())?.map_err(|_| ApiError::generation_failed())?;
        let payload = |file: Bytes| match self.fault {
            Some(Fault::NotAnImage) => Payload::File(Bytes::from_static(b"this is not a picture")),
            Some(Fault::DataAddress) => Payload::Data("b64_json", file),
            Some(Fault::DataUrl) => Payload::Data("url", file),
            Some(Fault::NotBase64) => Payload::Junk("this is *not* base64!"),
            Some(Fault::Url) => Payload::Url(format!("{}/generated/{}", self.origin, service.hosted.put(format, file))),
            _ => Payload::File(file),
        };
        Ok((partials.into_iter().map(Payload::File).collect(), finished.into_iter().map(payload).collect()))
    }

    /// The response made of `pieces`, sent as the fault wants it.
    fn send(&self, pieces: Vec<Piece>, content_type: &'static str, call: InFlight) -> Response {
        let whole = body::length(&pieces);
        let mut complete = false;
        let cut = |pieces, rest: Vec<Piece>| {
            let (mut front, back) = body::halve(pieces);
            front.extend(rest);
            (front, back)
        };
        let pieces = match &self.fault {
            Some(Fault::Truncated) => cut(pieces, vec![]).0,
            Some(Fault::Endless) => cut(pieces, vec![Piece::Forever]).0,
            Some(Fault::ResetMidBody) => cut(pieces, vec![Piece::Flush, Piece::Break]).0,
            Some(Fault::Stalled) => {
                let (mut front, back) = cut(pieces, vec![Piece::Flush, Piece::Stall]);
                front.extend(back);
                front
            }
            _ => {
                complete = true;
                pieces
            }
        };
        // Every other answer says its length beforehand; the rest come chunked.
        let said = complete && !self.edit.stream && call.number % 2 == 1;
        let dripping = matches!(self.fault, Some(Fault::Dripping));
        let mut response = Response::new(body::send(pieces, dripping, self.openai.0.gate.clone(), call));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if matches!(self.fault, Some(Fault::Compressed)) {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if said {
            response.headers_mut().insert(CONTENT_LENGTH, whole.into());
        }
        response
    }
}

/// A response whose connection closes before its first byte.
pub(super) fn reset(openai: &OpenAi, call: InFlight) -> Response {
    (StatusCode::OK, body::send(vec![Piece::Break], false, openai.0.gate.clone(), call)).into_response()
}

/// How many of a stream's pieces come before its completion.
fn unfinished(pieces: &[Piece]) -> usize {
    pieces.iter().position(|piece| matches!(piece, Piece::Gate)).map_or(pieces.len(), |gate| gate + 1)
}
