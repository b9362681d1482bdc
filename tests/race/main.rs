//! The main job on real input: the example of the coupons.

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../../examples/coupons.rs"]
mod coupons;

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

use coupons::{Demo, Mode};
use support::Server;

#[test]
fn every_coupon_is_handed_out_once_with_the_lock_and_more_often_without() {
    let mut server = Server::start();
    let demo = Demo {
        port: server.port(),
        coupons: 10_000,
        clients: 64,
    };
    let with = demo.hand_out(Mode::WithLock).expect("every call works");
    assert_eq!(with, 10_000);
    // The control: the race is there.
    let without = demo.hand_out(Mode::WithoutLock).expect("every call works");
    assert!(without > 10_000, "{without}");
    server.assert_healthy();
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), 0, "the demo leaves nothing");
}
