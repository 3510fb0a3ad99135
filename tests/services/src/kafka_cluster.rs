//! Apache Kafka: several nodes, each broker and controller, of which any may die or be frozen.

use std::collections::BTreeMap;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::kafka::{Kafka, KafkaOptions, Node};

/// A running cluster; killed when dropped. Nodes are counted from 1; topics have a replica on each.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: BTreeMap<u32, Kafka>,
}

impl KafkaCluster {
    /// Starts so many nodes and waits until each of them answers. `options` are those of all, without listeners.
    pub fn start(count: u32, options: &KafkaOptions) -> Result<Self> {
        let options = missed_soon(options);
        let nodes = Node::some(count)?;
        let mut started: BTreeMap<u32, Kafka> = thread::scope(|scope| {
            let format = |node: &Node| {
                let (node, nodes, options) = (*node, &nodes, &options);
                let formatted = move || Ok((node.id, Kafka::formatted(node, nodes, options)?));
                scope.spawn(formatted)
            };
            let formatting: Vec<_> = nodes.iter().map(format).collect();
            let formatted = formatting.into_iter().map(|formatting| {
                let panicked = |_| anyhow::anyhow!("formatting panicked");
                formatting.join().map_err(panicked).flatten()
            });
            formatted.collect::<Result<_>>()
        })?;
        // None of them answers before most of them run.
        started.values_mut().try_for_each(Kafka::launch)?;
        started.values_mut().try_for_each(Kafka::await_answer)?;
        Ok(Self { nodes: started })
    }

    /// `host:port` of each node, for clients.
    pub fn bootstrap(&self) -> String {
        let nodes = self.nodes.values();
        nodes.map(Kafka::bootstrap).collect::<Vec<_>>().join(",")
    }

    /// A node: to ask it, to freeze it, to let it go on.
    pub fn node(&self, id: u32) -> Result<&Kafka> {
        let node = self.nodes.get(&id);
        node.with_context(|| format!("there is no node {id}"))
    }

    /// A node: to kill it, to start it again.
    pub fn node_mut(&mut self, id: u32) -> Result<&mut Kafka> {
        let node = self.nodes.get_mut(&id);
        node.with_context(|| format!("there is no node {id}"))
    }

    /// Any node but this one.
    pub fn other_node(&self, id: u32) -> Result<&Kafka> {
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|(other, _)| **other != id);
        found.map(|(_, node)| node).context("there is only one")
    }

    /// The node that leads the first partition of a topic, asked for at `node`.
    pub fn leader(node: &Kafka, topic: &str) -> Result<u32> {
        let text = node.describe_topic(topic)?;
        let Some((_, rest)) = text.split_once("Leader: ") else {
            bail!("{topic} is not described: {text}");
        };
        let leader = rest.split_whitespace().next().unwrap_or_default();
        let parsed = leader.parse();
        parsed.with_context(|| format!("{topic} has no leader: {text}"))
    }
}

/// A node that is silent is taken for dead after some seconds, not after nine.
fn missed_soon(options: &KafkaOptions) -> KafkaOptions {
    let soon = [
        ("broker.session.timeout.ms", "4000"),
        ("broker.heartbeat.interval.ms", "500"),
    ];
    let mut properties: BTreeMap<_, _> = soon
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    properties.extend(options.properties.clone());
    KafkaOptions {
        properties,
        listeners: options.listeners.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn another_node_leads_when_the_one_that_led_is_killed() {
        let mut cluster = KafkaCluster::start(3, &KafkaOptions::default()).unwrap();
        let first = cluster.node(1).unwrap();
        first.create_topic("kept", 1, &[]).unwrap();
        let leader = KafkaCluster::leader(first, "kept").unwrap();
        cluster.node_mut(leader).unwrap().kill9().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let asked = KafkaCluster::leader(cluster.other_node(leader).unwrap(), "kept");
            if asked.as_ref().is_ok_and(|other| *other != leader) {
                break;
            }
            assert!(Instant::now() < deadline, "{asked:?}");
        }
        cluster.node_mut(leader).unwrap().restart().unwrap();
    }
}
