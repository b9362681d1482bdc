//! A client of our own, where redis-benchmark cannot do it: several commands in a
//! row, keys that are each used once, or a latency to the nanosecond. It packs all
//! commands before the clock runs, and looks at each reply.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use stand::client::Client;
use stand::commands::Template;
use stand::Failure;
use std::time::Instant;

/// How it loads a server.
pub struct Load<'a> {
    /// Where the server listens.
    pub port: u16,
    /// How many connections, all served by one thread.
    pub connections: u64,
    /// How many commands are on their way at once on each of them.
    pub pipeline: u64,
    /// How often the commands are sent, each time with the next number, from 0 on.
    pub times: u64,
    /// What is sent each time.
    pub commands: &'a [Template],
}

/// What is sent at once on one connection.
struct Batch {
    packed: Vec<u8>,
    times: u64,
}

impl Load<'_> {
    /// How often a second the commands were done.
    pub fn run(&self) -> Result<f64, Failure> {
        let batches = self.batches();
        let connect = |_| Client::connect(self.port);
        let clients: Result<Vec<Client>, Failure> = (0..self.connections).map(connect).collect();
        let mut clients = clients?;
        let begun = Instant::now();
        // Each connection has one batch on its way; the server always has the
        // batches of the others.
        let mut turns = batches.chunks(clients.len());
        let mut sent: &[Batch] = turns.next().unwrap_or_default();
        for (client, batch) in clients.iter_mut().zip(sent) {
            client.send(&batch.packed)?;
        }
        for next in turns.map(Some).chain([None]) {
            for (at, batch) in sent.iter().enumerate() {
                clients[at].receive(self.commands, batch.times)?;
                if let Some(batch) = next.and_then(|next| next.get(at)) {
                    clients[at].send(&batch.packed)?;
                }
            }
            sent = next.unwrap_or_default();
        }
        Ok(self.times as f64 / begun.elapsed().as_secs_f64())
    }

    /// The middle of the nanoseconds that the commands took, one at a time on one
    /// connection.
    pub fn latency(&self) -> Result<f64, Failure> {
        let batches = self.batches();
        let mut client = Client::connect(self.port)?;
        let mut taken = Vec::with_capacity(batches.len());
        for batch in &batches {
            let begun = Instant::now();
            client.send(&batch.packed)?;
            client.receive(self.commands, batch.times)?;
            taken.push(begun.elapsed().as_nanos() as f64);
        }
        crate::report::median(&taken).ok_or_else(|| "nothing was sent".into())
    }

    fn batches(&self) -> Vec<Batch> {
        let each = (self.pipeline / self.commands.len().max(1) as u64).max(1);
        let starts = (0..self.times).step_by(each as usize);
        let batch = |start| {
            let end = self.times.min(start + each);
            let mut packed = Vec::new();
            for number in start..end {
                for command in self.commands {
                    command.pack(number, &mut packed);
                }
            }
            Batch {
                packed,
                times: end - start,
            }
        };
        starts.map(batch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stand::commands::Expected;

    #[test]
    fn every_number_is_sent_once_and_a_pipeline_holds_whole_cycles() {
        let commands = [
            Template::new("A __rand_int__", Expected::NoError),
            Template::new("B __rand_int__", Expected::NoError),
        ];
        let load = Load {
            port: 0,
            connections: 2,
            pipeline: 4,
            times: 5,
            commands: &commands,
        };
        let batches = load.batches();
        let times: Vec<u64> = batches.iter().map(|batch| batch.times).collect();
        assert_eq!(times, [2, 2, 1]);
        let all = batches.iter().flat_map(|batch| batch.packed.clone());
        let all = String::from_utf8(all.collect()).expect("text");
        for number in 0..5 {
            let packed = format!("$1\r\nA\r\n$12\r\n{number:012}\r\n");
            assert_eq!(all.matches(&packed).count(), 1);
        }
    }
}
