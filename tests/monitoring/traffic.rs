//! Locks taken, waited for, extended, lost, broken and guarded: a round of each, so that
//! everything that is counted rises.

use super::support::{eventually, Client, Server, Waiter};

pub struct Traffic<'a> {
    server: &'a Server,
    client: Client,
    round: u64,
    /// Stands in line for good.
    _waiter: Waiter,
}

impl<'a> Traffic<'a> {
    pub fn new(server: &'a Server) -> Self {
        let mut client = server.client();
        // One waits for good, another one for its turn; a third is refused.
        client.say("CONFIG SET redislock.max-waiters 2");
        client.acquired("held", "somebody", 3_600_000);
        let line = "LOCK.ACQUIRE held other 1000 BLOCK 0";
        let waiter = Waiter::joins(server, &mut client, line);
        Self {
            server,
            client,
            round: 0,
            _waiter: waiter,
        }
    }

    /// One round.
    pub fn goes_on(&mut self) {
        self.round += 1;
        let (me, you) = (format!("me-{}", self.round), format!("you-{}", self.round));
        let client = &mut self.client;
        let token = client.acquired("k", &me, 60_000);
        assert_eq!(client.acquire("k", &you, 60_000), None);
        let wait = format!("LOCK.ACQUIRE k {you} 60000 BLOCK");
        assert_eq!(client.number_or_nil(&format!("{wait} 1")), None);
        assert_eq!(client.number(&format!("LOCK.EXTEND k {me} 90000")), 1);
        let mut waiter = Waiter::joins(self.server, client, &format!("{wait} 0"));
        client.error_of("LOCK.ACQUIRE k third 1000 BLOCK 0");
        assert_eq!(client.release("k", &me), 1);
        assert!(waiter.answer().starts_with(':'));
        client.error_of(&format!("LOCK.GUARD k {token} SET x 1"));
        client.say("DEL k");
        client.acquired("k", &me, 1);
        waiter.say("LOCK.ACQUIRE s session 60000 SESSION");
        assert!(waiter.answer().starts_with(':'));
        drop(waiter);
        eventually("a lease and a session end", || {
            (client.number("EXISTS k s") == 0).then_some(())
        });
    }
}
