//! Hostile files and answers, through whole jobs, by the program as it is deployed: nothing is believed, followed or unfolded, and memory stays bounded.
//!
//! What is decided of files that are a picture and something else: a *source* is known by its beginning and sent as it is, whatever hangs on it; a phone's
//! photo may have a film behind it, and the provider judges. A *result* ends where its format ends; an archive behind it, or a second frame, is refused. What stands
//! in the format's own places for metadata passes in both, byte for byte: it is served as a picture, and provenance stands there.

mod answers;
mod files;
mod objects;
mod process;
mod redirects;
mod sources;
mod wire;

use carousel_support::deployment;
