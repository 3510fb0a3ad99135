"""Writes and reads records with a Schema Registry as an independent client does: Confluent's for Python.

    schema_registry.py produce|consume avro|json|protobuf BROKERS REGISTRY TOPIC COUNT
"""

import decimal
import json
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

AVRO = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": "string"},
        {"name": "price", "type": "double"},
        {"name": "paid", "type": "boolean"},
        {"name": "count", "type": "int"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "address", "type": {"type": "record", "name": "Address", "fields": [{"name": "zip", "type": "string"}]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    ],
}

JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "price": {"type": "number"},
        "paid": {"type": "boolean"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "address": {"type": "object", "properties": {"zip": {"type": "string"}}},
    },
}

def message_class():
    """The class that protoc would make: message Order { int64 id = 1; … Address address = 7; message Address { string zip = 1; } }"""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    order = file.message_type.add(name="Order")
    kinds = [
        ("id", field.TYPE_INT64),
        ("name", field.TYPE_STRING),
        ("price", field.TYPE_DOUBLE),
        ("paid", field.TYPE_BOOL),
        ("count", field.TYPE_INT32),
        ("tags", field.TYPE_STRING),
    ]
    for number, (name, kind) in enumerate(kinds, 1):
        label = field.LABEL_REPEATED if name == "tags" else field.LABEL_OPTIONAL
        order.field.add(name=name, number=number, type=kind, label=label)
    address = order.nested_type.add(name="Address")
    address.field.add(name="zip", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    order.field.add(
        name="address", number=7, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, type_name=".shop.Order.Address"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def order(number):
    return {
        "id": number,
        "name": "né",
        "price": 1.5,
        "paid": True,
        "count": 3,
        "tags": ["a", "a"],
        "address": {"zip": "8001"},
    }


def serializer(kind, registry):
    if kind == "avro":
        serialize = AvroSerializer(registry, json.dumps(AVRO))
        more = {"note": None, "amount": decimal.Decimal("12.34")}
        return lambda number, context: serialize({**order(number), **more}, context)
    if kind == "json":
        serialize = JSONSerializer(json.dumps(JSON), registry)
        return lambda number, context: serialize(order(number), context)
    message = message_class()
    # The client registers the compiled file, not its text.
    serialize = ProtobufSerializer(message, registry, {"use.deprecated.format": False})
    return lambda number, context: serialize(json_format.ParseDict(order(number), message()), context)


def deserializer(kind, registry):
    if kind == "avro":
        return AvroDeserializer(registry)
    if kind == "json":
        return JSONDeserializer(None, schema_registry_client=registry)
    deserialize = ProtobufDeserializer(message_class(), {"use.deprecated.format": False})

    def as_dict(value, context):
        read = json_format.MessageToDict(deserialize(value, context), preserving_proto_field_name=True)
        return {**read, "id": int(read["id"])}

    return as_dict


def produce(kind, brokers, registry, topic, count):
    serialize = serializer(kind, registry)
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": brokers})
    for number in range(1, count + 1):
        producer.produce(topic, serialize(number, context))
    if producer.flush(60):
        sys.exit("not all records were acknowledged")


def consume(kind, brokers, registry, topic, count):
    deserialize = deserializer(kind, registry)
    context = SerializationContext(topic, MessageField.VALUE)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    until = time.monotonic() + 60
    while count and time.monotonic() < until:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        count -= 1
        print(json.dumps(deserialize(message.value(), context), sort_keys=True))
    consumer.close()
    if count:
        sys.exit(f"{count} records have not come")


def main():
    mode, kind, brokers, address, topic, count = sys.argv[1:]
    registry = SchemaRegistryClient({"url": address})
    {"produce": produce, "consume": consume}[mode](kind, brokers, registry, topic, int(count))


main()
