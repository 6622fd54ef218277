//! The body of an answer: pieces of text, base64 and waiting, sent in chunks whose borders mean nothing.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::call::InFlight;
use super::gate::{Gate, Moment};

/// Part of a body.
pub(super) enum Piece {
    /// Sent as it is.
    Text(Bytes),
    /// Sent as base64, encoded as it goes out.
    Base64(Bytes),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing until the gate is open.
    Gate,
    /// Nothing until the gate is opened once more.
    Stall,
    /// What was sent so far reaches the client.
    Flush,
    /// The connection closes.
    Break,
    /// The letter A without end.
    Forever,
}

/// Bytes that are encoded at once; a multiple of three, so that only the last part is padded.
const ENCODED: usize = 48 << 10;

impl Piece {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into())
    }

    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Base64(bytes) => bytes.len().div_ceil(3) * 4,
            _ => 0,
        }
    }
}

/// Bytes that `pieces` come to.
pub(super) fn length(pieces: &[Piece]) -> usize {
    pieces.iter().map(Piece::length).sum()
}

/// Cuts `pieces` in the middle, or up to three bytes before.
pub(super) fn halve(pieces: Vec<Piece>) -> (Vec<Piece>, Vec<Piece>) {
    let mut left = length(&pieces) / 2;
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for piece in pieces {
        let here = piece.length();
        match piece {
            piece if !back.is_empty() => back.push(piece),
            piece if here <= left => {
                left -= here;
                front.push(piece);
            }
            Piece::Text(mut text) => {
                front.push(Piece::Text(text.split_to(left)));
                back.push(Piece::Text(text));
            }
            Piece::Base64(mut bytes) => {
                front.push(Piece::Base64(bytes.split_to(left / 4 * 3)));
                back.push(Piece::Base64(bytes));
            }
            piece => back.push(piece),
        }
    }
    (front, back)
}

/// What is left of a body that is being sent.
struct Sending {
    pieces: VecDeque<Piece>,
    ready: Bytes,
    random: StdRng,
    dripping: bool,
    gate: Gate,
    began: Moment,
    /// The call is under way until its last byte is out.
    _call: InFlight,
}

/// A body made of `pieces`; `dripping` sends it a byte at a time.
pub(super) fn send(pieces: Vec<Piece>, dripping: bool, gate: Gate, call: InFlight) -> Body {
    let sending = Sending {
        pieces: pieces.into(),
        ready: Bytes::new(),
        random: StdRng::seed_from_u64(call.number as u64),
        dripping,
        began: gate.now(),
        gate,
        _call: call,
    };
    Body::from_stream(stream::unfold(sending, |mut sending| async move {
        let chunk = sending.next().await?;
        Some((chunk, sending))
    }))
}

impl Sending {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while self.ready.is_empty() {
            match self.pieces.pop_front()? {
                Piece::Text(text) => self.ready = text,
                Piece::Base64(mut bytes) => {
                    let part = bytes.split_to(bytes.len().min(ENCODED));
                    self.ready = STANDARD.encode(part).into();
                    if !bytes.is_empty() {
                        self.pieces.push_front(Piece::Base64(bytes));
                    }
                }
                Piece::Wait(time) => tokio::time::sleep(time).await,
                Piece::Gate => self.gate.pass().await,
                Piece::Stall => self.gate.opened_after(self.began).await,
                // The server flushes when the body has nothing to give for a moment.
                Piece::Flush => tokio::task::yield_now().await,
                Piece::Break => return Some(Err(io::ErrorKind::ConnectionReset.into())),
                Piece::Forever => {
                    self.ready = Bytes::from_static(&[b'A'; ENCODED]);
                    self.pieces.push_front(Piece::Forever);
                }
            }
        }
        let most = if self.dripping { 1 } else { self.ready.len() };
        let chunk = self.random.random_range(1..=most);
        Some(Ok(self.ready.split_to(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_body_are_the_body() {
        let pieces = || {
            vec![Piece::text("{\"a\":\""), Piece::Base64(Bytes::from(vec![7; 100])), Piece::Gate, Piece::text("\"}")]
        };
        let (front, back) = halve(pieces());
        assert_eq!(length(&front) + length(&back), length(&pieces()));
        assert!(length(&front).abs_diff(length(&back)) < 8);
    }
}
