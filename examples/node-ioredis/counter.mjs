// A counter behind a lock, with ioredis: node counter.mjs PORT
//
// Copy `locked`. The rest proves it: 100 units of work, ten at a time, lose no count; work may
// last longer than the lease; and who has lost the lock is stopped, and can write neither here
// nor there.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import sqlite from 'node-sqlite3-wasm'; // from Node 22.5 on there is node:sqlite

const KEY = 'hits:lock';
const TTL_MS = 2_000;
const WAIT_MS = 30_000;
const port = Number(process.argv[2] ?? 6379);
// For everything but waiting in line. Its calls must fail well before the lease ends.
const server = new Redis({ port, commandTimeout: TTL_MS / 3 });
// A connection that waits in line does nothing else, so each who waits has one of its own.
const waiting = [];
const folder = mkdtempSync(`${tmpdir()}/counter-`);
const database = new sqlite.Database(`${folder}/counter.db`);

/** Somebody else may hold the lock by now: stop, and write nothing more. */
class LeaseLost extends Error {}

/** Uses a connection that nobody else uses, for as long as `task` takes. */
async function alone(task) {
  const connection = waiting.pop() ?? new Redis({ port });
  try {
    return await task(connection);
  } finally {
    waiting.push(connection);
  }
}

/**
 * One unit of work under the lock: `await locked(KEY, async (token, signal) => ...)`.
 * The signal is aborted at the instant at which the lease may have ended.
 */
async function locked(key, work) {
  const owner = randomUUID(); // fresh: an owner is never used again
  const lease = new AbortController();
  const lose = () => lease.abort(new LeaseLost());
  let end;
  let keeper;
  const lasts = (from) => {
    clearTimeout(end);
    end = setTimeout(lose, from + TTL_MS - performance.now()).unref();
  };
  try {
    const words = [key, owner, TTL_MS, 'BLOCK', WAIT_MS];
    const token = await alone((connection) => connection.call('LOCK.ACQUIRE', ...words));
    if (token === null) throw new Error(`${key} is held by others`);
    lasts(performance.now());
    keeper = setInterval(async () => {
      const asked = performance.now();
      try {
        const held = await server.call('LOCK.EXTEND', key, owner, TTL_MS, 'TOKEN', token);
        if (held) lasts(asked);
        else lose();
      } catch {
        // It tries again; the end of the lease stays where it is.
      }
    }, TTL_MS / 3);
    return await work(token, lease.signal);
  } finally {
    clearInterval(keeper);
    clearTimeout(end);
    // In any case: after an error it may have been granted, and only the reply was lost.
    // After the lease was lost it does no harm: it ends this owner's hold and no other.
    // If it fails, the lease ends it.
    await server.call('LOCK.RELEASE', key, owner).catch(() => {});
  }
}

/** What the lock protects, in the same Redis: no token, no write. */
async function writeRedis(token, value) {
  try {
    await server.call('LOCK.GUARD', KEY, token, 'SET', 'hits', value);
  } catch (error) {
    throw error.message.startsWith('STALE') ? new LeaseLost() : error;
  }
}

/** What the lock protects, elsewhere: the row keeps the largest token it has seen. */
function writeRow(token, value) {
  const update = 'UPDATE counter SET value = ?, fence = ? WHERE fence <= ?';
  if (database.run(update, [value, token, token]).changes === 0) throw new LeaseLost();
}

const row = () => database.get('SELECT value FROM counter').value;

const countOne = () => locked(KEY, async (token, signal) => {
  const value = row() + 1;
  await writeRedis(token, value);
  signal.throwIfAborted(); // long work does so between its steps
  writeRow(token, value);
});

async function late(token, signal) {
  await sleep(TTL_MS * 1.5, null, { signal });
  assert.equal(await server.call('LOCK.FENCE', KEY, token), 1);
  console.log('work longer than the lease: still held');
  await server.del(KEY); // an operator breaks the lock; a long pause does the same
  await countOne(); // somebody else, with a larger token
  await assert.rejects(writeRedis(token, 7), LeaseLost);
  assert.throws(() => writeRow(token, 7), LeaseLost);
  await sleep(TTL_MS, null, { signal }); // the work goes on, unknowing
  assert.fail('the work was not stopped');
}

database.exec('CREATE TABLE counter (value INTEGER, fence INTEGER)');
database.run('INSERT INTO counter VALUES (0, 0)');
await Promise.all(Array.from({ length: 10 }, async () => {
  for (let turn = 0; turn < 10; turn++) await countOne();
}));
const hits = Number(await server.get('hits'));
console.log(`100 times, ten at a time: the row says ${row()}, Redis ${hits}`);
assert.deepEqual([row(), hits], [100, 100]);
await assert.rejects(locked(KEY, late), (error) => error.cause instanceof LeaseLost);
assert.equal(await server.get('hits'), '101');
console.log('the lease is lost: the work is stopped, and refused by Redis and by the row');
database.close();
rmSync(folder, { recursive: true });
await Promise.all([server, ...waiting].map((connection) => connection.quit()));
