//! The example of the crate's front page, run for real: the page includes this very file.

#[allow(dead_code, reason = "its main is for programs")]
#[path = "../../examples/seat.rs"]
mod seat;

use super::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_books_the_seat_and_gives_the_lock_back() {
    let server = Server::start();
    let mut client = server.client();
    let address = format!("redis://127.0.0.1:{}/", server.port());
    let first = seat::book(&address, "alice").await.expect("it is free");
    assert_eq!(client.text("GET seat:42:holder"), "alice");
    assert!(!client.exists("seat:42"));
    let second = seat::book(&address, "bob").await.expect("it is free");
    assert!(second > first);
    assert_eq!(client.text("GET seat:42:holder"), "bob");
}
