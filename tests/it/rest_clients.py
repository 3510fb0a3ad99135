"""Both public clients for Kafka Connect do what their users do: rest_clients.py URL FOLDER."""

import sys
import time

from kafka_connect import KafkaConnect
from kafka_connect_api.kafka_connect_api import Api, Cluster

url, folder = sys.argv[1:]
open(f"{folder}/in.txt", "w").write("a\nb\n")
config = {
    "connector.class": "FileStreamSource",
    "tasks.max": 1,
    "file": f"{folder}/in.txt",
    "topic": "clients",
}


def until(what, probe):
    deadline = time.monotonic() + 30
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def with_kafka_connect_py():
    connect = KafkaConnect(url=url)
    assert connect.get_cluster_info()["version"] == "4.3.1"
    made = connect.create_connector({"name": "first", "config": config})
    assert made["config"]["tasks.max"] == "1", made
    state = lambda: connect.get_connector_status("first")["connector"]["state"]
    until("first runs", lambda: state() == "RUNNING")
    assert connect.list_connectors() == ["first"]
    assert "status" in connect.list_connectors(expand="status")["first"]
    assert connect.list_connectors(pattern="fi.*", state="running") == ["first"]
    updated = connect.update_connector("first", {**config, "batch.size": 10})
    assert updated["config"]["batch.size"] == "10", updated
    assert connect.get_connector_config("first")["batch.size"] == "10"
    assert connect.get_connector("first")["type"] == "source"
    connect.pause_connector("first")
    until("first is paused", lambda: state() == "PAUSED")
    connect.resume_connector("first")
    until("first runs again", lambda: state() == "RUNNING")
    assert connect.restart_connector("first") is None
    assert connect.restart_connector("first", include_tasks=True)["name"] == "first"
    connect.restart_all_connectors(include_tasks=True, only_failed=True)
    until("first has a task", lambda: connect.list_connector_tasks("first"))
    until("its task runs", lambda: connect.get_connector_task_status("first", 0)["state"] == "RUNNING")
    connect.restart_connector_task("first", 0)
    until("its topic is known", lambda: connect.list_connector_topics("first")["first"]["topics"])
    connect.reset_connector_topics("first")
    connect.stop_connector("first")
    until("first is stopped", lambda: state() == "STOPPED")
    plugins = [plugin["class"] for plugin in connect.list_connector_plugins()]
    assert "org.apache.kafka.connect.file.FileStreamSourceConnector" in plugins, plugins
    checked = connect.validate_connector_config("FileStreamSource", {**config, "name": "first"})
    assert checked["error_count"] == 0, checked
    connect.delete_connector("first")
    assert connect.list_connectors() == []


def with_kafka_connect_api():
    cluster = Cluster(Api(url=url))
    assert cluster.version == "4.3.1" and cluster.kafka_cluster
    cluster.api.post_raw("/connectors/", json={"name": "second", "config": config})
    second = cluster.connectors["second"]
    assert second.exists()
    until("second runs", lambda: second.state == "RUNNING" and second.tasks and second.tasks[0].is_running())
    second.config = {**second.config, "batch.size": "20"}
    assert second.config["batch.size"] == "20"
    assert second.connector_class == "FileStreamSource"
    second.pause()
    until("second is paused", lambda: second.state == "PAUSED")
    second.resume()
    until("second runs again", lambda: second.state == "RUNNING" and second.tasks and second.tasks[0].is_running())
    second.restart()
    second.restart_all_tasks()
    cluster.root_logger = "WARN"
    assert cluster.root_logger["level"] == "WARN"
    cluster.set_logger_log_level("org.apache.kafka.connect", "DEBUG")
    assert cluster.loggers["org.apache.kafka.connect"]["level"] == "DEBUG"
    second.delete()
    assert not cluster.connectors


with_kafka_connect_py()
with_kafka_connect_api()
