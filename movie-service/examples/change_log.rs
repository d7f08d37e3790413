//! Measures the memory of the change log for `cargo xtask bench watch`.
//!
//! `change_log KEPT CHANGES` creates CHANGES movies, one each change, in a catalogue that keeps KEPT changes, and prints its
//! resident memory in bytes. The same movies without a log are the comparison. A store would add its own memory for each
//! change, such as SQLite's cached pages.

use std::error::Error;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use movie_service::catalogue::{Catalogue, Change, MovieView, Snapshot};

/// The allocator of the service.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of changes that are applied together, as the service does with this many writers.
const BATCH_CHANGES: u64 = 256;

/// Time after which the allocator returns freed memory.
const PURGE_DELAY: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<Vec<u64>, _>>()?;
    let [kept, changes] = numbers[..] else { return Err("expected two numbers".into()) };
    let catalogue = Catalogue::with_kept_changes(usize::try_from(kept)?, Snapshot::default());
    for batch in 0..changes / BATCH_CHANGES {
        create(&catalogue, batch)?;
    }
    // The allocator does so when memory is used again.
    sleep(PURGE_DELAY);
    create(&catalogue, changes)?;
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    println!("{}", resident.trim().trim_end_matches(" kB").parse::<u64>()? * 1024);
    Ok(())
}

/// Creates a batch of movies. Their ids are as long as those that the service generates.
fn create(catalogue: &Catalogue, batch: u64) -> Result<(), Box<dyn Error>> {
    let numbers = batch * BATCH_CHANGES..(batch + 1) * BATCH_CHANGES;
    let ids: Vec<String> = numbers.map(|number| format!("{number:036}")).collect();
    let movie = |id| MovieView { id, title: "A created movie", ..MovieView::default() };
    catalogue.apply(ids.iter().map(|id| Change::Insert(movie(id))))?;
    Ok(())
}
