import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * Runs Kafka's own transforms, predicates and converters: a case per line of standard input, a result per line of standard output.
 * Values and schemas are printed in one form that tells every type apart; the test prints its own in the same form.
 */
public class Oracle {
    static final String PACKAGE = "org.apache.kafka.connect.transforms.";
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final JsonNodeFactory NODES = JsonNodeFactory.withExactBigDecimals(true);
    static final JsonConverter CONVERTER = new JsonConverter();

    public static void main(String[] arguments) throws Exception {
        CONVERTER.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), false);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(MAPPER.writeValueAsString(answer(MAPPER.readTree(line))));
        }
        out.flush();
    }

    static JsonNode answer(JsonNode request) throws Exception {
        if (request.has("classes")) {
            return classes();
        }
        if (request.has("converter")) {
            return converted(request);
        }
        if (request.has("avro")) {
            return avro(request);
        }
        Object plugin = Class.forName(PACKAGE + request.get("class").asText()).getDeclaredConstructor().newInstance();
        if (request.has("definition")) {
            return definition((ConfigDef) plugin.getClass().getMethod("config").invoke(plugin));
        }
        Map<String, String> config = new HashMap<>();
        request.get("config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        if (request.has("validate")) {
            return errors((ConfigDef) plugin.getClass().getMethod("config").invoke(plugin), config);
        }
        try {
            plugin.getClass().getMethod("configure", Map.class).invoke(plugin, config);
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            return error("configure", thrown.getCause());
        }
        ConnectRecord<?> record = record(request.get("record"));
        try {
            return plugin instanceof Predicate
                ? NODES.objectNode().put("test", test(plugin, record))
                : shown(apply(plugin, record));
        } catch (RuntimeException thrown) {
            return error("apply", thrown);
        }
    }

    /** Bytes read, or a value written, by a converter; {@code bytes} is the text of base64, or null. */
    static JsonNode converted(JsonNode request) throws Exception {
        Object plugin = Class.forName("org.apache.kafka.connect." + request.get("converter").asText())
            .getDeclaredConstructor().newInstance();
        Map<String, String> config = new HashMap<>();
        request.get("config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        boolean header = request.get("header").asBoolean();
        try {
            if (header) {
                config.put("converter.type", "header");
                ((HeaderConverter) plugin).configure(config);
            } else {
                ((Converter) plugin).configure(config, false);
            }
        } catch (RuntimeException thrown) {
            return error("configure", thrown);
        }
        try {
            if (request.has("bytes")) {
                byte[] bytes = request.get("bytes").isNull() ? null : request.get("bytes").binaryValue();
                SchemaAndValue read = header
                    ? ((HeaderConverter) plugin).toConnectHeader("t", "h", bytes)
                    : ((Converter) plugin).toConnectData("t", bytes);
                return datum(read.schema(), read.value());
            }
            SchemaAndValue datum = datum(request.get("datum"));
            byte[] written = header
                ? ((HeaderConverter) plugin).fromConnectHeader("t", "h", datum.schema(), datum.value())
                : ((Converter) plugin).fromConnectData("t", datum.schema(), datum.value());
            return written == null ? NODES.objectNode().putNull("bytes") : NODES.objectNode().put("bytes", written);
        } catch (RuntimeException thrown) {
            return error("convert", thrown);
        }
    }

    /**
     * A converter of the same lineage as Confluent's for Avro, which is on the class path when it is asked for: the Avro schema
     * and the bytes of a value, or the Connect schema of an Avro schema.
     */
    static JsonNode avro(JsonNode request) throws Exception {
        String schemas = "org.apache.avro.Schema";
        Map<String, Object> options = new HashMap<>();
        request.get("config").properties().forEach(entry -> options.put(entry.getKey(), entry.getValue().asText()));
        try {
            Class<?> config = Class.forName("io.apicurio.registry.utils.converter.avro.AvroDataConfig");
            Class<?> converter = Class.forName("io.apicurio.registry.utils.converter.avro.AvroData");
            Object data = converter.getConstructor(config)
                .newInstance(config.getConstructor(Map.class).newInstance(options));
            Class<?> type = Class.forName(schemas);
            if (!request.get("avro").isNull()) {
                Class<?> parser = Class.forName(schemas + "$Parser");
                Object parsed = parser.getMethod("parse", String.class)
                    .invoke(parser.getConstructor().newInstance(), request.get("avro").toString());
                return datum((Schema) converter.getMethod("toConnectSchema", type).invoke(data, parsed), null);
            }
            SchemaAndValue datum = datum(request.get("datum"));
            Object schema = converter.getMethod("fromConnectSchema", Schema.class).invoke(data, datum.schema());
            Object value = converter.getMethod("fromConnectData", Schema.class, Object.class)
                .invoke(data, datum.schema(), datum.value());
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            Object factory = Class.forName("org.apache.avro.io.EncoderFactory").getMethod("get").invoke(null);
            Class<?> previous = Class.forName("org.apache.avro.io.BinaryEncoder");
            Object encoder = factory.getClass().getMethod("directBinaryEncoder", java.io.OutputStream.class, previous)
                .invoke(factory, out, null);
            Class<?> writer = Class.forName("org.apache.avro.generic.GenericDatumWriter");
            writer.getMethod("write", Object.class, Class.forName("org.apache.avro.io.Encoder"))
                .invoke(writer.getConstructor(type).newInstance(schema), value, encoder);
            return NODES.objectNode().put("schema", schema.toString()).put("bytes", out.toByteArray());
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            return error("convert", thrown.getCause());
        }
    }

    @SuppressWarnings("unchecked")
    static <R extends ConnectRecord<R>> boolean test(Object plugin, ConnectRecord<?> record) {
        return ((Predicate<R>) plugin).test((R) record);
    }

    @SuppressWarnings("unchecked")
    static <R extends ConnectRecord<R>> ConnectRecord<R> apply(Object plugin, ConnectRecord<?> record) {
        return ((Transformation<R>) plugin).apply((R) record);
    }

    /** What the jars announce. */
    static ArrayNode classes() {
        ArrayNode names = NODES.arrayNode();
        for (Class<?> kind : List.of(Transformation.class, Predicate.class)) {
            ServiceLoader.load(kind).stream().map(provider -> provider.type().getName())
                .filter(name -> name.startsWith(PACKAGE)).sorted()
                .forEach(name -> names.add(name.substring(PACKAGE.length())));
        }
        return names;
    }

    static ObjectNode error(String when, Throwable thrown) {
        ObjectNode error = NODES.objectNode().put("when", when);
        error.put("message", thrown.getMessage());
        return NODES.objectNode().set("error", error);
    }

    static ArrayNode definition(ConfigDef definition) {
        ArrayNode keys = NODES.arrayNode();
        for (ConfigDef.ConfigKey key : definition.configKeys().values()) {
            String standard = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            keys.addObject().put("name", key.name).put("type", key.type.name()).put("required", !key.hasDefault())
                .put("default_value", standard).put("importance", key.importance.name()).put("group", key.group)
                .put("width", key.width.name()).put("display_name", key.displayName).put("order_in_group", key.orderInGroup);
        }
        return keys;
    }

    /** What validation finds, by option. */
    static ObjectNode errors(ConfigDef definition, Map<String, String> config) {
        ObjectNode errors = NODES.objectNode();
        for (ConfigValue value : definition.validate(config)) {
            if (!value.errorMessages().isEmpty()) {
                ArrayNode messages = errors.putArray(value.name());
                value.errorMessages().forEach(messages::add);
            }
        }
        return errors;
    }

    // Reading of records

    static ConnectRecord<?> record(JsonNode json) {
        SchemaAndValue key = datum(json.get("key"));
        SchemaAndValue value = datum(json.get("value"));
        Long timestamp = json.get("timestamp").isNull() ? null : json.get("timestamp").asLong();
        Integer partition = json.get("partition").isNull() ? null : json.get("partition").asInt();
        String topic = json.get("topic").asText();
        ConnectRecord<?> record = json.get("offset").isNull()
            ? new SourceRecord(null, null, topic, partition, key.schema(), key.value(), value.schema(), value.value(), timestamp)
            : new SinkRecord(topic, partition, key.schema(), key.value(), value.schema(), value.value(),
                json.get("offset").asLong(), timestamp, TimestampType.CREATE_TIME);
        for (JsonNode header : json.get("headers")) {
            record.headers().add(header.get("key").asText(), datum(header.get("value")));
        }
        return record;
    }

    static SchemaAndValue datum(JsonNode json) {
        if (json == null || json.isNull()) {
            return SchemaAndValue.NULL;
        }
        if (json.has("built")) {
            return built(json.get("built").asText().contains("optional"), json.get("built").asText().contains("set"));
        }
        if (json.has("plain")) {
            return new SchemaAndValue(null, plain(json.get("plain")));
        }
        return CONVERTER.toConnectData("t", json.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** A struct in a struct, with a default: the JSON converter cannot read such a schema. */
    static SchemaAndValue built(boolean optional, boolean set) {
        SchemaBuilder inner = SchemaBuilder.struct().name("inner").field("b", Schema.INT32_SCHEMA)
            .field("o", Schema.OPTIONAL_INT32_SCHEMA).field("s", SchemaBuilder.string().optional().defaultValue("z").build());
        if (optional) {
            inner.optional();
        }
        inner.defaultValue(new Struct(inner).put("b", 2).put("o", 4));
        Schema outer = SchemaBuilder.struct().field("a", inner.build()).field("x", Schema.INT32_SCHEMA).build();
        Struct value = new Struct(outer).put("x", 1);
        if (set) {
            value.put("a", new Struct(outer.field("a").schema()).put("b", 9));
        }
        return new SchemaAndValue(outer, value);
    }

    /** Values without a schema: as the JSON converter reads them, other types as an object with one field such as $int32. */
    static Object plain(JsonNode json) {
        if (json.isObject() && json.size() == 1 && json.fieldNames().next().startsWith("$")) {
            String type = json.fieldNames().next();
            return special(type, json.get(type));
        }
        if (json.isObject()) {
            Map<String, Object> map = new HashMap<>();
            json.properties().forEach(entry -> map.put(entry.getKey(), plain(entry.getValue())));
            return map;
        }
        if (json.isArray()) {
            List<Object> list = new ArrayList<>();
            json.forEach(item -> list.add(plain(item)));
            return list;
        }
        if (json.isNull()) {
            return null;
        }
        if (json.isBoolean()) {
            return json.asBoolean();
        }
        if (json.isIntegralNumber()) {
            return json.asLong();
        }
        return json.isNumber() ? (Object) json.asDouble() : json.asText();
    }

    static Object special(String type, JsonNode value) {
        switch (type) {
            case "$int8": return (byte) value.asInt();
            case "$int16": return (short) value.asInt();
            case "$int32": return value.asInt();
            case "$float32": return (float) value.asDouble();
            case "$date": return new Date(value.asLong());
            case "$bytes": return Base64.getDecoder().decode(value.asText());
            case "$decimal": return new BigDecimal(value.asText());
            default: throw new IllegalArgumentException(type);
        }
    }

    // Printing of records

    static JsonNode shown(ConnectRecord<?> record) {
        if (record == null) {
            return NODES.objectNode().put("dropped", true);
        }
        ObjectNode json = NODES.objectNode().put("topic", record.topic()).put("partition", record.kafkaPartition());
        json.put("timestamp", record.timestamp());
        json.set("key", datum(record.keySchema(), record.key()));
        json.set("value", datum(record.valueSchema(), record.value()));
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers()) {
            headers.addObject().put("key", header.key()).set("value", datum(header.schema(), header.value()));
        }
        return json;
    }

    static ObjectNode datum(Schema schema, Object value) {
        ObjectNode json = NODES.objectNode();
        json.set("schema", schema == null ? null : schema(schema));
        json.set("value", value(value));
        if (value instanceof Struct) {
            // A default cannot hold a schema that holds it.
            ObjectNode own = schema(((Struct) value).schema()).without("default");
            if (schema == null || !own.equals(schema(schema).without("default"))) {
                json.set("other", own);
            }
        }
        return json;
    }

    /** Of elements of several types the header converter makes no schema. */
    static JsonNode schemaOrNull(Schema schema) {
        return schema == null ? NODES.nullNode() : schema(schema);
    }

    static ObjectNode schema(Schema schema) {
        ObjectNode json = NODES.objectNode().put("type", schema.type().getName()).put("optional", schema.isOptional());
        if (schema.name() != null) json.put("name", schema.name());
        if (schema.version() != null) json.put("version", schema.version());
        if (schema.doc() != null) json.put("doc", schema.doc());
        if (schema.defaultValue() != null) json.set("default", value(schema.defaultValue()));
        if (schema.parameters() != null && !schema.parameters().isEmpty()) {
            ObjectNode parameters = json.putObject("parameters");
            new TreeMap<>(schema.parameters()).forEach(parameters::put);
        }
        switch (schema.type()) {
            case STRUCT:
                ArrayNode fields = json.putArray("fields");
                for (Field field : schema.fields()) {
                    fields.addObject().put("name", field.name()).set("schema", schema(field.schema()));
                }
                break;
            case MAP:
                json.set("keys", schemaOrNull(schema.keySchema()));
                json.set("values", schemaOrNull(schema.valueSchema()));
                break;
            case ARRAY:
                json.set("items", schemaOrNull(schema.valueSchema()));
                break;
            default:
        }
        return json;
    }

    static JsonNode value(Object value) {
        ObjectNode json = NODES.objectNode();
        if (value == null) return NODES.nullNode();
        if (value instanceof Boolean) return json.put("boolean", (Boolean) value);
        if (value instanceof Byte) return json.put("int8", (Byte) value);
        if (value instanceof Short) return json.put("int16", (Short) value);
        if (value instanceof Integer) return json.put("int32", (Integer) value);
        if (value instanceof Long) return json.put("int64", (Long) value);
        if (value instanceof Float) return json.put("float32", Float.floatToIntBits((Float) value));
        if (value instanceof Double) return json.put("float64", Double.doubleToLongBits((Double) value));
        if (value instanceof String) return json.put("string", (String) value);
        if (value instanceof byte[]) return json.put("bytes", Base64.getEncoder().encodeToString((byte[]) value));
        if (value instanceof ByteBuffer) return value(bytes((ByteBuffer) value));
        if (value instanceof BigInteger) return json.put("integer", value.toString());
        if (value instanceof BigDecimal) return decimal((BigDecimal) value);
        if (value instanceof Date) return json.put("date", ((Date) value).getTime());
        if (value instanceof List) {
            ArrayNode items = json.putArray("array");
            ((List<?>) value).forEach(item -> items.add(value(item)));
            return json;
        }
        if (value instanceof Map) {
            return map((Map<?, ?>) value);
        }
        if (value instanceof Struct) {
            ObjectNode fields = json.putObject("struct");
            Struct struct = (Struct) value;
            for (Field field : struct.schema().fields()) {
                fields.set(field.name(), value(struct.getWithoutDefault(field.name())));
            }
            return json;
        }
        return json.put("class", value.getClass().getName());
    }

    static ObjectNode decimal(BigDecimal decimal) {
        return NODES.objectNode().put("decimal", decimal.unscaledValue() + "e" + -decimal.scale());
    }

    static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    /** Entries by the text of their keys: Java's maps have no order of their own. */
    static ObjectNode map(Map<?, ?> map) {
        List<ArrayNode> entries = new ArrayList<>();
        map.forEach((key, value) -> entries.add(NODES.arrayNode().add(value(key)).add(value(value))));
        entries.sort(Comparator.comparing(entry -> entry.get(0).toString()));
        ObjectNode json = NODES.objectNode();
        json.putArray("map").addAll(entries);
        return json;
    }
}
