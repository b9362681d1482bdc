//! A counter behind a lock, with redis-rs: `counter PORT`
//!
//! Copy `lock.rs`. This file proves it: 100 units of work, ten at a time, lose no count; work
//! may last longer than the lease; and who has lost the lock is stopped, and can write neither
//! here nor there.

mod lock;

use lock::{Fallible, LeaseLost, Locks, TTL};
use redis::{cmd, AsyncCommands};
use rusqlite::Connection;
use std::path::PathBuf;
use std::time::Duration;

const KEY: &str = "hits:lock";

/// The counter, and what it is kept in.
#[derive(Clone)]
struct Counter {
    locks: Locks,
    file: PathBuf,
}

impl Counter {
    fn database(&self) -> rusqlite::Result<Connection> {
        let database = Connection::open(&self.file)?;
        database.busy_timeout(Duration::from_secs(30))?;
        Ok(database)
    }

    fn row(&self) -> rusqlite::Result<i64> {
        let query = "SELECT value FROM counter";
        self.database()?.query_row(query, (), |row| row.get(0))
    }

    async fn hits(&self) -> redis::RedisResult<i64> {
        self.locks.server.clone().get("hits").await
    }

    /// What the lock protects, in the same Redis: no token, no write.
    async fn write_redis(&self, token: i64, value: i64) -> Fallible<()> {
        let mut guard = cmd("LOCK.GUARD");
        guard.arg(KEY).arg(token).arg("SET").arg("hits").arg(value);
        let done: redis::RedisResult<()> = guard.query_async(&mut self.locks.server.clone()).await;
        match done {
            Err(error) if error.code() == Some("STALE") => Err(LeaseLost.into()),
            done => Ok(done?),
        }
    }

    /// What the lock protects, elsewhere: the row keeps the largest token it has seen.
    fn write_row(&self, token: i64, value: i64) -> Fallible<()> {
        let update = "UPDATE counter SET value = ?, fence = ? WHERE fence <= ?";
        match self.database()?.execute(update, (value, token, token))? {
            0 => Err(LeaseLost.into()),
            _ => Ok(()),
        }
    }

    async fn count_one(&self) -> Fallible<()> {
        let work = async |token| {
            let value = self.row()? + 1;
            self.write_redis(token, value).await?;
            self.write_row(token, value)
        };
        self.locks.locked(KEY, work).await
    }

    async fn late(&self) -> Fallible<()> {
        let mut server = self.locks.server.clone();
        let work = async |token| {
            tokio::time::sleep(TTL * 3 / 2).await;
            let fence = cmd("LOCK.FENCE").arg(KEY).arg(token).to_owned();
            let live: bool = fence.query_async(&mut server).await?;
            assert!(live, "it was not kept alive");
            println!("work longer than the lease: still held");
            // An operator breaks the lock; a long pause does the same.
            let _: () = server.del(KEY).await?;
            self.count_one().await?; // somebody else, with a larger token
            assert!(is_lost(self.write_redis(token, 7).await));
            assert!(is_lost(self.write_row(token, 7)));
            tokio::time::sleep(TTL).await; // the work goes on, unknowing
            panic!("the work was not stopped");
        };
        self.locks.locked(KEY, work).await
    }
}

fn is_lost(done: Fallible<()>) -> bool {
    done.is_err_and(|error| error.is::<LeaseLost>())
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let port = std::env::args().nth(1).unwrap_or("6379".to_owned());
    let folder = tempfile::tempdir()?;
    let counter = Counter {
        locks: Locks::connect(&format!("redis://127.0.0.1:{port}/")).await?,
        file: folder.path().join("counter.db"),
    };
    let create = "CREATE TABLE counter AS SELECT 0 AS value, 0 AS fence";
    counter.database()?.execute(create, ())?;
    let workers = (0..10).map(|_| {
        let counter = counter.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                counter.count_one().await?;
            }
            Fallible::Ok(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let (row, hits) = (counter.row()?, counter.hits().await?);
    println!("100 times, ten at a time: the row says {row}, Redis {hits}");
    assert_eq!((row, hits), (100, 100));
    assert!(is_lost(counter.late().await));
    assert_eq!((counter.row()?, counter.hits().await?), (101, 101));
    println!("the lease is lost: the work is stopped, and refused by Redis and by the row");
    Ok(())
}
