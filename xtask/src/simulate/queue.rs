//! Formulas of queues, in closed form. Times are in seconds.

/// A queue for `servers` equal servers, with Poisson arrivals and first come, first served (M/G/k).
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) servers: f64,
    /// Arrivals a second.
    pub(super) arrivals: f64,
    /// Mean time of service.
    pub(super) service: f64,
    /// Squared coefficient of variation of the time of service: 0 if all are equal, 1 if they are exponential.
    pub(super) variation: f64,
}

impl Queue {
    /// Returns the share of the time in which a server is busy; 1 or more if the queue grows without end.
    pub(super) fn utilisation(self) -> f64 {
        self.arrivals * self.service / self.servers
    }

    /// Returns the probability that an arrival has to wait (Erlang C), of which the probability of loss (Erlang B) is computed first.
    pub(super) fn probability_of_wait(self) -> f64 {
        let (load, utilisation) = (self.arrivals * self.service, self.utilisation());
        if utilisation >= 1.0 {
            return 1.0;
        }
        let (mut loss, mut servers) = (1.0, 1.0);
        while servers <= self.servers {
            loss = load * loss / (servers + load * loss);
            servers += 1.0;
        }
        loss / (1.0 - utilisation * (1.0 - loss))
    }

    /// Returns the mean time of waiting, by the formula of Allen and Cunneen (A. O. Allen, "Probability, Statistics, and Queueing
    /// Theory", 2nd edition, 1990, §5.3). For one server it is that of Pollaczek and Khinchine, which is exact.
    pub(super) fn mean_wait(self) -> f64 {
        let utilisation = self.utilisation();
        if utilisation >= 1.0 {
            return f64::INFINITY;
        }
        let exponential = self.probability_of_wait() * self.service / (self.servers * (1.0 - utilisation));
        exponential * f64::midpoint(1.0, self.variation)
    }

    /// Returns the time that this share of the arrivals wait at most.
    ///
    /// The waiting time of those that wait counts as exponential. That is exact for M/M/k. For other services it is the limit under
    /// heavy traffic (J. F. C. Kingman, "The single server queue in heavy traffic", 1961).
    pub(super) fn wait_percentile(self, share: f64) -> f64 {
        let (probability, mean) = (self.probability_of_wait(), self.mean_wait());
        if probability <= 1.0 - share { 0.0 } else { mean / probability * (probability / (1.0 - share)).ln() }
    }
}

/// Returns the transactions for each write, if the writes that arrive during a transaction share the next one.
///
/// `load` is the number of writes that arrive during a transaction. A busy period begins with a transaction of one write; another
/// follows if at least one write arrived meanwhile, with the probability 1 − e^−load. So it has e^load transactions on average, and
/// 1 + load · e^load writes.
pub(super) fn transactions_a_write(load: f64) -> f64 {
    1.0 / ((-load).exp() + load)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(servers: f64, utilisation: f64, variation: f64) -> Queue {
        Queue { servers, arrivals: utilisation * servers, service: 1.0, variation }
    }

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-3, "{value} instead of {expected}");
    }

    #[test]
    fn one_server_waits_as_pollaczek_and_khinchine_say() {
        for utilisation in [0.1, 0.5, 0.9] {
            let exponential = utilisation / (1.0 - utilisation);
            close(queue(1.0, utilisation, 1.0).mean_wait(), exponential);
            close(queue(1.0, utilisation, 0.0).mean_wait(), exponential / 2.0);
            close(queue(1.0, utilisation, 1.0).probability_of_wait(), utilisation);
        }
    }

    #[test]
    fn several_servers_wait_as_in_the_tables_of_erlang() {
        // Two servers: C = 2ρ² / (1 + ρ). Ten servers with a load of 8 erlangs: 0.409.
        close(queue(2.0, 0.75, 1.0).probability_of_wait(), 2.0 * 0.75 * 0.75 / 1.75);
        close(queue(10.0, 0.8, 1.0).probability_of_wait(), 0.4092);
    }

    #[test]
    fn the_percentiles_of_one_exponential_server_are_exact() {
        // P(wait > t) = ρ · e^(−(1 − ρ) · t).
        let at = queue(1.0, 0.8, 1.0).wait_percentile(0.99);
        close(0.8 * (-0.2 * at).exp(), 0.01);
        assert!(queue(1.0, 0.005, 1.0).wait_percentile(0.99).abs() < f64::EPSILON);
    }

    #[test]
    fn an_overloaded_queue_grows_without_end() {
        assert!(queue(2.0, 1.0, 0.0).mean_wait().is_infinite());
    }

    #[test]
    fn writes_share_transactions_only_if_they_arrive_meanwhile() {
        close(transactions_a_write(1e-6), 1.0);
        close(transactions_a_write(50.0), 1.0 / 50.0);
    }
}
