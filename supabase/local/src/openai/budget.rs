//! Images per minute: a bucket that fills evenly and refuses when it is empty.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket.
pub(super) struct Budget {
    per_minute: u32,
    /// What is left, and when that was true.
    level: Mutex<(f64, Instant)>,
}

impl Budget {
    /// A full bucket of `per_minute` images.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, level: Mutex::new((f64::from(per_minute), Instant::now())) }
    }

    /// Images per minute.
    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Takes `images` at `now` and says how many are left, or takes none and says how long to wait.
    pub(super) fn take(&self, images: u32, now: Instant) -> Result<u32, Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = f64::from(self.per_minute) / 60.0;
        let refilled = now.saturating_duration_since(level.1).as_secs_f64().mul_add(rate, level.0);
        *level = (refilled.min(f64::from(self.per_minute)), now.max(level.1));
        let missing = f64::from(images) - level.0;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64((missing / rate.max(f64::MIN_POSITIVE)).min(3600.0)));
        }
        level.0 -= f64::from(images);
        Ok(level.0 as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_refuses_until_it_has_filled() {
        let (budget, start) = (Budget::new(6), Instant::now());
        assert_eq!(budget.take(4, start), Ok(2));
        assert_eq!(budget.take(3, start), Err(Duration::from_secs(10)));
        assert_eq!(budget.take(3, start + Duration::from_secs(10)), Ok(0));
        assert_eq!(budget.take(6, start + Duration::from_secs(1000)), Ok(0));
    }
}
