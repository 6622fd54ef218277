//! Tries the claims of `carousel::fuzzing` on bytes that a fuzzer makes up: `fuzz/run 60` tries each for a minute.
//!
//! The claims stand in the main crate, beside what they speak of, and hold for the files in `seeds` in every `cargo test`. What is added
//! here is the fuzzer, and a bound on memory: whatever the bytes say, no claim may take more than [`MOST`] at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use libfuzzer_sys;

/// Most bytes that a claim may have at once beyond what was there before: the claim reads everything three times and once more the simple way, and a picture of
/// 256 x 256 pixels has its decoder's tables.
pub const MOST: usize = 32 << 20;

/// The system's allocator, counting.
pub struct Counted {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[global_allocator]
static MEMORY: Counted = Counted { now: AtomicUsize::new(0), most: AtomicUsize::new(0) };

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.most.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = self.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.most.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Tries one claim of `carousel::fuzzing` on `data`.
pub fn holds(name: &str, data: &[u8]) {
    let claim = carousel::fuzzing::CLAIMS.iter().find(|(known, _)| *known == name).expect("a target has its claim").1;
    let before = MEMORY.now.load(Ordering::Relaxed);
    MEMORY.most.store(before, Ordering::Relaxed);
    claim(data);
    let most = MEMORY.most.load(Ordering::Relaxed) - before;
    assert!(most <= MOST, "{most} bytes of memory for {} bytes", data.len());
}

/// The target of one claim.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        use $crate::libfuzzer_sys;

        // A decoder's panic is caught and counts as a damaged picture; only one that leaves the claim is a finding.
        libfuzzer_sys::fuzz_target!(
            init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
            |data: &[u8]| $crate::holds(stringify!($name), data)
        );
    };
}
