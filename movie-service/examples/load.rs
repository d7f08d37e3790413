//! Load for `cargo xtask bench` where h2load cannot make it: a different id in every call, every answer checked.
//!
//! `load ADDRESS DATABASE CALLS CONNECTIONS STREAMS` makes that many calls of `GetMovieByID`, with ids of the
//! database in a seeded random order, and prints the median latency in nanoseconds.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use movie_proto::MovieId;
use movie_proto::movie_client::MovieClient;
use movie_service::database;
use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, path, calls, connections, streams] = args.as_slice() else {
        return Err("expected ADDRESS DATABASE CALLS CONNECTIONS STREAMS".into());
    };
    let (calls, connections, streams) =
        (calls.parse::<u64>()?, connections.parse::<u64>()?, streams.parse::<u64>()?);
    let ids: Arc<Vec<String>> =
        Arc::new(database::load(path.as_ref())?.movies().map(|movie| movie.id.to_owned()).collect());

    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        for stream in 0..streams {
            let (mut stub, ids) = (MovieClient::new(channel.clone()), ids.clone());
            let mut random = connection * streams + stream;
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                for _ in 0..calls / connections / streams {
                    random = next(random);
                    let id = &ids[usize::try_from(random).unwrap_or_default() % ids.len()];
                    let start = Instant::now();
                    let movie = stub.get_movie_by_id(MovieId { id: id.clone() }).await?.into_inner();
                    latencies.push(start.elapsed().as_nanos());
                    assert_eq!(&movie.id, id, "the answer is another movie");
                }
                Ok::<_, tonic::Status>(latencies)
            });
        }
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    latencies.sort_unstable();
    println!("{}", latencies[latencies.len() / 2]);
    Ok(())
}

/// `SplitMix64` (Steele, Lea and Flood, 2014).
fn next(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
