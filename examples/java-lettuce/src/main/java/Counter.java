// A counter behind a lock, with Lettuce: mvn -q compile exec:java -Dexec.args=PORT
//
// Copy Lock.java. This file proves it: 100 units of work, ten at a time, lose no count; work may
// last longer than the lease; and who has lost the lock can write neither here nor there.

import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.StatusOutput;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Collections;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;

public final class Counter {
  private static final String KEY = "hits:lock";
  private static Path file;

  private static Connection database() throws SQLException {
    return DriverManager.getConnection("jdbc:sqlite:" + file + "?busy_timeout=30000");
  }

  private static long row() throws SQLException {
    try (var db = database();
        var query = db.createStatement();
        var rows = query.executeQuery("SELECT value FROM counter")) {
      return rows.getLong(1);
    }
  }

  /** What the lock protects, in the same Redis: no token, no write. */
  private static void writeRedis(Lock lock, long value) {
    try {
      var reply = new StatusOutput<>(StringCodec.UTF8); // as SET replies
      Lock.call(Lock.server, reply, "LOCK.GUARD", KEY, lock.token, "SET", "hits", value);
    } catch (RedisCommandExecutionException error) {
      throw error.getMessage().startsWith("STALE") ? new Lock.LeaseLost() : error;
    }
  }

  /** What the lock protects, elsewhere: the row keeps the largest token it has seen. */
  private static void writeRow(Lock lock, long value) throws SQLException {
    var sql = "UPDATE counter SET value = ?, fence = ? WHERE fence <= ?";
    try (var db = database(); var update = db.prepareStatement(sql)) {
      update.setLong(1, value);
      update.setLong(2, lock.token);
      update.setLong(3, lock.token);
      if (update.executeUpdate() == 0) throw new Lock.LeaseLost();
    }
  }

  private static Void countOne() throws SQLException {
    try (var lock = new Lock(KEY)) {
      long value = row() + 1;
      lock.check();
      writeRedis(lock, value);
      writeRow(lock, value);
    }
    return null;
  }

  private static boolean isRefused(Callable<?> step) throws Exception {
    try {
      step.call();
      return false;
    } catch (Lock.LeaseLost lost) {
      return true;
    }
  }

  private static void expect(boolean is, String what) {
    if (!is) throw new AssertionError(what);
  }

  private static void late() throws Exception {
    try (var lock = new Lock(KEY)) {
      Thread.sleep(Lock.TTL_MS * 3 / 2);
      lock.check();
      expect(Lock.integer("LOCK.FENCE", KEY, lock.token) == 1, "it was not kept alive");
      System.out.println("work longer than the lease: still held");
      Lock.server.sync().del(KEY); // an operator breaks the lock; a long pause does the same
      countOne(); // somebody else, with a larger token
      expect(isRefused(() -> { writeRedis(lock, 7); return null; }), "Redis took a late write");
      expect(isRefused(() -> { writeRow(lock, 7); return null; }), "the row took a late write");
      Thread.sleep(Lock.TTL_MS); // the work goes on, unknowing
      expect(isRefused(() -> { lock.check(); return null; }), "the loss was not noticed");
    }
  }

  public static void main(String[] words) throws Exception {
    Lock.connect(words.length > 0 ? Integer.parseInt(words[0]) : 6379);
    file = Files.createTempFile("counter", ".db");
    var workers = Executors.newFixedThreadPool(10);
    try (var db = database(); var create = db.createStatement()) {
      create.execute("CREATE TABLE counter AS SELECT 0 AS value, 0 AS fence");
      var turns = Collections.<Callable<Void>>nCopies(100, Counter::countOne);
      for (var turn : workers.invokeAll(turns)) turn.get();
      String hits = Lock.server.sync().get("hits");
      System.out.printf("100 times, ten at a time: the row says %d, Redis %s%n", row(), hits);
      expect(row() == 100 && hits.equals("100"), "counts were lost");
      late();
      hits = Lock.server.sync().get("hits");
      expect(row() == 101 && hits.equals("101"), "a late write went through");
      System.out.println("the lease is lost: noticed, and refused by Redis and by the row");
    } finally {
      workers.shutdownNow();
      Lock.disconnect();
      Files.delete(file);
    }
  }
}
