//! PostgreSQL: a database is replaced by a copy of the same name, as after a restore.

use super::*;
use crate::stores::postgres;
use crate::stores::postgres::cluster::shared;

/// Starts a node, and replaces its database by a copy with `added` other changes.
async fn replace(added: usize) -> Option<(Node, Other)> {
    let store = postgres()?;
    let cluster = shared().unwrap();
    let mut node = Node::start(&store).await;
    let copy = TestStore::at(cluster.copy(&store.url));
    node.write_lost().await;
    let other = write_other(&copy, added).await;
    cluster.exchange(&store.url, &copy.url);
    Some((node, other))
}

#[tokio::test]
async fn a_copy_with_the_same_number_of_changes_is_detected() {
    let Some((node, other)) = replace(LOST).await else { return };
    node.assert_serves(&other).await;
}

#[tokio::test]
async fn a_copy_with_more_changes_is_detected() {
    let Some((node, other)) = replace(LOST + 1).await else { return };
    node.assert_serves(&other).await;
}

#[tokio::test]
async fn a_copy_with_fewer_changes_is_detected() {
    let Some((node, other)) = replace(LOST - 2).await else { return };
    node.assert_serves(&other).await;
}

#[tokio::test]
async fn a_write_before_the_follower_looks_goes_to_the_copy() {
    let Some((node, other)) = replace(LOST).await else { return };
    let client = node.client.clone();
    // No call before these, so that they find the store as the node knows it.
    let [lost, exists, made] = [movie("lost-0", "back"), movie("new-0", "mine"), movie("made", "made")];
    let (lost, exists, made) = tokio::join!(
        once_available(async || update(&mut client.clone(), lost.clone()).await),
        once_available(async || create(&mut client.clone(), exists.clone()).await),
        once_available(async || create(&mut client.clone(), made.clone()).await),
    );
    assert_eq!(reason(&lost.unwrap_err()), "MOVIE_NOT_FOUND");
    assert_eq!(reason(&exists.unwrap_err()), "MOVIE_EXISTS");
    let mut movies = other.movies;
    movies.push(made.unwrap());
    let mut node = node;
    assert_eq!(list(&mut node.client).await, movies);
    let end = timeout(TIMEOUT, node.watch.message()).await.unwrap().unwrap_err();
    assert_eq!(reason(&end), "HISTORY_CHANGED", "{end}");
}
