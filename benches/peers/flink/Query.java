import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs a file of SQL in a mini cluster of its own until it is done. Args: FILE [KEY=VALUE…], settings of Flink */
public class Query {
    public static void main(String[] args) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (int i = 1; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        EnvironmentSettings streaming = EnvironmentSettings.newInstance()
            .inStreamingMode()
            .withConfiguration(Configuration.fromMap(settings))
            .build();
        TableEnvironment environment = TableEnvironment.create(streaming);
        for (String statement : Files.readString(Path.of(args[0])).split(";\\s*(\\n|$)")) {
            if (!statement.isBlank()) {
                environment.executeSql(statement).await();
            }
        }
        // Threads of the cluster may hold the process.
        System.exit(0);
    }
}
