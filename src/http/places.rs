//! Places for what takes long: so many in all, so many for one person, so that nobody keeps the others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use uuid::Uuid;

use super::problem::Problem;

/// A number of places.
#[derive(Clone)]
pub(super) struct Places {
    all: usize,
    each: usize,
    /// How many each person has.
    taken: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// A place that is taken. Dropping it frees it.
pub(super) struct Place {
    places: Places,
    person: Uuid,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// Takes a place for a person, whom the project has accepted.
    pub(super) fn take(&self, person: Uuid) -> Result<Place, Problem> {
        let mut taken = self.lock();
        if taken.get(&person).is_some_and(|own| *own >= self.each) {
            let detail = format!("you have {} requests of this kind under way already", self.each);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail));
        }
        if taken.values().sum::<usize>() >= self.all {
            return Err(Problem::busy());
        }
        *taken.entry(person).or_default() += 1;
        Ok(Place { places: self.clone(), person })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_s_places_end_before_everybody_s() {
        let places = Places::new(3, 2);
        let (anna, bert) = (Uuid::new_v4(), Uuid::new_v4());
        let code = |refused: Result<Place, Problem>| refused.err().map(|problem| problem.status);
        let hers = [places.take(anna), places.take(anna)].map(|place| place.ok().unwrap());
        assert_eq!(code(places.take(anna)), Some(429));
        let his = places.take(bert).ok().unwrap();
        assert_eq!(code(places.take(bert)), Some(503));
        drop(hers);
        let again = places.take(anna);
        assert!(again.is_ok());
        drop((his, again));
        assert!(places.lock().is_empty(), "nothing is kept of who has gone");
    }
}
