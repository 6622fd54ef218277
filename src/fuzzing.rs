//! What must hold for any bytes that come from outside: each claim takes a file's bytes and panics when it does not hold.
//!
//! `cargo test` tries the claims on the files in `fuzz/seeds`, and `fuzz/run` on what a fuzzer makes of those. Not part of any other build.

use crate::supabase::storage;
use crate::{image, provider};

/// Takes a file's bytes and panics when something does not hold.
pub type Claim = fn(&[u8]);

/// Every claim, by the name of its target and of its folder of seeds.
pub const CLAIMS: [(&str, Claim); 9] = [
    ("address", provider::fuzzing::address),
    ("base64", provider::fuzzing::base64),
    ("document", provider::fuzzing::document),
    ("events", provider::fuzzing::events),
    ("path", storage::fuzzing::path),
    ("picture", image::fuzzing::picture),
    ("refusal", provider::fuzzing::refusal),
    ("storage", storage::fuzzing::refusal),
    ("wait", provider::fuzzing::wait),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::CLAIMS;

    #[test]
    fn every_claim_has_its_target_and_holds_for_its_seeds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, claim) in CLAIMS {
            assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} has no target");
            let seeds = std::fs::read_dir(fuzz.join("seeds").join(name)).expect("a claim has seeds");
            let mut tried = 0;
            for seed in seeds {
                let path = seed.expect("it can be listed").path();
                // Shown when the claim does not hold.
                eprintln!("{}", path.display());
                claim(&std::fs::read(&path).expect("it can be read"));
                tried += 1;
            }
            assert!(tried > 0, "{name} has no seeds");
        }
    }
}
