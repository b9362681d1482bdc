//! A master that sentinels watch: locks outlive its death.

use super::support::sentinel::{master_of, MASTER};
use super::support::{catch_up, eventually, replica_of, Sentinel, Server};
use super::{number, TTL, WAIT};
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis_lock_client::{Lock, Released, Servers};

/// A master, its replica, and a sentinel that promotes the one after the other.
struct Watched {
    master: Server,
    replica: Server,
    sentinel: Sentinel,
}

impl Watched {
    fn start() -> Self {
        let master = Server::start();
        let replica = replica_of(&master, &[]);
        let settings = [
            "sentinel down-after-milliseconds mymaster 300",
            "sentinel failover-timeout mymaster 1000",
        ];
        let sentinel = Sentinel::watching(master.port(), 1, &settings);
        let mut client = sentinel.client();
        client.say(
            "SENTINEL DEBUG INFO-PERIOD 200 PING-PERIOD 100 ASK-PERIOD 100 \
             PUBLISH-PERIOD 200 TILT-PERIOD 1000 ELECTION-TIMEOUT 1000",
        );
        eventually("the sentinel knows the replica", || {
            let replicas = client.try_call(&["SENTINEL", "REPLICAS", MASTER]).ok()?;
            let redis::Value::Array(replicas) = replicas else {
                return None;
            };
            (replicas.len() == 1).then_some(())
        });
        Self {
            master,
            replica,
            sentinel,
        }
    }

    fn servers(&self) -> Servers {
        let sentinel = format!("redis://127.0.0.1:{}/", self.sentinel.port());
        // One that is gone is passed over.
        let gone = format!("redis://127.0.0.1:{}/", super::support::server::free_port());
        let client = SentinelClient::build(
            vec![gone, sentinel],
            MASTER.to_owned(),
            None,
            SentinelServerType::Master,
        );
        Servers::sentinel(client.expect("addresses"))
    }

    fn is_promoted(&self) {
        let mut client = self.sentinel.client();
        eventually("the replica is promoted", || {
            (master_of(&mut client) == Some(self.replica.port())).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_wait_outlive_the_death_of_the_master() {
    let mut watched = Watched::start();
    let lock = Lock::new(&watched.servers(), "seat:42")
        .ttl(TTL * 20)
        .wait(WAIT);
    let guard = lock.acquire().await.expect("it is free");
    let first = guard.valid_until();
    let waiting = tokio::spawn(async move { lock.acquire().await });
    eventually("the other one waits", || {
        (super::support::blocked_clients(&mut watched.master.client()) == 1).then_some(())
    });
    catch_up(&mut watched.master.client(), &mut watched.replica.client());
    watched.master.kill();
    watched.is_promoted();
    eventually("it is extended by the new master", || {
        (guard.valid_until() > first).then_some(())
    });
    let mut client = watched.replica.client();
    assert!(client.is_live("seat:42", number(guard.token())));
    let token = guard.token();
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    let next = waiting.await.expect("no panic").expect("its turn comes");
    assert!(next.token() > token);
    assert_eq!(client.fence("seat:42"), Some(number(next.token())));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_a_master_that_stopped_without_a_word_goes_to_the_new_one() {
    let watched = Watched::start();
    let lock = Lock::new(&watched.servers(), "seat:42").ttl(TTL);
    let mut client = watched.master.client();
    client.acquired("seat:42", "somebody", 1_500);
    let lock = lock.wait(WAIT);
    let waiting = tokio::spawn(async move { lock.acquire().await });
    eventually("it waits", || {
        (super::support::blocked_clients(&mut client) == 1).then_some(())
    });
    catch_up(&mut client, &mut watched.replica.client());
    // Its connections stay open.
    watched.master.signal("STOP");
    watched.is_promoted();
    let guard = waiting.await.expect("no panic").expect("its turn comes");
    let token = number(guard.token());
    assert!(watched.replica.client().is_live("seat:42", token));
    watched.master.signal("CONT");
}
