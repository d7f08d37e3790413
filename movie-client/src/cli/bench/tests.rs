//! Measurements of servers with known delays. A slow machine only increases latencies, so the tests have lower
//! bounds.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use movie_proto::movie_server::{Movie, MovieServer};
use movie_proto::{Empty, MovieData, MovieId};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::args::Call;
use super::*;
use crate::cli::failure;
use crate::cli::output::Format;
use crate::{Error, Resolver, RetryPolicy};

const JSON_OUTPUT: OutputOptions = OutputOptions { format: Format::Json, width: None, colours: false };

/// A server of the course's contract with configurable faults.
#[derive(Default)]
struct Server {
    delay: Duration,
    /// Number of the call at which the server stalls, and the duration of the stall.
    stall: Option<(u64, Duration)>,
    stalled_until: Mutex<Option<Instant>>,
    /// Every call whose number is a multiple of this is rejected.
    refuses_every: Option<u64>,
    /// Every response whose number is a multiple of this has another movie.
    mistakes_every: Option<u64>,
    calls: Arc<AtomicU64>,
    connected: Arc<AtomicU64>,
}

impl Server {
    async fn start(self) -> Config {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let connected = Arc::clone(&self.connected);
        let connections = TcpListenerStream::new(listener).inspect(move |_| {
            connected.fetch_add(1, Ordering::Relaxed);
        });
        let server = tonic::transport::Server::builder().add_service(MovieServer::new(self));
        tokio::spawn(server.serve_with_incoming(connections));
        Config::new([address.to_string().parse().unwrap()])
    }
}

#[tonic::async_trait]
impl Movie for Server {
    async fn get_movie_by_id(&self, request: Request<MovieId>) -> Result<Response<MovieData>, Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(self.delay).await;
        let until = {
            let mut until = self.stalled_until.lock().unwrap();
            if let Some((_, time)) = self.stall.filter(|(at, _)| *at == call) {
                *until = Some(Instant::now() + time);
            }
            *until
        };
        if let Some(until) = until {
            sleep_until(until).await;
        }
        if self.refuses_every.is_some_and(|every| call.is_multiple_of(every)) {
            return Err(Status::resource_exhausted("busy"));
        }
        let mut id = request.into_inner().id;
        if self.mistakes_every.is_some_and(|every| call.is_multiple_of(every)) {
            id.push('x');
        }
        Ok(Response::new(MovieData { id, title: "A".into(), ..MovieData::default() }))
    }

    type GetListMoviesStream = tokio_stream::Iter<std::vec::IntoIter<Result<MovieData, Status>>>;

    async fn get_list_movies(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::GetListMoviesStream>, Status> {
        let movie = |id: u32| Ok(MovieData { id: id.to_string(), title: "A".into(), ..MovieData::default() });
        Ok(Response::new(tokio_stream::iter((0..5).map(movie).collect::<Vec<_>>())))
    }
}

fn args(calls: u64) -> Bench {
    Bench {
        call: Call::CourseGet,
        rate: None,
        connections: 1,
        concurrency: 1,
        duration: None,
        calls: Some(calls),
        warm_up: Duration::ZERO,
    }
}

async fn connect_load(config: &Config, args: &Bench) -> Load {
    let workload = Workload::prepare(&Client::connect(config).unwrap(), args.call).await.unwrap();
    Load::connect(config, args, workload).await.unwrap()
}

/// Measures a server. Returns the JSON report and the result.
async fn run_benchmark(server: Server, args: &Bench) -> (Value, anyhow::Result<()>) {
    let config = server.start().await;
    let mut out = Vec::new();
    // Only guards against hanging.
    let ended = timeout(Duration::from_mins(1), bench(&config, args, &JSON_OUTPUT, &mut out)).await;
    (serde_json::from_slice(&out).unwrap_or_default(), ended.expect("the measurement did not end").map(drop))
}

