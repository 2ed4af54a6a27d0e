// pgjdbc doing real work: server-prepared statements, batches, cursors, COPY, cancel; several threads at once.
// Usage: java Work URL USER PASSWORD THREADS
import java.io.StringReader;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;

public class Work {
  static void check(boolean ok, String what) {
    if (!ok) throw new IllegalStateException(what);
  }

  static Connection open(String[] args) throws SQLException {
    return DriverManager.getConnection(args[0], args[1], args[2]);
  }

  static void statements(Connection c, int who) throws SQLException {
    try (PreparedStatement s = c.prepareStatement("SELECT ?::int + ?::int, '" + who + "'")) {
      s.unwrap(PGStatement.class).setPrepareThreshold(1);
      for (int i = 0; i < 50; i++) {
        s.setInt(1, who);
        s.setInt(2, i);
        try (ResultSet r = s.executeQuery()) {
          check(r.next() && r.getInt(1) == who + i && r.getString(2).equals("" + who), "wrong row");
        }
      }
    }
    for (int i = 0; i < 300; i++) {
      try (PreparedStatement s = c.prepareStatement("SELECT ? * " + (i % 40))) {
        s.setInt(1, i);
        try (ResultSet r = s.executeQuery()) {
          check(r.next() && r.getInt(1) == i * (i % 40), "wrong product");
        }
      }
    }
  }

  static void batches(Connection c, int who) throws SQLException {
    c.setAutoCommit(false);
    try (PreparedStatement s = c.prepareStatement("INSERT INTO work(who, i) VALUES (?, ?)")) {
      for (int i = 0; i < 200; i++) {
        s.setInt(1, who);
        s.setInt(2, i);
        s.addBatch();
      }
      check(s.executeBatch().length == 200, "batch");
    }
    c.commit();
    try (PreparedStatement s = c.prepareStatement("SELECT i FROM work WHERE who = ? ORDER BY i")) {
      s.setFetchSize(17);
      s.setInt(1, who);
      int expected = 0;
      try (ResultSet r = s.executeQuery()) {
        while (r.next()) check(r.getInt(1) == expected++, "cursor");
      }
      check(expected == 200, "cursor ended early");
    }
    c.commit();
    try (Statement s = c.createStatement()) {
      s.executeUpdate("INSERT INTO work VALUES (" + who + ", 1000)");
      s.executeQuery("SELECT 1/0");
      check(false, "no error");
    } catch (SQLException e) {
      check("22012".equals(e.getSQLState()), "state " + e.getSQLState());
    }
    c.rollback();
    c.setAutoCommit(true);
  }

  static void copy(Connection c, int who) throws Exception {
    CopyManager manager = c.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder rows = new StringBuilder();
    for (int i = 0; i < 1000; i++) rows.append(who + 1000).append('\t').append(i).append('\n');
    check(manager.copyIn("COPY work FROM STDIN", new StringReader(rows.toString())) == 1000, "copy in");
    java.io.StringWriter out = new java.io.StringWriter();
    check(manager.copyOut("COPY (SELECT * FROM work WHERE who = " + (who + 1000) + ") TO STDOUT", out) == 1000, "copy out");
  }

  static void cancel(Connection c) throws Exception {
    try (Statement s = c.createStatement()) {
      s.setQueryTimeout(1);
      s.execute("SELECT pg_sleep(60)");
      check(false, "not cancelled");
    } catch (SQLException e) {
      check("57014".equals(e.getSQLState()), "state " + e.getSQLState());
    }
  }

  static void metadata(Connection c) throws SQLException {
    DatabaseMetaData d = c.getMetaData();
    check(d.getDatabaseProductVersion().startsWith("1"), "version");
    try (ResultSet r = d.getColumns(null, null, "work", "%")) {
      check(r.next() && r.getString("COLUMN_NAME").equals("who"), "columns");
    }
    check(c.isValid(5), "valid");
  }

  public static void main(String[] args) throws Exception {
    int threads = Integer.parseInt(args[3]);
    try (Connection c = open(args); Statement s = c.createStatement()) {
      s.execute("CREATE TABLE work(who int, i int)");
    }
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Future<?>> all = new ArrayList<>();
    for (int n = 0; n < threads; n++) {
      final int who = n;
      all.add(pool.submit(() -> {
        try (Connection c = open(args)) {
          statements(c, who);
          batches(c, who);
          copy(c, who);
          cancel(c);
          metadata(c);
          statements(c, who);
        }
        return null;
      }));
    }
    for (Future<?> f : all) f.get();
    pool.shutdown();
    try (Connection c = open(args); Statement s = c.createStatement();
         ResultSet r = s.executeQuery("SELECT count(*) FROM work")) {
      r.next();
      check(r.getInt(1) == threads * 1200, "rows " + r.getInt(1));
    }
    System.out.println("OK");
  }
}
