// One unit of work under a lock, with Lettuce: to be copied.

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisException;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.CommandOutput;
import io.lettuce.core.output.IntegerOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.support.ConnectionPoolSupport;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import org.apache.commons.pool2.impl.GenericObjectPool;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;

/** {@code try (Lock lock = new Lock("key")) { ... }} */
final class Lock implements AutoCloseable {
  static final int TTL_MS = 2_000;
  static final int WAIT_MS = 30_000;
  /** All threads share it; its calls must fail well before the lease ends. */
  static StatefulRedisConnection<String, String> server;
  /** A connection that waits in line does nothing else, so those who wait have their own. */
  private static GenericObjectPool<StatefulRedisConnection<String, String>> waiting;
  private static RedisClient client;
  private static final ScheduledExecutorService KEEPER = Executors.newScheduledThreadPool(2);

  final long token;
  private final String key;
  private final String owner = UUID.randomUUID().toString(); // an owner is never used again
  private final ScheduledFuture<?> beat;
  private volatile long until;

  /** Somebody else may hold the lock by now: stop, and write nothing more. */
  static final class LeaseLost extends RuntimeException {}

  static void connect(int port) {
    client = RedisClient.create("redis://127.0.0.1:" + port);
    server = client.connect();
    server.setTimeout(Duration.ofMillis(TTL_MS / 3));
    var config = new GenericObjectPoolConfig<StatefulRedisConnection<String, String>>();
    config.setMaxTotal(100); // as many as may wait at a time
    waiting = ConnectionPoolSupport.createGenericObjectPool(() -> {
      var connection = client.connect();
      connection.setTimeout(Duration.ofMillis(WAIT_MS + 5_000)); // longer than BLOCK
      return connection;
    }, config);
  }

  static void disconnect() {
    KEEPER.shutdownNow();
    waiting.close();
    client.shutdown(Duration.ZERO, Duration.ofSeconds(2));
  }

  /** Any command; `as` says what its reply is. */
  static <T> T call(
      StatefulRedisConnection<String, String> on,
      CommandOutput<String, String, T> as,
      String command,
      String key,
      Object... words) {
    var args = new CommandArgs<>(StringCodec.UTF8).addKey(key);
    for (Object word : words) args.add(word.toString());
    return on.sync().dispatch(command::getBytes, as, args);
  }

  /** Those that reply with an integer: all but LOCK.GUARD, LOCK.INFO and LOCK.HELP. */
  static Long integer(String command, String key, Object... words) {
    return call(server, new IntegerOutput<>(StringCodec.UTF8), command, key, words);
  }

  Lock(String key) {
    this.key = key;
    Long reply;
    try {
      var connection = waiting.borrowObject();
      try {
        var integer = new IntegerOutput<>(StringCodec.UTF8);
        reply = call(connection, integer, "LOCK.ACQUIRE", key, owner, TTL_MS, "BLOCK", WAIT_MS);
        waiting.returnObject(connection);
      } catch (RedisException error) {
        waiting.invalidateObject(connection); // it may still wait
        throw error;
      }
    } catch (Exception error) {
      release(); // it may have been granted, only the reply is lost
      throw new RedisException(error);
    }
    if (reply == null) throw new IllegalStateException(key + " is held by others");
    token = reply;
    until = System.nanoTime() + MILLISECONDS.toNanos(TTL_MS);
    beat = KEEPER.scheduleAtFixedRate(this::keepAlive, TTL_MS / 3, TTL_MS / 3, MILLISECONDS);
  }

  private void keepAlive() {
    long asked = System.nanoTime();
    try {
      boolean held = integer("LOCK.EXTEND", key, owner, TTL_MS, "TOKEN", token) == 1;
      until = held ? asked + MILLISECONDS.toNanos(TTL_MS) : asked;
      if (!held) beat.cancel(false);
    } catch (RedisException error) {
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
      integer("LOCK.RELEASE", key, owner);
    } catch (RedisException error) {
      // The lease ends it.
    }
  }
}
