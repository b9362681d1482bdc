"""A counter behind a lock, with redis-py: python counter.py PORT

Copy `Lock`. The rest proves it: 100 units of work, ten at a time, lose no count; work may
last longer than the lease; and who has lost the lock can write neither here nor there.
"""

import secrets
import sqlite3
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

KEY, TTL_MS, WAIT_MS = "hits:lock", 2_000, 30_000
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 6379
FOLDER = tempfile.TemporaryDirectory()
# One client waits in line: its timeout is longer than BLOCK. The other one's calls must fail
# well before the lease ends. Each has a pool, so threads do not wait for each other's reply.
waiting = redis.Redis(port=PORT, socket_timeout=WAIT_MS / 1000 + 5)
server = redis.Redis(port=PORT, socket_timeout=TTL_MS / 3000)


class LeaseLost(Exception):
    """Somebody else may hold the lock by now: stop, and write nothing more."""


class Lock:
    """One unit of work under the lock: `with Lock(KEY) as lock:`"""

    def __init__(self, key):
        self.key, self.owner = key, secrets.token_hex(16)  # an owner is never used again
        self.done = threading.Event()

    def __enter__(self):
        try:
            words = (self.key, self.owner, TTL_MS, "BLOCK", WAIT_MS)
            self.token = waiting.execute_command("LOCK.ACQUIRE", *words)
        except BaseException:  # it may have been granted, only the reply is lost
            self.release()
            raise
        if self.token is None:
            raise TimeoutError(f"{self.key} is held by others")
        self.until = time.monotonic() + TTL_MS / 1000
        threading.Thread(target=self.keep_alive, daemon=True).start()
        return self

    def keep_alive(self):
        words = (self.key, self.owner, TTL_MS, "TOKEN", self.token)
        while not self.done.wait(TTL_MS / 3000):
            asked = time.monotonic()
            try:
                held = server.execute_command("LOCK.EXTEND", *words)
            except redis.RedisError:
                continue  # try again; `until` stays where it is
            self.until = asked + TTL_MS / 1000 if held else 0
            if not held:
                return

    def check(self):
        """To be called between the steps of long work."""
        if time.monotonic() >= self.until:
            raise LeaseLost

    def __exit__(self, *_):
        self.done.set()
        self.release()  # also after the lease was lost: it ends this owner's hold and no other

    def release(self):
        with suppress(redis.RedisError):  # if this fails, the lease ends it
            server.execute_command("LOCK.RELEASE", self.key, self.owner)


def database():
    return sqlite3.connect(f"{FOLDER.name}/counter.db", isolation_level=None, timeout=30)


def write_redis(lock, value):
    """What the lock protects, in the same Redis: no token, no write."""
    try:
        server.execute_command("LOCK.GUARD", KEY, lock.token, "SET", "hits", value)
    except redis.ResponseError as error:
        raise LeaseLost if str(error).startswith("STALE") else error


def write_row(lock, value):
    """What the lock protects, elsewhere: the row keeps the largest token it has seen."""
    update = "UPDATE counter SET value = ?, fence = ? WHERE fence <= ?"
    if database().execute(update, (value, lock.token, lock.token)).rowcount == 0:
        raise LeaseLost


def count_one(_):
    with Lock(KEY) as lock:
        (value,) = database().execute("SELECT value FROM counter").fetchone()
        lock.check()
        write_redis(lock, value + 1)
        write_row(lock, value + 1)


def is_refused(step, *words):
    try:
        step(*words)
    except LeaseLost:
        return True


def main():
    database().execute("CREATE TABLE counter (value INTEGER, fence INTEGER)")
    database().execute("INSERT INTO counter VALUES (0, 0)")
    with ThreadPoolExecutor(10) as workers:
        list(workers.map(count_one, range(100)))
    (row,) = database().execute("SELECT value FROM counter").fetchone()
    print(f"100 times, ten at a time: the row says {row}, Redis {int(server.get('hits'))}")
    assert row == int(server.get("hits")) == 100
    with Lock(KEY) as late:
        time.sleep(TTL_MS / 1000 * 1.5)
        late.check()
        assert server.execute_command("LOCK.FENCE", KEY, late.token) == 1
        print("work longer than the lease: still held")
        server.delete(KEY)  # an operator breaks the lock; a long pause does the same
        count_one(None)  # somebody else, with a larger token
        assert is_refused(write_redis, late, 7) and is_refused(write_row, late, 7)
        late.done.wait(TTL_MS / 1000)  # the work goes on, unknowing
        assert is_refused(late.check) and int(server.get("hits")) == 101
        print("the lease is lost: noticed, and refused by Redis and by the row")


main()
