//! Reports liveness while all workers respond.

use std::fmt;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::server::connection::worker::Probe;

/// A sign of life for a supervisor, such as systemd's watchdog.
pub struct Heartbeat {
    /// Time between two beats.
    pub interval: Duration,
    /// Gives the sign.
    pub beat: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl Heartbeat {
    /// Beats at each interval once all workers have responded, on the runtime that accepts connections. A worker that
    /// hangs delays the beat until it goes on; a worker that has panicked ends the beats.
    pub(crate) async fn run(self, workers: Vec<Probe>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for worker in &workers {
                if !worker.responds().await {
                    return;
                }
            }
            (self.beat)();
        }
    }
}