#[tokio::test]
async fn a_closed_loop_measures_the_delay_and_the_rate_that_it_allows() {
    let delay = Duration::from_millis(20);
    let args = Bench { warm_up: Duration::from_millis(50), ..args(20) };
    let (report, ended) = run_benchmark(Server { delay, ..Server::default() }, &args).await;
    ended.unwrap();
    assert_eq!(
        (&report["calls"], &report["answered"], &report["wrong"]),
        (&json!(20), &json!(20), &json!(0))
    );
    // The histogram has three significant digits.
    assert!(report["latency_min_us"].as_u64().unwrap() >= 19_900, "{report}");
    assert!(report["latency_p50_us"].as_u64().unwrap() >= 20_000, "{report}");
    assert!(report["rate_per_s"].as_f64().unwrap() <= 50.0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_share_the_concurrent_calls() {
    let args = Bench { connections: 3, concurrency: 5, ..args(1000) };
    let (report, ended) = run_benchmark(Server::default(), &args).await;
    ended.unwrap();
    assert_eq!((&report["answered"], &report["connections"]), (&json!(1000), &json!(3)), "{report}");
}

#[tokio::test]
async fn an_open_loop_measures_every_call_that_a_stall_delays() {
    let stall = Some((50, Duration::from_millis(500)));
    let args = Bench { rate: Some(100), ..args(150) };
    let (report, ended) = run_benchmark(Server { stall, ..Server::default() }, &args).await;
    ended.unwrap();
    assert_eq!(report["answered"], 150);
    assert!(report["latency_max_us"].as_u64().unwrap() >= 450_000, "{report}");
    // About 25 calls, a sixth of all, are due in the first half of the stall. Each waits for at least its second half.
    assert!(report["latency_p90_us"].as_u64().unwrap() >= 250_000, "{report}");
    assert!(report["rate_per_s"].as_f64().unwrap() <= 100.0, "{report}");
}

#[tokio::test]
async fn calls_over_the_limit_in_flight_count_their_waiting_time() {
    let stall = Some((50, Duration::from_millis(500)));
    let config = Server { stall, ..Server::default() }.start().await;
    let args = Bench { rate: Some(100), ..args(150) };
    let mut load = connect_load(&config, &args).await;
    load.max_in_flight = 1;
    let report = measure(Arc::new(load), &args, pending()).await.unwrap();
    assert_eq!(report.statistics.answered, 150);
    let latency = report.statistics.latency;
    assert!(latency.value_at_quantile(0.9) >= 250_000, "{}", latency.value_at_quantile(0.9));
}

#[tokio::test]
async fn a_duration_ends_the_measurement() {
    let args = Bench { calls: None, duration: Some(Duration::from_millis(200)), ..args(1) };
    let delay = Duration::from_millis(1);
    let (report, ended) = run_benchmark(Server { delay, ..Server::default() }, &args).await;
    ended.unwrap();
    assert!((1..=200).contains(&report["calls"].as_u64().unwrap()), "{report}");
    assert_eq!(report["duration_s"], 0.2, "{report}");
}

#[tokio::test]
async fn responses_after_the_end_are_awaited_and_do_not_count_for_the_rate() {
    for rate in [None, Some(10)] {
        let args = Bench { rate, calls: None, duration: Some(Duration::from_millis(300)), ..args(1) };
        let delay = Duration::from_millis(600);
        let (report, ended) = run_benchmark(Server { delay, ..Server::default() }, &args).await;
        ended.unwrap();
        assert_eq!((&report["duration_s"], &report["rate_per_s"]), (&json!(0.3), &json!(0.0)), "{report}");
        assert!(report["answered"].as_u64().unwrap() >= 1, "{report}");
        assert!(report["drain_s"].as_f64().unwrap() >= 0.29, "{report}");
    }
}

#[tokio::test]
async fn an_open_loop_ends_in_time_and_counts_unsent_calls_as_slow() {
    for warm_up in [0, 200].map(Duration::from_millis) {
        let delay = Duration::from_millis(20);
        let config = Server { delay, ..Server::default() }.start().await;
        let duration = Duration::from_millis(300);
        let args = Bench { rate: Some(1_000_000), calls: None, duration: Some(duration), warm_up, ..args(1) };
        let mut load = connect_load(&config, &args).await;
        load.max_in_flight = 10;
        let measurement = measure(Arc::new(load), &args, pending());
        let report = timeout(Duration::from_mins(1), measurement).await.expect("it did not end").unwrap();
        assert_eq!(report.time, duration);
        let statistics = &report.statistics;
        // About 150 calls can be sent on a fast machine; all 300,000 count.
        assert!((1..=200).contains(&statistics.answered), "{}", statistics.answered);
        assert_eq!(statistics.answered + statistics.not_sent, 300_000);
        assert_eq!(statistics.latency.len(), 300_000);
        let median = statistics.latency.value_at_quantile(0.5);
        assert!(median >= 149_000, "{median}");
        assert!(report.shortfall().is_some());
    }
}

#[tokio::test]
async fn a_sustainable_rate_leaves_no_call_unsent() {
    let duration = Some(Duration::from_millis(500));
    let args = Bench { rate: Some(20), calls: None, duration, ..args(1) };
    let (report, ended) = run_benchmark(Server::default(), &args).await;
    ended.unwrap();
    // On a busy machine, some calls are not sent.
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("answered") + count("not_sent"), 10, "{report}");
}

#[tokio::test]
async fn connections_are_distributed_over_the_reachable_addresses() {
    let connected = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let mut sockets = Vec::new();
    for connected in &connected {
        let server = Server { connected: Arc::clone(connected), ..Server::default() };
        sockets.push(server.start().await.addresses[0].to_string().parse::<SocketAddr>().unwrap());
    }
    // Bound without a listener, so that no other process gets the port.
    let closed_socket = tokio::net::TcpSocket::new_v4().unwrap();
    closed_socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    sockets.insert(1, closed_socket.local_addr().unwrap());
    let resolver = Resolver::new(move |_, _| ready(Ok(sockets.clone())));
    let config = Config { resolver, ..Config::new(["movies.example:1".parse().unwrap()]) };
    let args = Bench { connections: 5, concurrency: 3, ..args(100) };
    let prepared = Client::connect(&Server::default().start().await).unwrap();
    let workload = Workload::prepare(&prepared, args.call).await.unwrap();
    let load = Load::connect(&config, &args, workload).await.unwrap();
    let counts = || [0, 1].map(|server: usize| connected[server].load(Ordering::Relaxed));
    assert_eq!((counts(), load.addresses), ([3, 2], 2), "all connections are open before the load");
    let report = measure(Arc::new(load), &args, pending()).await.unwrap();
    assert_eq!((report.statistics.answered, counts()), (100, [3, 2]));
}

#[tokio::test]
async fn wrong_responses_are_counted_and_are_a_failure() {
    let (report, ended) =
        run_benchmark(Server { mistakes_every: Some(10), ..Server::default() }, &args(100)).await;
    assert_eq!((&report["answered"], &report["wrong"]), (&json!(100), &json!(10)));
    assert!(ended.unwrap_err().to_string().starts_with("10 of 100 responses were wrong"));
}

#[tokio::test]
async fn failed_calls_are_counted_by_kind_and_not_as_answered() {
    let (report, ended) =
        run_benchmark(Server { refuses_every: Some(10), ..Server::default() }, &args(100)).await;
    let error = ended.unwrap_err();
    assert!(error.to_string().starts_with("10 of 100 calls failed"), "{error:#}");
    assert_eq!(failure::exit(&error), Exit::Unavailable);
    assert_eq!((&report["answered"], &report["failed"]), (&json!(90), &json!(10)));
    assert_eq!(report["errors"], json!({ "busy": 10 }));
}

#[tokio::test]
async fn a_benchmark_whose_calls_all_failed_ends_with_their_error() {
    let (report, ended) =
        run_benchmark(Server { refuses_every: Some(1), ..Server::default() }, &args(10)).await;
    let error = ended.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::ResourceExhausted { .. })), "{error:#}");
    assert_eq!(error.to_string(), "10 of 10 calls failed");
    assert_eq!(report["failed"], 10);
}

