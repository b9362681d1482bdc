#!/usr/bin/env bash
# A counter behind a lock, with redis-cli: ./counter.sh PORT
#
# Copy lock.sh. This file proves it: 100 units of work, ten at a time, lose no count; work may
# last longer than the lease; and who has lost the lock is stopped, and can write neither here
# nor there.
set -u
port=${1:-6379}
. "$(dirname "$0")/lock.sh"
key=hits:lock
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

query() {
  sqlite3 -cmd ".timeout 30000" "$folder/counter.db" "$1"
}

# What the lock protects, in the same Redis: no token, no write.
write_redis() {
  redis LOCK.GUARD "$key" "$token" SET hits "$1" >/dev/null 2>&1
}

# What the lock protects, elsewhere: the row keeps the largest token it has seen.
write_row() {
  local update="UPDATE counter SET value = $1, fence = $token WHERE fence <= $token"
  [ "$(query "$update; SELECT changes()")" = 1 ]
}

add_one() {
  local value
  value=$(($(query "SELECT value FROM counter") + 1))
  write_redis $value && write_row $value
}

expect() {
  if [ "$1" != "$2" ]; then
    echo "$3: $1, not $2"
    exit 1
  fi
}

count_ten() {
  for _ in {1..10}; do locked $key add_one || exit; done
}

late() {
  sleep $((ttl_ms * 3 / 2))e-3
  expect "$(redis LOCK.FENCE $key "$token")" 1 "it was not kept alive"
  echo "work longer than the lease: still held"
  redis DEL $key >/dev/null # an operator breaks the lock; a long pause does the same
  locked $key add_one       # somebody else, with a larger token
  write_redis 7 && expect Redis "nobody" "who took a late write"
  write_row 7 && expect "the row" "nobody" "who took a late write"
  touch "$folder/refused"
  sleep $((ttl_ms))e-3 # the work goes on, unknowing
}

query "CREATE TABLE counter AS SELECT 0 AS value, 0 AS fence"
workers=()
for _ in {1..10}; do
  count_ten &
  workers+=($!)
done
for worker in "${workers[@]}"; do
  wait "$worker"
  expect $? 0 "a worker's exit code"
done
echo "100 times, ten at a time: the row says $(query "SELECT value FROM counter")," \
  "Redis $(redis GET hits)"
expect "$(query "SELECT value FROM counter") $(redis GET hits)" "100 100" "counts"
locked $key late
expect $? 76 "the exit code of work that has lost its lease"
expect "$(ls "$folder")" $'counter.db\nrefused' "files"
expect "$(query "SELECT value FROM counter") $(redis GET hits)" "101 101" "counts"
echo "the lease is lost: the work is stopped, and refused by Redis and by the row"
