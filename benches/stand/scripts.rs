//! The scripts that locks are made of where the server has none. Our own words for
//! what each of them is documented to do.

/// Deletes the key if its value is the caller's: how a lock of `SET NX PX` is released.
pub const DELETE: &str =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

/// Moves the end of the lease if the value is the caller's.
pub const EXTEND: &str = "if redis.call('GET',KEYS[1])==ARGV[1] \
    then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0";

/// `SET NX PX` with a fence: whoever gets the lock gets the next number of a counter.
pub const FENCED: &str = "if redis.call('SET',KEYS[1],ARGV[1],'NX','PX',ARGV[2]) \
    then return redis.call('INCR',KEYS[2]) end return nil";

/// Redisson's lock: a hash with a field for its holder, which counts how often it
/// holds it. Nil if taken, else for how long it is held by another.
pub const HASH_TAKE: &str =
    "if redis.call('EXISTS',KEYS[1])==0 or redis.call('HEXISTS',KEYS[1],ARGV[1])==1 then \
    redis.call('HINCRBY',KEYS[1],ARGV[1],1) redis.call('PEXPIRE',KEYS[1],ARGV[2]) return nil end \
    return redis.call('PTTL',KEYS[1])";

/// Its release: counts down, and at zero deletes the lock and tells everybody who
/// waits for it.
pub const HASH_GIVE_BACK: &str = "if redis.call('HEXISTS',KEYS[1],ARGV[1])==0 then return nil end \
    if redis.call('HINCRBY',KEYS[1],ARGV[1],-1)>0 then \
    redis.call('PEXPIRE',KEYS[1],ARGV[2]) return 0 end \
    redis.call('DEL',KEYS[1]) redis.call('PUBLISH',KEYS[2],'0') return 1";