#[tokio::test]
async fn calls_with_an_expired_deadline_count_as_slow() {
    let mut config = Server { delay: Duration::from_hours(1), ..Server::default() }.start().await;
    config.deadline = Duration::from_millis(100);
    let mut out = Vec::new();
    bench(&config, &args(3), &JSON_OUTPUT, &mut out).await.unwrap_err();
    let report: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["errors"], json!({ "deadline_exceeded": 3 }));
    assert!(report["latency_min_us"].as_u64().unwrap() >= 99_000, "{report}");
}

#[tokio::test]
async fn a_list_is_counted_by_its_movies() {
    let args = Bench { call: Call::CourseList, ..args(4) };
    let (report, ended) = run_benchmark(Server::default(), &args).await;
    ended.unwrap();
    assert_eq!((&report["answered"], &report["wrong"]), (&json!(4), &json!(0)));
    assert!(report["movies_per_s"].as_f64() > report["rate_per_s"].as_f64(), "{report}");
}

#[tokio::test]
async fn an_interruption_reports_the_measurement_so_far() {
    for rate in [None, Some(1000)] {
        let config = Server::default().start().await;
        let args = Bench { rate, calls: None, duration: Some(Duration::from_hours(1)), ..args(1) };
        let load = Arc::new(connect_load(&config, &args).await);
        let watched = Arc::clone(&load);
        let interrupted = async move {
            while watched.statistics().answered < 10 {
                tokio::task::yield_now().await;
            }
        };
        let ended = timeout(Duration::from_mins(1), measure(load, &args, interrupted)).await;
        let report = ended.expect("the interruption did not end it").unwrap();
        assert!(report.was_interrupted && report.statistics.answered >= 10);
    }
}

