//! What the errors say: which server, and what it said.

use super::support::{eventually, Server, Waiter};
use super::{at, seat, TTL, WAIT};
use redis_lock_client::{ErrorKind, Lock, Request, Servers, Token};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_module_is_named_and_what_to_do() {
    let mut server = Server::start();
    server.kill();
    assert!(server.start_without_module_or_end().is_none());
    for error in [
        seat(server.port())
            .try_acquire()
            .await
            .expect_err("it cannot"),
        seat(server.port()).acquire().await.expect_err("it cannot"),
    ] {
        assert!(
            matches!(error.kind(), ErrorKind::ModuleNotLoaded(_)),
            "{error}"
        );
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("127.0.0.1:{}: ", server.port())),
            "{said}"
        );
        assert!(said.contains("redis-lock is not loaded"), "{said}");
        assert!(said.contains("loadmodule"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_line_and_a_key_of_another_type_are_said_in_the_words_of_the_server() {
    let server = Server::start();
    let mut client = server.client();
    client.say("CONFIG SET redislock.max-waiters 1");
    client.acquired("seat:42", "somebody", 60_000);
    let line = "LOCK.ACQUIRE seat:42 first 60000 BLOCK 0";
    let _first = Waiter::joins(&server, &mut client, line);
    let error = seat(server.port()).acquire().await.expect_err("it is full");
    assert!(matches!(error.kind(), ErrorKind::QueueFull(_)), "{error}");
    assert!(error.to_string().contains("QUEUEFULL "), "{error}");

    client.say("SET other text");
    let lock = Lock::new(&at(server.port()), "other").ttl(TTL);
    let error = lock.acquire().await.expect_err("it is no lock");
    assert!(matches!(error.kind(), ErrorKind::Refused(_)), "{error}");
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_after_the_wait_and_not_before() {
    let port = super::support::server::free_port();
    let error = seat(port).try_acquire().await.expect_err("nobody is there");
    assert!(matches!(error.kind(), ErrorKind::Connection(_)), "{error}");
    assert_eq!(error.node(), format!("127.0.0.1:{port}"));
    let wait = Duration::from_millis(700);
    let from = super::support::now();
    let error = seat(port)
        .wait(wait)
        .acquire()
        .await
        .expect_err("nobody is there");
    assert!(super::support::now() - from >= wait);
    assert!(error.is_unanswered(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let server = Server::start();
    let servers = at(server.port()).with_timeout(Duration::from_millis(100));
    let mut node = servers.node(b"seat:42").await.expect("it is there");
    server.signal("STOP");
    let error = node.fence(b"seat:42").await.expect_err("it sleeps");
    server.signal("CONT");
    assert!(matches!(error.kind(), ErrorKind::TimedOut(_)), "{error}");
    let said = format!("127.0.0.1:{}: no answer within 100ms", server.port());
    assert_eq!(error.to_string(), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_no_server_would_grant_is_refused_before_anybody_is_asked() {
    let port = super::support::server::free_port();
    for lock in [
        seat(port).ttl(Duration::from_millis(99)),
        seat(port).limit(0),
    ] {
        let error = lock.acquire().await.expect_err("it makes no sense");
        assert!(matches!(error.kind(), ErrorKind::OutOfRange(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_is_answered_in_its_type() {
    let server = Server::start();
    let mut node = at(server.port())
        .node(b"seat:42")
        .await
        .expect("it is there");
    let request = Request::new("seat:42", TTL * 60);
    let (key, owner) = (request.key.as_slice(), &request.owner);
    let token = node
        .acquire(&request)
        .await
        .expect("an answer")
        .expect("it is free");
    assert_eq!(
        node.acquire(&request).await.expect("an answer"),
        Some(token)
    );
    let other = Request::new("seat:42", TTL * 60);
    assert_eq!(node.acquire(&other).await.expect("an answer"), None);
    assert_eq!(node.fence(key).await.expect("an answer"), Some(token));
    assert!(node.is_live(key, token).await.expect("an answer"));
    assert!(node
        .extend(key, owner, TTL * 60, Some(token))
        .await
        .expect("an answer"));
    assert!(!node
        .extend(key, &other.owner, TTL, None)
        .await
        .expect("an answer"));

    let higher = Token::new(token.get() + 1_000).expect("a token");
    let raised = node.raise(key, owner, TTL * 60, higher).await;
    assert_eq!(raised.expect("an answer"), Some(higher));
    let raised = node.raise(key, owner, TTL * 60, token).await;
    assert_eq!(raised.expect("an answer"), Some(higher));
    let raised = node.raise(key, &other.owner, TTL * 60, higher).await;
    assert_eq!(raised.expect("an answer"), None);
    assert!(!node.is_live(key, token).await.expect("an answer"));

    let count = redis::cmd("INCR").arg("count").to_owned();
    assert_eq!(
        node.guard::<i64>(key, higher, &count)
            .await
            .expect("an answer"),
        1
    );
    let error = node
        .guard::<i64>(key, token, &count)
        .await
        .expect_err("it is dead");
    assert!(matches!(error.kind(), ErrorKind::Stale(_)), "{error}");
    assert!(!node
        .release(key, owner, Some(token))
        .await
        .expect("an answer"));
    assert!(node
        .release(key, owner, Some(higher))
        .await
        .expect("an answer"));
    assert_eq!(node.fence(key).await.expect("an answer"), None);
    // What an answer of the wrong type is.
    let text = redis::cmd("PING");
    let error = node.query::<i64>(&text).await.expect_err("no number");
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedReply(_)),
        "{error}"
    );
    eventually("it is free", || {
        (!server.client().exists("seat:42")).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_at_once_and_not_after_the_wait() {
    let server = Server::start();
    server
        .client()
        .say("ACL SETUSER somebody on >right ~* +@all");
    let with = |password: &str| {
        let address = format!("redis://somebody:{password}@127.0.0.1:{}/", server.port());
        let client = redis::Client::open(address).expect("an address");
        Lock::new(&Servers::single(client), "seat:42").ttl(TTL)
    };
    drop(with("right").acquire().await.expect("it is free"));
    // Without a limit to the wait.
    let wrong = with("wrong");
    let asked = tokio::time::timeout(WAIT, wrong.acquire()).await;
    let error = asked.expect("at once").expect_err("it is wrong");
    assert!(matches!(error.kind(), ErrorKind::Refused(_)), "{error}");
    assert_eq!(error.node(), format!("127.0.0.1:{}", server.port()));
}
