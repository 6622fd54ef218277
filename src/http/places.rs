//! Places for what takes long or much: so many in all, so many for one person, so that nobody keeps the others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::problem::Problem;

/// Whoever has places already gets no more of those that are free than one part in so many. One alone comes to `each`; some together, however many
/// they are, leave places to others.
const SHARE: usize = 8;

/// A number of places.
#[derive(Clone)]
pub(super) struct Places {
    all: usize,
    each: usize,
    /// How many each person has.
    taken: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// Places that are taken. Dropping it frees them.
pub(super) struct Place {
    places: Places,
    person: Uuid,
    count: usize,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// Takes a place for a person, whom the project has accepted.
    pub(super) fn take(&self, person: Uuid) -> Result<Place, Problem> {
        self.room(person, 1)?;
        Ok(self.hold(person, 1))
    }

    /// Makes sure that there are so many places for a person. Who has none yet may take all that are free.
    pub(super) fn room(&self, person: Uuid, count: usize) -> Result<(), Problem> {
        let taken = self.lock();
        let free = self.all.saturating_sub(taken.values().sum());
        match taken.get(&person) {
            Some(own) if own + count > self.each.min((free + own) / SHARE) => Err(Problem::too_many_requests()),
            _ if count > free => Err(Problem::busy()),
            _ => Ok(()),
        }
    }

    /// Takes this many places, whether they are free or not: what they are for is there already.
    pub(super) fn hold(&self, person: Uuid, count: usize) -> Place {
        *self.lock().entry(person).or_default() += count;
        Place { places: self.clone(), person, count }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.person) {
            *own -= self.count;
            if *own == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(refused: Result<Place, Problem>) -> Option<u16> {
        refused.err().map(|problem| problem.status)
    }

    /// As many as a person gets.
    fn all_of(places: &Places, person: Uuid) -> Vec<Place> {
        std::iter::from_fn(|| places.take(person).ok()).collect()
    }

    #[test]
    fn one_person_s_places_end_before_everybody_s() {
        let places = Places::new(64, 8);
        let anna = Uuid::new_v4();
        let hers = all_of(&places, anna);
        assert_eq!((hers.len(), code(places.take(anna))), (8, Some(429)));
        let few = Places::new(2, 2);
        let (one, two) = (few.take(anna).ok().unwrap(), few.take(Uuid::new_v4()).ok().unwrap());
        assert_eq!(code(few.take(Uuid::new_v4())), Some(503));
        drop(one);
        assert!(few.take(Uuid::new_v4()).is_ok());
        drop((hers, two));
        assert!(places.lock().is_empty() && few.lock().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn some_persons_together_do_not_keep_the_others_out() {
        let places = Places::new(64, 8);
        let mut taken = Vec::new();
        for _ in 0..8 {
            taken.push(all_of(&places, Uuid::new_v4()));
        }
        let left: Vec<_> = (0..8).map(|_| all_of(&places, Uuid::new_v4())).collect();
        assert!(left.iter().all(|own| !own.is_empty()), "eight more get their places");
        // And who came first gets no more for it.
        assert!(taken.iter().all(|own| own.len() <= 8), "{:?}", taken.iter().map(Vec::len).collect::<Vec<_>>());
        drop((taken, left));
        assert_eq!(all_of(&places, Uuid::new_v4()).len(), 8);
    }
}
