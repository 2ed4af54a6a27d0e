// pgjdbc and a table whose columns change under its server-prepared statements: autocommit and transactions.
// Usage: java Altered URL USER PASSWORD
import java.sql.*;
import org.postgresql.PGStatement;

public class Altered {
  static void check(boolean ok, String what) {
    if (!ok) throw new IllegalStateException(what);
  }

  static Connection open(String[] args) throws SQLException {
    return DriverManager.getConnection(args[0], args[1], args[2]);
  }

  static PreparedStatement prepare(Connection c) throws SQLException {
    PreparedStatement s = c.prepareStatement("SELECT * FROM altered");
    s.unwrap(PGStatement.class).setPrepareThreshold(1);
    return s;
  }

  // One row of that many columns; the first is 7 in whatever type it has now.
  static void read(PreparedStatement s, int columns, int type) throws SQLException {
    try (ResultSet r = s.executeQuery()) {
      check(r.getMetaData().getColumnCount() == columns, "columns: " + r.getMetaData().getColumnCount());
      check(r.getMetaData().getColumnType(1) == type, "type: " + r.getMetaData().getColumnTypeName(1));
      check(r.next() && r.getLong(1) == 7 && !r.next(), "row");
    }
  }

  public static void main(String[] args) throws Exception {
    try (Connection ddl = open(args); Connection one = open(args); Connection two = open(args);
         Statement change = ddl.createStatement()) {
      change.execute("CREATE TABLE altered(a int4); INSERT INTO altered VALUES (7)");
      PreparedStatement first = prepare(one), second = prepare(two);
      for (int i = 0; i < 8; i++) {
        read(first, 1, Types.INTEGER);
        read(second, 1, Types.INTEGER);
      }
      String[] changes = {"ALTER COLUMN a TYPE int8", "ADD COLUMN b text", "ALTER COLUMN a TYPE int2", "DROP COLUMN b"};
      int[] types = {Types.BIGINT, Types.BIGINT, Types.SMALLINT, Types.SMALLINT};
      int[] columns = {1, 2, 2, 1};
      for (int n = 0; n < changes.length; n++) {
        change.execute("ALTER TABLE altered " + changes[n]);
        for (int i = 0; i < 6; i++) {
          read(first, columns[n], types[n]);
          read(second, columns[n], types[n]);
        }
      }
      two.setAutoCommit(false);
      read(second, 1, Types.SMALLINT);
      two.commit();
      change.execute("ALTER TABLE altered ALTER COLUMN a TYPE int8");
      int errors = 0;
      for (int i = 0; i < 4; i++) {
        try {
          read(second, 1, Types.BIGINT);
          two.commit();
        } catch (SQLException e) {
          check("0A000".equals(e.getSQLState()), "state " + e.getSQLState());
          errors++;
          two.rollback();
          second = prepare(two);
        }
      }
      check(errors <= 1, "errors: " + errors);
    }
    System.out.println("OK");
  }
}
