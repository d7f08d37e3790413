//! The container image: built and run.

mod image;
mod podman;
mod sbom;
mod tls;

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

pub use self::image::{Options, run};

use self::image::BuildContext;
use self::podman::Podman;
use super::Outcome;
use super::venv;
use crate::bench::process;
use crate::build::{self, Build};
use crate::program;

/// Most bytes of the layers of the image, compressed, as a registry keeps them.
const MAX_IMAGE_BYTES: u64 = 20_000_000;

/// Number of starts whose median is reported.
const STARTS: usize = 7;

/// Bar of the median time from the start of a container to its first healthy response.
const READY_BAR: Duration = Duration::from_millis(200);

/// Time in which a container has to be ready, also on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A user that the image does not know, as `OpenShift` assigns them, in the group that it assigns.
const ARBITRARY_USER: &str = "1000810000:0";

/// Name of the image in the test.
const IMAGE: &str = "localhost/movie-service:test";

/// Lets the calls of the test write.
const WRITES: &str = "--env=MOVIE_ALLOW_ANONYMOUS_WRITES=true";

/// The image, containers of it, and where these listen.
struct Test {
    podman: Podman,
    client: PathBuf,
    address: String,
    environment: Vec<String>,
}

/// Tests this part.
///
/// # Errors
///
/// If something fails.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let programs = ["buildah", "podman", "runc", "openssl"].map(|program| (program, program));
    if let Err(missing) = build::programs(programs) {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    if program::run(Command::new("id").arg("-u"), CALL_TIMEOUT)?.trim() != "0" {
        return Ok(Outcome::Skipped("containers of a test need root".to_owned()));
    }
    if let Some(reason) = venv::missing() {
        return Ok(Outcome::Skipped(reason));
    }
    Podman::remove_left(&build.kept_folder("container"));
    let folder = build.new_folder("container")?;
    let context = BuildContext::assemble(build, &build.new_folder("image")?)?;
    sbom::check(build, &context.folder.join("sbom"))?;

    let podman = Podman::new(&folder)?;
    // The image has the name of the container that buildah made it in, and so a digest of its own; its layers have not.
    let mut layers = Vec::new();
    for _ in 0..2 {
        context.build(&mut podman.buildah(), IMAGE)?;
        layers.push(podman.inspect(IMAGE)?["RootFS"].take());
    }
    ensure!(layers[0] == layers[1], "the same files made other layers: {layers:?}");
    check_image(&podman)?;

    let [address, metrics] = process::free_addresses()?.map(|address| address.to_string());
    let variables = [("LISTEN", &address), ("METRICS", &metrics), ("ADDRESS", &address)];
    let environment = variables.map(|(name, value)| format!("--env=MOVIE_{name}={value}")).into();
    let test = Test { podman, client: build.client(), address, environment };
    test.serves_the_movies()?;
    test.starts_quickly()?;
    test.keeps_movies_on_a_volume()?;
    test.runs_under_an_arbitrary_user()?;
    test.refuses_to_keep_movies_without_a_volume()?;
    tls::test(build, &test)?;
    Ok(Outcome::Passed)
}

/// Checks the size of the image, and what it says of itself.
fn check_image(podman: &Podman) -> Result<()> {
    let layers = podman.compressed_layers(IMAGE)?;
    let image = podman.inspect(IMAGE)?;
    let unpacked = image["Size"].as_u64().context("an image without a size")?;
    println!("image: {layers} bytes of compressed layers, {unpacked} bytes unpacked");
    ensure!(layers <= MAX_IMAGE_BYTES, "the image has {layers} bytes, at most {MAX_IMAGE_BYTES} are wanted");

    let config = &image["Config"];
    let mut ports: Vec<_> = config["ExposedPorts"].as_object().context("no ports")?.keys().collect();
    ports.sort();
    let labels = &config["Labels"];
    let label = |name: &str| &labels[format!("org.opencontainers.image.{name}")];
    let said = json!([config["User"], config["Entrypoint"], ports, label("licenses"), label("version")]);
    let expected = json!([
        "65532:65532",
        ["/usr/bin/movie-service"],
        ["3001/tcp", "9000/tcp"],
        "MIT OR Apache-2.0",
        env!("CARGO_PKG_VERSION"),
    ]);
    ensure!(said == expected, "the image says {said}\nexpected {expected}");
    ensure!(label("revision").as_str().is_some_and(|revision| !revision.is_empty()), "no revision");
    Ok(())
}

impl Test {
    /// Calls from outside and inside, the health check, what the process may do, and the end.
    fn serves_the_movies(&self) -> Result<()> {
        let name = "movies";
        self.start(name, &[])?;
        let listed = self.call(&[])?;
        ensure!(listed.matches("Movie called").count() == 7, "expected seven movies\n{listed}");
        self.podman.run(&["healthcheck", "run", name])?;
        let health = self.podman.run(&["exec", name, "/usr/bin/movie-client", "health"])?;
        ensure!(health.contains("serving"), "the client in the image says {health}");

        let process = self.podman.inspect(name)?["State"]["Pid"].as_u64().context("no process")?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let expected = ["Uid:\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"];
        for line in expected {
            ensure!(status.contains(line), "the process has not {line:?}\n{status}");
        }
        let asked = Instant::now();
        self.stop(name)?;
        println!("stop: {} ms from `podman stop` to the end", asked.elapsed().as_millis());
        Ok(())
    }

