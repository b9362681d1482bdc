//! What a crowd of clients saw, and what that comes to.

use serde::Deserialize;
use std::time::Duration;

/// A lock that was had and given back.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Cycle {
    /// From the asking to the lock.
    pub acquire_ns: u64,
    /// From then on until it was given back.
    pub release_ns: u64,
}

/// What one client saw.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Client {
    /// In their order.
    pub cycles: Vec<Cycle>,
    /// How long it took to hear that there is no lock.
    pub failed_ns: Vec<u64>,
    /// How many cycles ended within the window.
    pub in_time: u64,
}

/// What all of them saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    clients: Vec<Client>,
    window: Duration,
}

impl Seen {
    /// Of clients that were watched for so long.
    pub fn new(clients: Vec<Client>, window: Duration) -> Self {
        Self { clients, window }
    }

    /// With what was seen another time.
    pub fn and(mut self, other: Self) -> Self {
        self.clients.extend(other.clients);
        self.window += other.window;
        self
    }

    /// Cycles in a second, of all clients together.
    pub fn cycles_per_second(&self) -> f64 {
        let in_time: u64 = self.clients.iter().map(|client| client.in_time).sum();
        in_time as f64 / self.window.as_secs_f64()
    }

    /// How long locks were asked for, whether they were had or not, shortest first.
    pub fn acquires_ns(&self) -> Vec<u64> {
        let failed = self.clients.iter().flat_map(|client| &client.failed_ns);
        let had = self.cycles().map(|cycle| cycle.acquire_ns);
        sorted(had.chain(failed.copied()))
    }

    /// How long it took to give them back.
    pub fn releases_ns(&self) -> Vec<u64> {
        sorted(self.cycles().map(|cycle| cycle.release_ns))
    }

    /// Both together.
    pub fn cycles_ns(&self) -> Vec<u64> {
        sorted(
            self.cycles()
                .map(|cycle| cycle.acquire_ns + cycle.release_ns),
        )
    }

    /// How often a lock was had.
    pub fn had(&self) -> usize {
        self.cycles().count()
    }

    /// How often one was asked for.
    pub fn asked(&self) -> usize {
        let failed = self.clients.iter().map(|client| client.failed_ns.len());
        self.had() + failed.sum::<usize>()
    }

    /// The fewest and the most turns that a client had.
    pub fn turns(&self) -> (usize, usize) {
        let turns = || self.clients.iter().map(|client| client.cycles.len());
        (turns().min().unwrap_or(0), turns().max().unwrap_or(0))
    }

    fn cycles(&self) -> impl Iterator<Item = &Cycle> {
        self.clients.iter().flat_map(|client| &client.cycles)
    }
}

fn sorted(times: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times
}

/// What so many of a hundred do not exceed, in milliseconds; of sorted times.
pub fn quantile_ms(sorted: &[u64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0.0, |&time| time as f64 / 1e6)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<u64> = (1..=200).map(|time| time * 1_000_000).collect();
        assert_eq!(quantile_ms(&times, 50), 100.0);
        assert_eq!(quantile_ms(&times, 99), 198.0);
        assert_eq!(quantile_ms(&times[..1], 99), 1.0);
        assert_eq!(quantile_ms(&[], 50), 0.0);
    }

    #[test]
    fn what_was_not_had_counts_as_asked_for() {
        let client = Client {
            cycles: vec![Cycle {
                acquire_ns: 3,
                release_ns: 4,
            }],
            failed_ns: vec![1],
            in_time: 1,
        };
        let seen = Seen::new(vec![client.clone()], Duration::from_secs(1));
        let both = seen.and(Seen::new(vec![client], Duration::from_secs(1)));
        assert_eq!((both.had(), both.asked()), (2, 4));
        assert_eq!(both.acquires_ns(), [1, 1, 3, 3]);
        assert_eq!(both.cycles_ns(), [7, 7]);
        assert_eq!(both.cycles_per_second(), 1.0);
    }
}
