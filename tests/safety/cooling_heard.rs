//! Holds that were granted in line or heard of from a master, and cool.

use crate::cooling::{delay, is_over_at, with_delay};
use crate::lock::{Answer, Event, Patience};
use crate::server::{Request, Server};
use crate::together::{client, told, tries, ALONE, ANY, KEY};
use crate::values::wall;

/// What a master knew to be dead is dead wherever its stream or its log arrives.
#[test]
fn a_session_that_died_is_dead_for_replicas_too() {
    for tolerates in [ALONE, ANY] {
        let mut master = Server::new();
        let bound = Request {
            session: client(7),
            ..with_delay(b"ann", tolerates)
        };
        master.ask(KEY, bound);
        master.advance_ms(5);
        master.silently(Event::SessionEnded(client(7).expect("a number")));
        master.turn();
        assert_eq!(master.fence(KEY, None), Answer::NoToken);
        let mut replica = Server::new();
        for sent in std::mem::take(&mut master.sent) {
            replica.apply(&sent);
        }
        assert_eq!(replica.fence(KEY, None), Answer::NoToken);
        replica.open_term(wall(0));
        replica.advance_ms(19);
        assert_eq!(tries(&mut replica, b"eve", ALONE).0, Answer::NoToken);
        replica.advance_ms(1);
        let (answer, _) = tries(&mut replica, b"eve", ALONE);
        assert!(matches!(answer, Answer::Token(_)), "{answer:?}");
    }
}

#[test]
fn who_waits_twice_cools_as_it_asked_last() {
    let mut server = Server::new();
    tries(&mut server, b"eve", ALONE);
    for ms in [20, 50] {
        let patience = Patience::Wait {
            until: None,
            waiters_most: 10,
        };
        let request = Request {
            delay: delay(ms),
            patience,
            ..with_delay(b"ann", ALONE)
        };
        assert!(matches!(server.ask(KEY, request).0, Answer::InLine(_)));
    }
    server.release(KEY, b"eve", None);
    assert_eq!(told(&mut server).len(), 2);
    server.advance_ms(30);
    is_over_at(&mut server, 50);
}