    /// Reports how long a start takes: with podman's work, and the service's own part.
    fn starts_quickly(&self) -> Result<()> {
        let (mut all, mut own) = (Vec::new(), Vec::new());
        for start in 0..STARTS {
            let name = format!("start{start}");
            all.push(self.start(&name, &[])?);
            let started = self.podman.inspect(&name)?["State"]["StartedAt"].clone();
            let log = self.podman.log(&name)?;
            let serving = log.lines().find(|line| line.contains("serving 7 movies")).context("no log")?;
            let serving: Value = serde_json::from_str(serving)?;
            own.push(seconds(&serving["timestamp"])? - seconds(&started)?);
            self.stop(&name)?;
        }
        all.sort();
        own.sort_by(f64::total_cmp);
        let (all, own) = (all[STARTS / 2], own[STARTS / 2] * 1000.0);
        let bar = if all <= READY_BAR { "within" } else { "OVER" };
        println!(
            "start: {} ms from `podman start` to the first healthy response, {bar} {} ms; the service serves {own:.0} ms after \
             podman has started it; medians of {STARTS}",
            all.as_millis(),
            READY_BAR.as_millis(),
        );
        Ok(())
    }

    /// A second container serves what the first one wrote.
    fn keeps_movies_on_a_volume(&self) -> Result<()> {
        self.podman.run(&["volume", "create", "movies"])?;
        let args = ["--volume=movies:/data", "--env=MOVIE_DATABASE=sqlite:/data/movies.db", WRITES];
        self.start("first", &args)?;
        self.call(&["create", "--id", "kept", "--title", "Kept"])?;
        self.stop("first")?;
        self.start("second", &args)?;
        let movie = self.call(&["get", "kept"])?;
        ensure!(movie.contains(r#""title":"Kept""#), "the second container has {movie}");
        self.stop("second")
    }

    /// The image works under a user that it does not know, also with a new volume.
    fn runs_under_an_arbitrary_user(&self) -> Result<()> {
        self.podman.run(&["volume", "create", "arbitrary"])?;
        let args = [
            "--user",
            ARBITRARY_USER,
            "--volume=arbitrary:/data",
            "--env=MOVIE_DATABASE=sqlite:/data/movies.db",
            WRITES,
        ];
        self.start("arbitrary", &args)?;
        self.call(&["create", "--title", "Arbitrary"])?;
        self.podman.run(&["healthcheck", "run", "arbitrary"])?;
        self.stop("arbitrary")
    }

    /// A store that would be lost with its container is refused, because the root file system is read-only.
    fn refuses_to_keep_movies_without_a_volume(&self) -> Result<()> {
        let name = "lost";
        let args = ["--env=MOVIE_DATABASE=sqlite:/data/movies.db"];
        self.create(name, &args)?;
        self.podman.run(&["start", name])?;
        let code = self.podman.run(&["wait", name])?;
        let log = self.podman.log(name)?;
        ensure!(code.trim() == "1" && log.contains("/data/movies.db"), "exit code {code}\n{log}");
        Ok(())
    }

    /// Creates a container.
    fn create(&self, name: &str, args: &[&str]) -> Result<()> {
        let environment = self.environment.iter().map(String::as_str);
        let args: Vec<_> = environment.chain(args.iter().copied()).collect();
        self.podman.create(name, &args, IMAGE)
    }

    /// Creates and starts a container, waits until it is healthy, and returns how long that took from its start.
    fn start(&self, name: &str, args: &[&str]) -> Result<Duration> {
        self.create(name, args)?;
        let started = Instant::now();
        self.podman.run(&["start", name])?;
        while self.call(&["health", "--tries", "1"]).is_err() {
            if started.elapsed() > READY_TIMEOUT {
                bail!("{name} is not healthy after {READY_TIMEOUT:?}\n{}", self.podman.log(name)?);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(started.elapsed())
    }

    /// Stops a container, which has to end by itself and without an error.
    fn stop(&self, name: &str) -> Result<()> {
        let (code, log) = self.podman.stop(name)?;
        ensure!(code == 0 && log.contains(r#""stopped""#), "{name} ended with the code {code}\n{log}");
        ensure!(!log.contains("panicked"), "{name} panicked\n{log}");
        Ok(())
    }

    /// Calls the service from outside of its container.
    fn call(&self, args: &[&str]) -> Result<String> {
        let mut client = Command::new(&self.client);
        program::run(client.args(args).env("MOVIE_ADDRESS", &self.address), CALL_TIMEOUT)
    }
}

/// Returns the seconds since midnight of a time as in RFC 3339, in UTC.
fn seconds(time: &Value) -> Result<f64> {
    let text = time.as_str().with_context(|| format!("{time} is no time"))?;
    let (_, clock) =
        text.trim_end_matches('Z').split_once('T').with_context(|| format!("{text} is not in UTC"))?;
    let numbers: Result<Vec<f64>, _> = clock.split(':').map(str::parse).collect();
    let numbers = numbers.with_context(|| format!("{text} is not in UTC"))?;
    Ok(numbers.into_iter().fold(0.0, |sum, number| sum * 60.0 + number))
}
