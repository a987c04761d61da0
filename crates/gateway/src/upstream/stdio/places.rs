//! How many processes there may be, and how soon after a crash the next one starts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// A process that ran so long did not fail at its start.
const STABLE: Duration = Duration::from_secs(30);
/// Crashes are forgotten after so long without one.
const FORGOTTEN: Duration = Duration::from_mins(5);
/// Longest time between two starts.
const LONGEST: u64 = 60;

/// Processes of one server, counted in all and by person. A crash delays the next start of that person only: who
/// makes a server crash does not take it from the others.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_by_subject: usize,
    taken: watch::Sender<usize>,
    people: Mutex<HashMap<String, Person>>,
}

#[derive(Debug, Default)]
struct Person {
    processes: usize,
    crashes: u32,
    crashed: Option<Instant>,
}

/// Room for one process, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    subject: String,
    since: Instant,
}

impl Places {
    /// For so many in all, and so many of one person.
    pub(super) fn new(most: usize, most_by_subject: usize) -> Arc<Self> {
        let (taken, people) = (watch::Sender::new(0), Mutex::default());
        Arc::new(Self { most, most_by_subject, taken, people })
    }

    /// Room for one more, if there is.
    pub(super) fn take(self: &Arc<Self>, subject: &str, now: Instant) -> Option<Place> {
        let mut people = self.lock();
        people.retain(|_, person| person.processes > 0 || person.is_remembered(now));
        let mine = people.get(subject).map_or(0, |person| person.processes);
        if *self.taken.borrow() >= self.most || mine >= self.most_by_subject {
            return None;
        }
        people.entry(subject.to_owned()).or_default().processes += 1;
        self.taken.send_modify(|taken| *taken += 1);
        Some(Place { places: Arc::clone(self), subject: subject.to_owned(), since: now })
    }

    /// When no process is left.
    pub(super) async fn empty(&self) {
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// How long to wait before the process is started: nothing after the first crash, then 1 s, 2 s, 4 s and so on.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        self.places.lock().get(&self.subject).map_or(Duration::ZERO, |person| person.delay(now))
    }

    /// The process ended by its own fault.
    pub(super) fn crashed(&self, now: Instant) {
        let mut people = self.places.lock();
        let person = people.entry(self.subject.clone()).or_default();
        person.crashes =
            if now.duration_since(self.since) >= STABLE { 1 } else { person.crashes.saturating_add(1) };
        person.crashed = Some(now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(person) = self.places.lock().get_mut(&self.subject) {
            person.processes = person.processes.saturating_sub(1);
        }
        self.places.taken.send_modify(|taken| *taken = taken.saturating_sub(1));
    }
}

impl Person {
    fn is_remembered(&self, now: Instant) -> bool {
        self.crashed.is_some_and(|at| now.duration_since(at) < FORGOTTEN)
    }

    fn delay(&self, now: Instant) -> Duration {
        let Some(crashed) = self.crashed.filter(|_| self.crashes > 1 && self.is_remembered(now)) else {
            return Duration::ZERO;
        };
        let seconds = 2_u64.saturating_pow(self.crashes - 2).min(LONGEST);
        Duration::from_secs(seconds).saturating_sub(now.duration_since(crashed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_person() {
        let (places, now) = (Places::new(3, 2), Instant::now());
        let take = |subject| places.take(subject, now);
        let (first, _second) = (take("ann").unwrap(), take("ann").unwrap());
        assert!(take("ann").is_none());
        let _third = take("bob").unwrap();
        assert!(take("eve").is_none());
        drop(first);
        assert!(take("ann").is_some());
    }

    #[test]
    fn crashes_delay_the_person_whose_process_crashed() {
        let (places, start) = (Places::new(9, 9), Instant::now());
        let seconds = |subject: &str, now| places.take(subject, now).unwrap().delay(now).as_secs();
        for expected in [0, 0, 1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(seconds("ann", start), expected);
            places.take("ann", start).unwrap().crashed(start);
        }
        assert_eq!((seconds("ann", start), seconds("bob", start)), (60, 0));
        let later = start + Duration::from_secs(50);
        assert_eq!(seconds("ann", later), 10);
        let place = places.take("ann", later).unwrap();
        let end = later + STABLE;
        place.crashed(end);
        assert_eq!(seconds("ann", end), 0, "it ran for long enough");
    }
}
