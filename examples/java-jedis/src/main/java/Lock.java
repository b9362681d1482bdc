// One unit of work under a lock, with Jedis: to be copied.

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.exceptions.JedisException;

/** {@code try (Lock lock = new Lock("key")) { ... }} */
final class Lock implements AutoCloseable {
  static final int TTL_MS = 2_000;
  static final int WAIT_MS = 30_000;
  static RedisClient server;
  private static final ScheduledExecutorService KEEPER = Executors.newScheduledThreadPool(2);

  final long token;
  private final String key;
  private final String owner = UUID.randomUUID().toString(); // an owner is never used again
  private final ScheduledFuture<?> beat;
  private volatile long until;

  /** Somebody else may hold the lock by now: stop, and write nothing more. */
  static final class LeaseLost extends RuntimeException {}

  static void connect(int port) {
    var config = DefaultJedisClientConfig.builder()
        .socketTimeoutMillis(TTL_MS / 3) // calls must fail well before the lease ends
        .blockingSocketTimeoutMillis(WAIT_MS + 5_000) // and waiting in line must not
        .build();
    var pool = new ConnectionPoolConfig();
    // Each who waits in line takes a connection. With Jedis's 8, eight who wait would leave
    // the holder none for its EXTEND and its RELEASE.
    pool.setMaxTotal(100);
    server = RedisClient.builder()
        .hostAndPort("127.0.0.1", port).clientConfig(config).poolConfig(pool).build();
  }

  static void disconnect() {
    KEEPER.shutdownNow();
    server.close();
  }

  /** Any command; the key is named by itself for the client of a cluster, which routes by it. */
  static Object call(String command, String key, Object... words) {
    return server.sendCommand(key, command::getBytes, strings(key, words));
  }

  private static String[] strings(String key, Object... words) {
    var all = new String[words.length + 1];
    all[0] = key;
    for (int i = 0; i < words.length; i++) all[i + 1] = words[i].toString();
    return all;
  }

  Lock(String key) {
    this.key = key;
    Object reply;
    try {
      var words = strings(key, owner, TTL_MS, "BLOCK", WAIT_MS);
      reply = server.sendBlockingCommand(key, "LOCK.ACQUIRE"::getBytes, words);
    } catch (JedisException error) {
      release(); // it may have been granted, only the reply is lost
      throw error;
    }
    if (reply == null) throw new IllegalStateException(key + " is held by others");
    token = (Long) reply;
    until = System.nanoTime() + MILLISECONDS.toNanos(TTL_MS);
    beat = KEEPER.scheduleAtFixedRate(this::keepAlive, TTL_MS / 3, TTL_MS / 3, MILLISECONDS);
  }

  private void keepAlive() {
    long asked = System.nanoTime();
    try {
      boolean held = call("LOCK.EXTEND", key, owner, TTL_MS, "TOKEN", token).equals(1L);
      until = held ? asked + MILLISECONDS.toNanos(TTL_MS) : asked;
      if (!held) beat.cancel(false);
    } catch (JedisException error) {
      // It tries again; the end of the lease stays where it is.
    }
  }

  /** To be called between the steps of long work. */
  void check() {
    if (System.nanoTime() - until >= 0) throw new LeaseLost();
  }

  @Override
  public void close() {
    beat.cancel(false);
    // Also after the lease was lost: it ends this owner's hold and no other.
    release();
  }

  private void release() {
    try {
      call("LOCK.RELEASE", key, owner);
    } catch (JedisException error) {
      // The lease ends it.
    }
  }
}
