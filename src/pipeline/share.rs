//! Permits that persons share: whoever holds the fewest is next, and of those who hold as many, whoever was served longest ago.
//!
//! One person alone may hold them all: nothing is kept free for somebody who does not ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// A number of permits, and those who wait for one.
#[derive(Clone)]
pub(super) struct Share(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Permits given out so far.
    served: u64,
    /// Only of persons who hold a permit or wait for one.
    persons: HashMap<Uuid, Person>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Default)]
struct Person {
    held: usize,
    /// Number of the permit that this person got last.
    last: u64,
}

struct Waiting {
    person: Uuid,
    permit: oneshot::Sender<Permit>,
}

/// One permit; it goes to the next when it is dropped.
pub(super) struct Permit {
    share: Share,
    person: Uuid,
}

impl Share {
    pub(super) fn new(permits: usize) -> Self {
        let (persons, waiting) = (HashMap::new(), Vec::new());
        Self(Arc::new(Mutex::new(State { free: permits, served: 0, persons, waiting })))
    }

    /// Waits for a permit. Whoever waits no longer gets none.
    pub(super) async fn acquire(&self, person: Uuid) -> Permit {
        let (permit, received) = oneshot::channel();
        self.lock().waiting.push(Waiting { person, permit });
        self.give();
        match received.await {
            Ok(permit) => permit,
            // The sender is dropped only with what it waits in, which `self` keeps.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free permits to those who wait.
    fn give(&self) {
        // A permit that nobody receives is dropped, which locks: so it is not while the state is locked.
        while let Some((permit, taker)) = self.next() {
            drop(taker.send(permit));
        }
    }

    fn next(&self) -> Option<(Permit, oneshot::Sender<Permit>)> {
        let mut state = self.lock();
        let state = &mut *state;
        state.waiting.retain(|waiting| !waiting.permit.is_closed());
        if state.free == 0 {
            return None;
        }
        let rank = |waiting: &Waiting| state.persons.get(&waiting.person).map_or((0, 0), |one| (one.held, one.last));
        let (place, _) = state.waiting.iter().enumerate().min_by_key(|(_, waiting)| rank(waiting))?;
        let Waiting { person, permit } = state.waiting.remove(place);
        state.free -= 1;
        state.served += 1;
        let one = state.persons.entry(person).or_default();
        *one = Person { held: one.held + 1, last: state.served };
        Some((Permit { share: self.clone(), person }, permit))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.share.lock();
            state.free += 1;
            let waits = state.waiting.iter().any(|waiting| waiting.person == self.person);
            if let Some(person) = state.persons.get_mut(&self.person) {
                person.held -= 1;
                if person.held == 0 && !waits {
                    state.persons.remove(&self.person);
                }
            }
        }
        self.share.give();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures::FutureExt;

    use super::*;

    /// A permit that is waited for.
    fn ask(share: &Share, person: Uuid) -> Pin<Box<dyn Future<Output = Permit> + '_>> {
        let mut asked = Box::pin(share.acquire(person));
        assert!(asked.as_mut().now_or_never().is_none(), "there is none free");
        asked
    }

    #[test]
    fn who_holds_the_fewest_is_next() {
        let (share, [busy, other]) = (Share::new(4), [Uuid::new_v4(), Uuid::new_v4()]);
        let mut held: Vec<_> = (0..4).map(|_| share.acquire(busy).now_or_never().expect("one alone has all")).collect();
        let mut more: Vec<_> = (0..4).map(|_| ask(&share, busy)).collect();
        let mut others: Vec<_> = (0..3).map(|_| ask(&share, other)).collect();
        for _ in 0..2 {
            drop(held.remove(0));
            held.push(others.remove(0).as_mut().now_or_never().expect("the other has fewer"));
            assert!(more.iter_mut().all(|asked| asked.as_mut().now_or_never().is_none()));
        }
        assert_eq!(share.lock().persons[&other].held, 2, "half of them");
    }

    #[test]
    fn with_one_permit_they_take_turns() {
        let (share, [busy, other]) = (Share::new(1), [Uuid::new_v4(), Uuid::new_v4()]);
        let first = share.acquire(busy).now_or_never().expect("it is free");
        let (mut second, mut third, mut late) = (ask(&share, busy), ask(&share, busy), ask(&share, other));
        drop(first);
        assert!(second.as_mut().now_or_never().is_none());
        let permit = late.as_mut().now_or_never().expect("who was not served yet is next");
        drop(permit);
        let permit = second.as_mut().now_or_never().expect("in the order in which they came");
        assert!(third.as_mut().now_or_never().is_none());
        drop(permit);
        drop(third.as_mut().now_or_never().expect("the last"));
        assert!(share.lock().persons.is_empty(), "nobody is remembered who is gone");
    }

    #[test]
    fn who_waits_no_longer_gets_none() {
        let (share, [one, two]) = (Share::new(1), [Uuid::new_v4(), Uuid::new_v4()]);
        let permit = share.acquire(one).now_or_never().expect("it is free");
        let (gone, mut waits) = (ask(&share, one), pin!(share.acquire(two)));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(gone);
        drop(permit);
        drop(waits.as_mut().now_or_never().expect("the one who is there"));
        // Given, and not taken.
        let permit = share.acquire(one).now_or_never().expect("it is free");
        let given = ask(&share, two);
        drop(permit);
        drop(given);
        assert!(share.acquire(one).now_or_never().is_some(), "it came back");
    }
}
