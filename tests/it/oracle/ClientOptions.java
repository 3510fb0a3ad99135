import java.util.Map;
import java.util.TreeMap;

import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;

/** Prints the options of Kafka's clients, a line each: the clients that have it, name, type, importance, default. */
public class ClientOptions {
    public static void main(String[] arguments) {
        Map<String, StringBuilder> clients = new TreeMap<>();
        collect(clients, 'a', AdminClientConfig.configDef());
        collect(clients, 'c', ConsumerConfig.configDef());
        collect(clients, 'p', ProducerConfig.configDef());
        clients.forEach((option, of) -> System.out.println(of + "\t" + option));
    }

    private static void collect(Map<String, StringBuilder> clients, char client, ConfigDef definition) {
        for (ConfigDef.ConfigKey key : definition.configKeys().values()) {
            if (key.name.startsWith("internal.")) {
                continue; // not for users
            }
            String option = key.name + "\t" + key.type + "\t" + key.importance + "\t" + defaultOf(key);
            clients.computeIfAbsent(option, absent -> new StringBuilder()).append(client);
        }
    }

    /** `!`: it must be given; `-`: null; `=` and the text of any other. */
    private static String defaultOf(ConfigDef.ConfigKey key) {
        if (!key.hasDefault()) {
            return "!";
        }
        return key.defaultValue == null ? "-" : "=" + ConfigDef.convertToString(key.defaultValue, key.type);
    }
}