#[tokio::test]
async fn interrupted_calls_count_with_their_age() {
    for rate in [None, Some(1000)] {
        // The first call connects.
        let stall = Some((2, Duration::from_hours(1)));
        let config = Server { stall, ..Server::default() }.start().await;
        let config = Config { deadline: Duration::from_hours(1), ..config };
        let args = Bench { rate, concurrency: 2, ..args(2) };
        let load = Arc::new(connect_load(&config, &args).await);
        let watched = Arc::clone(&load);
        let interrupted = async move {
            while watched.sent() < 2 {
                tokio::task::yield_now().await;
            }
            sleep(Duration::from_millis(50)).await;
        };
        let ended = timeout(Duration::from_mins(1), measure(load, &args, interrupted)).await;
        let report = ended.expect("the interruption did not end it").unwrap();
        let statistics = &report.statistics;
        assert!(report.was_interrupted);
        assert_eq!((statistics.unfinished, statistics.latency.len()), (2, 2));
        assert!(statistics.latency.min() >= 49_000, "{}", statistics.latency.min());
    }
}

#[tokio::test]
async fn an_interruption_before_the_measurement_prints_no_report() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let preparing = Config::new([silent.local_addr().unwrap().to_string().parse().unwrap()]);
    assert_interrupted_early(preparing, async { drop(silent.accept().await) }).await;

    let calls = Arc::<AtomicU64>::default();
    let warming_up = Server { calls: Arc::clone(&calls), ..Server::default() }.start().await;
    // The preparation makes two calls.
    let warm_up_calls = async {
        while calls.load(Ordering::Relaxed) < 10 {
            tokio::task::yield_now().await;
        }
    };
    assert_interrupted_early(warming_up, warm_up_calls).await;
}

/// Asserts that a benchmark prints no report if it is interrupted at this time of its preparation or warm-up.
async fn assert_interrupted_early(config: Config, interrupted: impl Future<Output = ()>) {
    let args = Bench { warm_up: Duration::from_hours(1), ..args(1) };
    let mut out = Vec::new();
    let ended = bench_until(interrupted, &config, &args, &JSON_OUTPUT, &mut out);
    let ended = timeout(Duration::from_mins(1), ended).await.expect("it did not end");
    assert_eq!((ended.unwrap(), out), (Exit::Interrupted, Vec::new()));
}

#[tokio::test]
async fn an_unreachable_address_fails_at_once() {
    // Bound without a listener, so that no other process gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let mut config = Config::new([socket.local_addr().unwrap().to_string().parse().unwrap()]);
    config.retry = RetryPolicy::disabled();
    let mut out = Vec::new();
    let error = bench(&config, &args(10), &JSON_OUTPUT, &mut out).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::Unreachable { .. })), "{error:#}");
    assert_eq!(out, b"");
}
