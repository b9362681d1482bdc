"""A counter behind a lock, with redis-py and asyncio: python counter.py PORT

Copy `locked`. The rest proves it: 100 units of work, ten at a time, lose no count; work may
last longer than the lease; and who has lost the lock is stopped, and can write neither here
nor there. Needs Python 3.11.
"""

import asyncio
import secrets
import sqlite3
import sys
import tempfile
from contextlib import asynccontextmanager, suppress

import redis.asyncio as redis

KEY, TTL_MS, WAIT_MS = "hits:lock", 2_000, 30_000
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 6379
FOLDER = tempfile.TemporaryDirectory()
# One client waits in line: its timeout is longer than BLOCK. The other one's calls must fail
# well before the lease ends. Each has a pool, so tasks do not wait for each other's reply.
waiting = redis.Redis(port=PORT, socket_timeout=WAIT_MS / 1000 + 5)
server = redis.Redis(port=PORT, socket_timeout=TTL_MS / 3000)


class LeaseLost(Exception):
    """Somebody else may hold the lock by now: stop, and write nothing more."""


@asynccontextmanager
async def locked(key):
    """One unit of work under the lock: `async with locked(KEY) as token:`

    The work is cancelled at the instant at which the lease may have ended.
    """
    owner = secrets.token_hex(16)  # fresh: an owner is never used again
    try:
        words = (key, owner, TTL_MS, "BLOCK", WAIT_MS)
        token = await waiting.execute_command("LOCK.ACQUIRE", *words)
        if token is None:
            raise BlockingIOError(f"{key} is held by others")
        try:
            async with asyncio.timeout(TTL_MS / 1000) as lease:
                keeper = asyncio.create_task(keep_alive(key, owner, token, lease))
                try:
                    yield token
                finally:
                    keeper.cancel()
        except TimeoutError as error:
            raise LeaseLost if lease.expired() else error
    finally:
        # In any case: after an error it may have been granted, and only the reply was lost.
        # After the lease was lost it does no harm: it ends this owner's hold and no other.
        with suppress(redis.RedisError):  # if this fails, the lease ends it
            await asyncio.shield(server.execute_command("LOCK.RELEASE", key, owner))


async def keep_alive(key, owner, token, lease):
    now = asyncio.get_running_loop().time
    while not lease.expired():
        await asyncio.sleep(TTL_MS / 3000)
        asked = now()
        try:
            words = (key, owner, TTL_MS, "TOKEN", token)
            held = await server.execute_command("LOCK.EXTEND", *words)
        except redis.RedisError:
            continue  # try again; the end of the lease stays where it is
        lease.reschedule(asked + TTL_MS / 1000 if held else now())
        if not held:
            return


def query(sql, *words):
    with sqlite3.connect(f"{FOLDER.name}/counter.db", isolation_level=None, timeout=30) as db:
        return db.execute(sql, words)


async def write_redis(token, value):
    """What the lock protects, in the same Redis: no token, no write."""
    try:
        await server.execute_command("LOCK.GUARD", KEY, token, "SET", "hits", value)
    except redis.ResponseError as error:
        raise LeaseLost if str(error).startswith("STALE") else error


async def write_row(token, value):
    """What the lock protects, elsewhere: the row keeps the largest token it has seen."""
    update = "UPDATE counter SET value = ?, fence = ? WHERE fence <= ?"
    if (await asyncio.to_thread(query, update, value, token, token)).rowcount == 0:
        raise LeaseLost


async def count_one(turns):
    async with turns, locked(KEY) as token:
        (value,) = query("SELECT value FROM counter").fetchone()
        await write_redis(token, value + 1)
        await write_row(token, value + 1)


async def is_refused(write):
    try:
        await write
    except LeaseLost:
        return True


async def late(turns):
    async with locked(KEY) as token:
        await asyncio.sleep(TTL_MS / 1000 * 1.5)
        assert await server.execute_command("LOCK.FENCE", KEY, token) == 1
        print("work longer than the lease: still held")
        await server.delete(KEY)  # an operator breaks the lock; a long pause does the same
        await count_one(turns)  # somebody else, with a larger token
        assert await is_refused(write_redis(token, 7)) and await is_refused(write_row(token, 7))
        await asyncio.sleep(TTL_MS / 1000)  # the work goes on, unknowing
        sys.exit("the work was not stopped")


async def main():
    query("CREATE TABLE counter (value INTEGER, fence INTEGER)")
    query("INSERT INTO counter VALUES (0, 0)")
    turns = asyncio.Semaphore(10)
    await asyncio.gather(*(count_one(turns) for _ in range(100)))
    (row,), hits = query("SELECT value FROM counter").fetchone(), int(await server.get("hits"))
    print(f"100 times, ten at a time: the row says {row}, Redis {hits}")
    assert row == hits == 100
    assert await is_refused(late(turns)) and int(await server.get("hits")) == 101
    print("the lease is lost: the work is stopped, and refused by Redis and by the row")
    await waiting.aclose()
    await server.aclose()


asyncio.run(main())
