import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/** pgjdbc asks; prints `provider,requests,cost_micro,p95_ms` as CSV for the test to compare. Args: host:port. */
public class JdbcClient {
    static final String NUMBERS = "SELECT provider, sum(requests) AS requests, sum(cost_micro) AS cost_micro, "
        + "quantile(duration_ms, 0.95) AS p95_ms FROM api_calls GROUP BY provider ORDER BY provider";

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static String refused(Connection connection, String sql) {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
            return "an answer";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", "anna");
        // After five runs a statement is prepared by name and read in binary; here after the first.
        properties.setProperty("prepareThreshold", "1");
        try (Connection connection = DriverManager.getConnection("jdbc:postgresql://" + args[0] + "/tidewatch", properties)) {
            List<String> last = null;
            for (int run = 0; run < 4; run++) {
                List<String> rows = new ArrayList<>();
                try (PreparedStatement statement = connection.prepareStatement(NUMBERS);
                     ResultSet found = statement.executeQuery()) {
                    while (found.next()) {
                        BigDecimal cost = found.getBigDecimal(3);
                        rows.add(found.getString(1) + "," + found.getLong(2) + ","
                            + (cost == null ? "" : cost.toPlainString()) + "," + found.getLong(4));
                    }
                }
                check(last == null || last.equals(rows), "run " + run + ": " + rows + " after " + last);
                last = rows;
            }
            System.out.println("provider,requests,cost_micro,p95_ms");
            last.forEach(System.out::println);

            try (PreparedStatement statement = connection.prepareStatement(
                    "SELECT count(*), max(window_start) FROM api_calls WHERE window_start >= ? AND requests > ? AND provider <> ?")) {
                statement.setObject(1, OffsetDateTime.of(2026, 3, 14, 12, 5, 0, 0, ZoneOffset.UTC));
                statement.setLong(2, 0);
                statement.setString(3, "nobody");
                for (int run = 0; run < 3; run++) {
                    try (ResultSet found = statement.executeQuery()) {
                        check(found.next() && found.getLong(1) > 0, "a parameterised count");
                        OffsetDateTime newest = found.getObject(2, OffsetDateTime.class);
                        check(newest.getOffset().equals(ZoneOffset.UTC) && newest.getYear() == 2026, "newest " + newest);
                    }
                }
            }

            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(7000);
                int rows = 0;
                try (ResultSet found = statement.executeQuery("SELECT value FROM generate_series(1, 100000) ORDER BY value")) {
                    while (found.next()) check(found.getInt(1) == ++rows, "row " + rows);
                }
                check(rows == 100000, rows + " rows");
            }
            connection.commit();
            connection.setAutoCommit(true);

            check(refused(connection, "SELECT * FROM nowhere").equals("42P01"), refused(connection, "SELECT * FROM nowhere"));
            check(refused(connection, "DELETE FROM api_calls").equals("25006"), refused(connection, "DELETE FROM api_calls"));

            try (ResultSet tables = connection.getMetaData().getTables(null, "public", "api_%", new String[] {"TABLE", "VIEW"})) {
                List<String> names = new ArrayList<>();
                while (tables.next()) names.add(tables.getString("TABLE_NAME") + ":" + tables.getString("TABLE_TYPE"));
                check(names.contains("api_calls:TABLE") && names.contains("api_error_ratio:VIEW"), "tables " + names);
            }
            try (ResultSet columns = connection.getMetaData().getColumns(null, "public", "api_calls", "%")) {
                List<String> names = new ArrayList<>();
                while (columns.next()) names.add(columns.getString("COLUMN_NAME") + ":" + columns.getString("TYPE_NAME"));
                check(names.contains("window_start:timestamptz") && names.contains("requests:int8"), "columns " + names);
            }

            try (Statement endless = connection.createStatement()) {
                Thread canceller = new Thread(() -> {
                    try {
                        Thread.sleep(1000);
                        endless.cancel();
                    } catch (Exception error) {
                        throw new RuntimeException(error);
                    }
                });
                canceller.start();
                long started = System.nanoTime();
                try {
                    endless.executeQuery("SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b");
                    check(false, "an endless query has ended");
                } catch (SQLException error) {
                    check("57014".equals(error.getSQLState()), error.toString());
                }
                check(System.nanoTime() - started < 15_000_000_000L, "the cancel was slow");
                canceller.join();
            }
        }
    }
}
