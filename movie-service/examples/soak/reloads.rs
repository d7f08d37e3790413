//! Replaces the database repeatedly, and waits each time until the service serves the new version.

use std::sync::Arc;
use std::time::{Duration, Instant};

use movie_proto::MovieId;

use crate::calls::connect;
use crate::route::Route;
use crate::tally::{Problem, Tally};
use crate::versions::Versions;

/// Time between two reloads.
const PAUSE: Duration = Duration::from_secs(3);

/// Time in which the service must serve a new version: generous, because the machine is busy.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Replaces the database until `end`, and then restores it.
pub(crate) async fn run(route: Route, end: Instant, versions: Arc<Versions>, tally: Arc<Tally>) {
    while Instant::now() < end {
        for version in [1, 0] {
            tokio::time::sleep(PAUSE).await;
            tally.call(route.label("reload"), reload(&route, &versions, version).await);
        }
    }
}

async fn reload(route: &Route, versions: &Versions, version: usize) -> Result<(), Problem> {
    versions.write(version).map_err(|error| Problem::Failed(error.to_string()))?;
    let mut stub = connect(route).await?;
    let wanted = versions.movie(version, versions.len() - 1);
    let end = Instant::now() + TIMEOUT;
    while Instant::now() < end {
        let id = MovieId { id: wanted.id.clone() };
        if stub.get_movie_by_id(id).await?.get_ref() == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Problem::Failed(format!("the new version was not served within {TIMEOUT:?}")))
}
