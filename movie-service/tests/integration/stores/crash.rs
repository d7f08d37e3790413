//! The service is killed while clients write.

use std::collections::HashMap;

use movie_proto::catalog::v1::Movie;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{TestStore, followed, list, revision};
use crate::support::catalog::{create, delete, movie, stub, update};
use crate::support::process::rounds;

super::on_each_store!(acknowledged_writes_survive_a_kill_and_no_write_is_partial);

/// Concurrent writers, each with its own movies.
const WRITERS: usize = 8;

/// A movie as it was acknowledged last, and as it is if the unacknowledged write was committed.
type Known = (Option<Movie>, Option<Option<Movie>>);

async fn acknowledged_writes_survive_a_kill_and_no_write_is_partial(store: &TestStore) {
    let mut known: HashMap<String, Known> = HashMap::new();
    for round in 0..rounds() {
        let mut service = store.start();
        let mut writers = JoinSet::new();
        let (acknowledge, mut acknowledgements) = mpsc::unbounded_channel();
        for writer in 0..WRITERS {
            let client = stub(&service).await;
            writers.spawn(write(client, format!("{round} {writer}"), acknowledge.clone()));
        }
        drop(acknowledge);
        // Each round ends after a different number of acknowledged writes; other writes are in flight then.
        for _ in 0..=round * 37 % 150 {
            acknowledgements.recv().await.expect("all writers have failed");
        }
        service.signal("KILL");
        service.wait().await;
        while let Some(written) = writers.join_next().await {
            known.extend(written.unwrap());
        }

        let service = store.start();
        let mut client = stub(&service).await;
        let movies: HashMap<_, _> =
            list(&mut client).await.into_iter().map(|movie| (movie.id.clone(), movie)).collect();
        for (id, (last, maybe)) in &mut known {
            let found = movies.get(id).map(content);
            let done = maybe.take().is_some_and(|maybe| found == maybe.as_ref().map(content));
            assert!(done || found == last.as_ref().map(content), "{id}: {found:?}, not {last:?}");
            *last = movies.get(id).cloned();
        }
        assert!(movies.keys().all(|id| known.contains_key(id)), "a movie that no client wrote");
        let at = revision(&mut client).await;
        assert_eq!(followed(&mut client, at).await, movies);
    }
}

/// Returns the fields that the writer sets.
fn content(movie: &Movie) -> (String, i32) {
    (movie.title.clone(), movie.year)
}

/// Writes until a call fails; returns what is known of the movies.
async fn write(
    mut client: super::Stub,
    name: String,
    acknowledge: mpsc::UnboundedSender<()>,
) -> HashMap<String, Known> {
    let mut known: HashMap<String, Known> = HashMap::new();
    for number in 0_usize.. {
        // Each movie is created and updated, and every other one is deleted.
        let id = format!("{name} {}", number / 3);
        let next = match number % 3 {
            0 => Some(movie(&id, "made")),
            1 => Some(movie(&id, &format!("changed {number}"))),
            _ if number % 2 == 0 => None,
            _ => continue,
        };
        let written = match (number % 3, &next) {
            (0, Some(movie)) => create(&mut client, movie.clone()).await.map(drop),
            (_, Some(movie)) => update(&mut client, movie.clone()).await.map(drop),
            (_, None) => delete(&mut client, &id).await,
        };
        let entry = known.entry(id).or_default();
        if written.is_err() {
            entry.1 = Some(next);
            return known;
        }
        entry.0 = next;
        let _ = acknowledge.send(());
    }
    unreachable!("numbers do not end")
}
