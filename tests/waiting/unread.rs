//! Clients that wait and do not read: stopped, or killed by their output limit.

use super::support::process::signal;
use super::support::{blocked_clients, eventually, Client, Server, Stream, Version, Waiter};
use std::process::{Child, Command, Stdio};

/// What a waiter is sent that it does not read: more than its limit allows, and
/// more than the connection itself can hold.
#[derive(Clone, Copy, Debug)]
enum Noise {
    /// That a key which it had read has changed; the key's name is long.
    Changes,
    /// A message for subscribers.
    Messages,
}

impl Noise {
    /// Every kind that this server can make.
    fn kinds() -> Vec<Self> {
        match Version::of(&mut Server::start().client()).lets_subscribers_wait() {
            true => vec![Self::Changes, Self::Messages],
            false => vec![Self::Changes],
        }
    }

    /// In RESP3 it is heard while one waits.
    fn listen(self, deaf: &mut Waiter) {
        match self {
            Self::Changes => {
                deaf.say("CLIENT TRACKING ON");
                deaf.say(&format!("GET {}", long()));
            }
            Self::Messages => deaf.say("SUBSCRIBE news"),
        }
    }

    fn make(self, client: &mut Client) {
        match self {
            Self::Changes => client.call(&["SET", &long(), "x"]),
            Self::Messages => client.call(&["PUBLISH", "news", &long()]),
        };
    }
}

fn long() -> String {
    "x".repeat(32_000_000)
}

/// A waiter that does not read, and then whoever waits behind it.
struct Scene {
    server: Server,
    client: Client,
    deaf: Waiter,
    next: Waiter,
}

fn scene(noise: Noise) -> Scene {
    let server = Server::with(&[
        "client-output-buffer-limit normal 1mb 0 0",
        "client-output-buffer-limit pubsub 1mb 0 0",
    ]);
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut deaf = Waiter::in_resp3(&server);
    noise.listen(&mut deaf);
    deaf.waits(&mut client, "LOCK.ACQUIRE k deaf 60000 BLOCK 0");
    let next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    Scene {
        server,
        client,
        deaf,
        next,
    }
}

#[test]
fn a_waiter_that_is_killed_by_its_output_limit_is_never_granted() {
    for noise in Noise::kinds() {
        let mut scene = scene(noise);
        noise.make(&mut scene.client);
        eventually("it is killed", || {
            (blocked_clients(&mut scene.client) == 1).then_some(())
        });
        let mut stream = Stream::of(scene.server.port());
        assert_eq!(scene.client.release("k", "holder"), 1);
        let token = scene.next.token();
        assert!(scene.client.is_live("k", token));
        let heard = stream.heard(&mut scene.client);
        let is_granted = |line: &&String| line.starts_with("LOCK._GRANT k deaf ");
        assert_eq!(heard.iter().find(is_granted), None);
        drop(scene.deaf);
        scene.server.assert_healthy();
    }
}

/// It is marked to be closed, and reads of its grant all the same: the reply goes
/// nowhere, and the lock must not stay with a ghost.
#[test]
fn a_waiter_whose_output_limit_kills_it_in_the_turn_of_its_grant_gives_the_lock_back() {
    for noise in Noise::kinds() {
        for order in [["release", "noise"], ["noise", "release"]] {
            let mut scene = scene(noise);
            scene.client.say("MULTI");
            for step in order {
                match step {
                    "release" => drop(scene.client.say("LOCK.RELEASE k holder")),
                    _ => noise.make(&mut scene.client),
                }
            }
            scene.client.say("EXEC");
            let token = scene.next.token();
            assert!(scene.client.is_live("k", token));
            assert_eq!(scene.client.release("k", "next"), 1);
            assert!(!scene.client.exists("k"));
            assert_eq!(blocked_clients(&mut scene.client), 0);
            scene.server.assert_healthy();
        }
    }
}

/// A waiter that is another process.
struct Elsewhere(Child);

impl Elsewhere {
    fn waits(server: &Server, watcher: &mut Client, owner: &str) -> Self {
        let blocked = blocked_clients(watcher);
        let child = Command::new("redis-cli")
            .args(["-p", &server.port().to_string()])
            .args(["LOCK.ACQUIRE", "k", owner, "60000", "BLOCK", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let waiter = Self(child.expect("redis-cli"));
        eventually("one more client is blocked", || {
            (blocked_clients(watcher) > blocked).then_some(())
        });
        waiter
    }

    /// What it was told in the end.
    fn told(mut self) -> String {
        let mut told = String::new();
        let out = self.0.stdout.as_mut().expect("its output");
        std::io::Read::read_to_string(out, &mut told).expect("text");
        told.trim().to_owned()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server cannot know that a process is stopped: it holds the lock, and what it
/// was told waits in its socket. Its lease bounds how long.
#[test]
fn a_waiter_whose_process_is_stopped_holds_the_lock_and_reads_of_it_later() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let stopped = Elsewhere::waits(&server, &mut client, "stopped");
    let pid = stopped.0.id();
    signal(pid, "STOP");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    assert_eq!(client.release("k", "holder"), 1);
    let token = client.fence("k").expect("the stopped one holds it");
    assert_eq!(client.number("LOCK.EXTEND k stopped 60000"), 1);
    assert!(next.is_silent());
    signal(pid, "CONT");
    assert_eq!(stopped.told(), token.to_string());
    assert_eq!(client.release("k", "stopped"), 1);
    assert!(next.token() > token);
    server.assert_healthy();
}

#[test]
fn a_stopped_waiter_loses_the_lock_when_its_lease_ends() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let stopped = Elsewhere::waits(&server, &mut client, "stopped");
    signal(stopped.0.id(), "STOP");
    // The same owner again, with a short lease: the newest wish counts.
    let _again = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k stopped 100 BLOCK 0");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    client.release("k", "holder");
    let token = next.token();
    signal(stopped.0.id(), "CONT");
    let told: i64 = stopped.told().parse().expect("a token");
    assert!(told < token);
    assert!(!client.is_live("k", told), "the token tells it");
}
