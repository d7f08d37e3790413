//! Load for `cargo xtask soak`: ordinary calls, reloads and hostile peers, all at the same time.
//!
//! `soak ADDRESS DATABASE SECONDS` loads the service at ADDRESS for that time. The service serves DATABASE, a generated file,
//! which this program replaces repeatedly. Every minute, and at the end, it prints a line of counts. It fails if a response
//! was wrong, or if an ordinary call or a reload failed.

mod calls;
#[expect(
    clippy::unnecessary_wraps,
    reason = "rounds have one type, also those whose responses nobody checks"
)]
mod peers;
mod reloads;
mod tally;
mod versions;

/// The HTTP/2 peer of the tests, which can violate the protocol, and its messages.
#[path = "../../tests/integration/support/messages.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "tests use the rest")]
mod messages;
#[path = "../../tests/integration/support/peer/mod.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "its panics are caught; tests use the rest")]
mod peer;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::tally::Tally;
use self::versions::Versions;

/// Time between two lines of counts.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, database, seconds] = args.as_slice() else {
        return Err("expected ADDRESS DATABASE SECONDS".into());
    };
    let tally = soak(address.parse()?, Path::new(database), Duration::from_secs(seconds.parse()?)).await?;
    if tally.is_clean() { Ok(()) } else { Err("not all went well".into()) }
}

async fn soak(address: SocketAddr, database: &Path, time: Duration) -> Result<Arc<Tally>, Box<dyn Error>> {
    let versions = Arc::new(Versions::of(database)?);
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let end = began + time;

    let peers = peers::start(address, end, &tally);
    let mut tasks = JoinSet::new();
    calls::start(address, end, &versions, &tally, &mut tasks);
    tasks.spawn(reloads::run(address, end, versions.clone(), tally.clone()));

    let mut next = began + REPORT_INTERVAL;
    while next < end {
        tokio::time::sleep_until(next.into()).await;
        println!("{tally}");
        next += REPORT_INTERVAL;
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    tokio::task::spawn_blocking(|| peers::join(peers)).await?;
    println!("{tally}");
    Ok(tally)
}
