# One unit of work under a lock, with redis-cli and bash: to be sourced, or copied.
#
#   locked KEY COMMAND [WORD ...]
#
# Runs it with $token, in a process group of its own, which gets SIGUSR1 when the lease is lost.
# Its exit code; or 75: others hold the lock; or 76: the lease was lost, somebody else may hold
# the lock by now.

ttl_ms=2000
wait_ms=30000

redis() {
  redis-cli -e -p "$port" "$@"
}

# Since the machine's start: a clock that nobody sets.
now_ms() {
  local now
  read -r now _ </proc/uptime
  echo "${now/./}0"
}

locked() (
  key=$1
  shift
  owner=$(</proc/sys/kernel/random/uuid) # fresh: an owner is never used again
  # In any case: after an error it may have been granted, and only the reply was lost. After
  # the lease was lost it does no harm: it ends this owner's hold and no other.
  trap 'redis LOCK.RELEASE "$key" "$owner" >/dev/null' EXIT
  token=$(redis LOCK.ACQUIRE "$key" "$owner" "$ttl_ms" BLOCK "$wait_ms") || exit
  [ -n "$token" ] || exit 75
  export token
  set -m # what runs in the background has a process group of its own
  "$@" &
  work=$!
  keep_alive &
  keeper=$!
  {
    wait "$work"
    code=$?
    kill -- "-$keeper"
    wait "$keeper"
  } 2>/dev/null
  [ $code != $((128 + $(kill -l USR1))) ] || exit 76
  exit $code
)

# Moves the end of the lease for as long as it can; then ends the work.
keep_alive() {
  local third_ms=$((ttl_ms / 3)) until_ms=$(($(now_ms) + ttl_ms)) asked
  # A try takes up to two thirds: a sleep, and at most as long a call.
  while [ $(($(now_ms) + 2 * third_ms)) -le "$until_ms" ]; do
    sleep "${third_ms}e-3"
    asked=$(now_ms)
    case $(timeout "${third_ms}e-3" redis-cli -p "$port" \
      LOCK.EXTEND "$key" "$owner" "$ttl_ms" TOKEN "$token") in
      1) until_ms=$((asked + ttl_ms)) ;;
      0) break ;;
    esac
  done
  kill -USR1 -- "-$work"
}
