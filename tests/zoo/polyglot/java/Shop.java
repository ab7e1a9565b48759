// One instance of a shop in Java: the routes of ZOO_FORM on ZOO_PORT. Nothing here knows of spans:
// `java -javaagent:opentelemetry-javaagent.jar Shop.java` instruments it.

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.javalin.Javalin;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.params.SetParams;

public final class Shop {
    private static final Map<String, String> ENVIRONMENT = System.getenv();
    private static final Map<Integer, String> MEMORY = new ConcurrentHashMap<>();
    private static final SetParams FIVE_MINUTES = SetParams.setParams().ex(300);
    private static final HikariDataSource DATABASE = database();
    private static final JedisPooled REDIS = new JedisPooled(ENVIRONMENT.get("ZOO_REDIS"));

    interface Work {
        String on(int id) throws SQLException;
    }

    interface Fill {
        void put(String name, String value);
    }

    private static HikariDataSource database() {
        String address = ENVIRONMENT.get("ZOO_DB").replaceFirst("postgresql://([^@]*)@", "jdbc:postgresql://");
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(address);
        config.setUsername("spanlint");
        config.setMaximumPoolSize(12);
        config.setMinimumIdle(1);
        return new HikariDataSource(config);
    }

    private static String name(int id) {
        return ENVIRONMENT.get("ZOO_NAME") + ":product:" + id;
    }

    private static String read(String statement, int... values) throws SQLException {
        try (Connection connection = DATABASE.getConnection();
                PreparedStatement prepared = connection.prepareStatement(statement)) {
            for (int n = 0; n < values.length; n++) {
                prepared.setInt(n + 1, values[n]);
            }
            StringBuilder rows = new StringBuilder();
            try (ResultSet found = prepared.executeQuery()) {
                while (found.next()) {
                    rows.append(found.getString(1)).append(' ').append(found.getString(2)).append('\n');
                }
            }
            return rows.toString();
        }
    }

    private static String load(int id) throws SQLException {
        return read("SELECT id, name, price FROM products WHERE id = ?", id);
    }

    // The id stands in the text, as in SQL put together by hand: the agent masks it.
    private static String loadByHand(int id) throws SQLException {
        return read("SELECT id, name, price FROM products WHERE id = " + id);
    }

    // Cache-aside; `fill` puts the value there, or forgets to.
    private static Work through(Fill fill) {
        return id -> {
            String found = REDIS.get(name(id));
            if (found != null) {
                return found;
            }
            String value = load(id);
            fill.put(name(id), value);
            return value;
        };
    }

    private static String fromMemory(int id) throws SQLException {
        String known = MEMORY.get(id);
        if (known == null) {
            known = load(id);
            MEMORY.put(id, known);
        }
        return known;
    }

    private static String change(int id) throws SQLException {
        try (Connection connection = DATABASE.getConnection();
                PreparedStatement prepared =
                        connection.prepareStatement("UPDATE products SET price = price + 1 WHERE id = ?")) {
            prepared.setInt(1, id);
            prepared.executeUpdate();
        }
        return "changed";
    }

    private static String changeAndDelete(int id) throws SQLException {
        String done = change(id);
        REDIS.del(name(id));
        return done;
    }

    // Every product of a page by itself, or all at once.
    private static String eachOf(int id) throws SQLException {
        for (int n = 0; n < 12; n++) {
            load(id + n);
        }
        return "page";
    }

    private static String allOf(int id) throws SQLException {
        return read("SELECT id, name FROM products WHERE id BETWEEN ? AND ?", id, id + 11);
    }

    private static Work get(String form) {
        Fill withTtl = (name, value) -> REDIS.set(name, value, FIVE_MINUTES);
        return switch (form) {
            case "aside", "no_invalidation", "invalidation" -> through(withTtl);
            case "uncached" -> Shop::load;
            case "uncached_by_hand" -> Shop::loadByHand;
            case "never_filled" -> through((name, value) -> {});
            case "no_expiry" -> through((name, value) -> REDIS.set(name, value));
            case "memory" -> Shop::fromMemory;
            case "each" -> Shop::eachOf;
            case "all" -> Shop::allOf;
            default -> throw new IllegalArgumentException(form);
        };
    }

    public static void main(String[] none) {
        String form = ENVIRONMENT.get("ZOO_FORM").split("\\.")[1];
        Work get = get(form);
        Work put = form.equals("invalidation") ? Shop::changeAndDelete : Shop::change;
        Javalin app = Javalin.create(config -> config.showJavalinBanner = false);
        app.get("/products/{id}", ask -> ask.result(get.on(Integer.parseInt(ask.pathParam("id")))));
        app.put("/products/{id}", ask -> ask.result(put.on(Integer.parseInt(ask.pathParam("id")))));
        Runtime.getRuntime().addShutdownHook(new Thread(app::stop));
        app.start("127.0.0.1", Integer.parseInt(ENVIRONMENT.get("ZOO_PORT")));
    }
}
