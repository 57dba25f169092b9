//! Fetches text evidence from outside the engine for incidents that were just raised, beside the loop.
//!
//! A storm raises thousands at once, and what reads may block: a few read at a time, so that the blocking
//! pool keeps room for a reload and for checks, and only so many wait. An incident that finds no place says
//! so in its evidence. Incidents matter more than their exhibits: nobody waits for one.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::engine::effect::Command;
use crate::engine::moment::Stamp;
use crate::engine::record::Exhibit;

/// Exhibits of so many incidents are read at a time.
const READING: usize = 4;
/// So many more wait for their turn.
const WAITING: usize = 60;

/// Who reads and who waits.
pub struct Fetching {
    places: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    tx: mpsc::Sender<Command>,
}

impl Fetching {
    /// Nobody yet; what is found goes to `tx`, as far as that has room.
    pub fn new(tx: mpsc::Sender<Command>) -> Self {
        let (places, readers) = (Semaphore::new(READING + WAITING), Semaphore::new(READING));
        Self { places: Arc::new(places), readers: Arc::new(readers), tx }
    }

    /// Adds what `read` finds to `known`, and both to the incident. Must be called inside a runtime.
    pub fn fetch(
        &self,
        at: Stamp,
        incident: String,
        known: Vec<Exhibit>,
        read: impl FnOnce() -> Vec<Exhibit> + Send + 'static,
    ) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let text = format!("not read: {} other incidents waited to be looked at", READING + WAITING);
            let missed = Exhibit { title: "evidence".to_owned(), at, text };
            return give(&self.tx, incident, known.into_iter().chain([missed]).collect());
        };
        let (readers, tx) = (Arc::clone(&self.readers), self.tx.clone());
        tokio::spawn(async move {
            let Ok(turn) = readers.acquire_owned().await else { return };
            let read = tokio::task::spawn_blocking(move || {
                let mut exhibits = known;
                exhibits.extend(read());
                give(&tx, incident, exhibits);
                drop((turn, place));
            });
            drop(read.await);
        });
    }
}

fn give(tx: &mpsc::Sender<Command>, incident: String, exhibits: Vec<Exhibit>) {
    if !exhibits.is_empty() {
        // A full channel means a storm.
        let _ = tx.try_send(Command::Evidence { incident, exhibits });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_storm_reads_a_few_at_a_time_and_who_finds_no_place_says_so() {
        let (tx, mut rx) = mpsc::channel(1000);
        let fetching = Fetching::new(tx);
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (entered, mut entries) = mpsc::unbounded_channel();
        let at = Stamp(0);
        let found = Exhibit { title: "found".to_owned(), at, text: String::new() };
        let total = READING + WAITING + 36;
        for n in 0..total {
            let (gate, now, most) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
            let (entered, found) = (entered.clone(), found.clone());
            fetching.fetch(at, n.to_string(), Vec::new(), move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                entered.send(()).unwrap();
                let _ = gate.lock().unwrap().recv();
                now.fetch_sub(1, Ordering::SeqCst);
                vec![found]
            });
        }
        let mut told = Vec::new();
        for _ in 0..36 {
            told.push(rx.recv().await.unwrap());
        }
        for _ in 0..READING {
            entries.recv().await.unwrap();
        }
        (0..total).for_each(|_| go.send(()).unwrap());
        for _ in 36..total {
            told.push(rx.recv().await.unwrap());
        }
        let titles = told.iter().map(|command| match command {
            Command::Evidence { exhibits, .. } => exhibits[0].title.as_str(),
            other => panic!("{other:?}"),
        });
        let titles: Vec<_> = titles.collect();
        assert!(titles[..36].iter().all(|title| *title == "evidence"), "{titles:?}");
        assert!(titles[36..].iter().all(|title| *title == "found"), "{titles:?}");
        assert_eq!(most.load(Ordering::SeqCst), READING);
    }
}
