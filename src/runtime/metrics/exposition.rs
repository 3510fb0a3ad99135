//! A snapshot in OpenMetrics' text format, and in Prometheus' own.

use std::fmt;

use connect_core::plugin::ConnectorType;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::families::{
    BUILD_INFO, CONNECTOR, CONNECTOR_INFO, CONNECTOR_INFO_LABELS, COORDINATOR, Family, OWN_TASK,
    PARTITION, PREDICATE_INFO, PREDICATE_INFO_LABELS, PROCESS, REBALANCE, REBALANCE_INFO, TASK,
    TASK_ERROR, TASK_INFO, TASK_INFO_LABELS, TASK_STATUS, TRANSFORM_INFO, TRANSFORM_INFO_LABELS,
    WORKER, of_kind, status_text,
};
use super::plugins::{TaskPlugins, UsedPlugin};
use super::snapshot::{ConnectorSample, MetricsSnapshot, TaskSample};
use crate::runtime::plugin_catalog::task_class;

type Labels = Vec<(&'static str, String)>;

/// The snapshot in OpenMetrics' format.
pub(super) fn open_metrics(snapshot: MetricsSnapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string does not fail");
    out
}

/// The same in Prometheus' format: there the head of a counter has the name of its series, and the end is not marked.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // HELP stands before TYPE.
        let counts = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let is_of_counter = line.starts_with("# ")
            && (counts(line) || lines.peek().is_some_and(|next| counts(next)));
        match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["#", keyword, name, rest] if is_of_counter => {
                out.extend(["# ", keyword, " ", name, "_total ", rest, "\n"]);
            }
            ["#", "EOF"] => {}
            _ => {
                out.extend([line, "\n"]);
            }
        }
    }
    out
}

impl Collector for MetricsSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        ones(&mut encoder, BUILD_INFO, [build])?;
        for family in WORKER.iter().chain(PROCESS) {
            family.encode(&mut encoder, [(Labels::new(), self)])?;
        }
        self.encode_group(&mut encoder)?;
        ones(
            &mut encoder,
            CONNECTOR_INFO,
            self.connectors.iter().map(connector_info),
        )?;
        for family in CONNECTOR {
            let connectors = self.connectors.iter();
            family.encode(
                &mut encoder,
                connectors.map(|connector| (connector_labels(connector), connector)),
            )?;
        }
        ones(
            &mut encoder,
            TASK_STATUS,
            self.tasks(None).map(|(labels, task)| status(labels, task)),
        )?;
        self.encode_plugins(&mut encoder)?;
        for family in TASK.iter().chain(TASK_ERROR).chain(OWN_TASK) {
            family.encode(&mut encoder, self.tasks(None))?;
        }
        for kind in [ConnectorType::Source, ConnectorType::Sink] {
            for family in of_kind(kind) {
                family.encode(&mut encoder, self.tasks(Some(kind)))?;
            }
        }
        for family in PARTITION {
            let partitions = self.tasks(Some(ConnectorType::Sink)).flat_map(partitions);
            family.encode(&mut encoder, partitions)?;
        }
        Ok(())
    }
}

impl MetricsSnapshot {
    /// What there is of the worker's group.
    fn encode_group(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(group) = &self.rebalances else {
            return Ok(());
        };
        ones(encoder, REBALANCE_INFO, group.names())?;
        for family in REBALANCE {
            family.encode(encoder, [(Labels::new(), group)])?;
        }
        for family in COORDINATOR {
            let client_id = vec![("client_id", group.numbers.client_id.clone())];
            family.encode(encoder, [(client_id, group)])?;
        }
        Ok(())
    }

    /// What tasks are made of.
    fn encode_plugins(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let used = || {
            self.connectors.iter().flat_map(|connector| {
                let tasks = connector.tasks.iter();
                tasks
                    .filter_map(move |task| Some((connector, task, task.numbers.plugins.as_ref()?)))
            })
        };
        ones(
            encoder,
            TASK_INFO,
            used().map(|(connector, task, plugins)| task_info(connector, task, plugins)),
        )?;
        let transforms = used().flat_map(|(connector, task, plugins)| {
            let all = plugins.transforms.iter();
            all.map(|(name, used)| plugin_info(TRANSFORM_INFO_LABELS, connector, task, name, used))
        });
        ones(encoder, TRANSFORM_INFO, transforms)?;
        let predicates = used().flat_map(|(connector, task, plugins)| {
            let all = plugins.predicates.iter();
            all.map(|(name, used)| plugin_info(PREDICATE_INFO_LABELS, connector, task, name, used))
        });
        ones(encoder, PREDICATE_INFO, predicates)
    }

    /// The tasks with their labels; those of one kind of connector, or all.
    fn tasks(&self, kind: Option<ConnectorType>) -> impl Iterator<Item = (Labels, &TaskSample)> {
        let wanted =
            move |connector: &&ConnectorSample| kind.is_none_or(|kind| connector.kind == kind);
        self.connectors.iter().filter(wanted).flat_map(|connector| {
            let tasks = connector.tasks.iter();
            tasks.map(|task| {
                let mut labels = connector_labels(connector);
                labels.push(("task", task.id.to_string()));
                (labels, task)
            })
        })
    }
}

impl<S> Family<S> {
    /// Writes head and series; nothing if no thing has a value.
    fn encode<'a, L: EncodeLabelSet>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        things: impl IntoIterator<Item = (L, &'a S)>,
    ) -> fmt::Result {
        let things = things.into_iter();
        let mut series = things
            .filter_map(|(labels, thing)| Some((labels, (self.value)(thing)?)))
            .peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        match self.name.strip_suffix("_total") {
            // The format itself adds the suffix.
            Some(name) => {
                let mut metric =
                    encoder.encode_descriptor(name, self.help, None, MetricType::Counter)?;
                for (labels, value) in series {
                    counter(&mut metric.encode_family(&labels)?, value)?;
                }
            }
            None => {
                let mut metric =
                    encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
                for (labels, value) in series {
                    metric.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
        }
        Ok(())
    }
}

fn counter(metric: &mut MetricEncoder<'_>, value: f64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, f64, f64>(&value, None)
}

/// A family whose series are all 1: what they say is in their labels.
fn ones<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    all: impl IntoIterator<Item = L>,
) -> fmt::Result {
    let mut all = all.into_iter().peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for labels in all {
        metric.encode_family(&labels)?.encode_gauge(&1_i64)?;
    }
    Ok(())
}

fn connector_labels(connector: &ConnectorSample) -> Labels {
    vec![("connector", connector.name.clone())]
}

fn connector_info(connector: &ConnectorSample) -> Labels {
    let values = [
        &connector.name,
        status_text(connector.state),
        kind_text(connector.kind),
        connector.class,
        connector.version,
    ];
    labels(CONNECTOR_INFO_LABELS, values)
}

fn kind_text(kind: ConnectorType) -> &'static str {
    match kind {
        ConnectorType::Source => "source",
        ConnectorType::Sink => "sink",
    }
}

fn labels<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels {
    let pairs = names.into_iter().zip(values);
    pairs
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

fn task_info(connector: &ConnectorSample, task: &TaskSample, plugins: &TaskPlugins) -> Labels {
    let [key, value, header] = [
        plugins.key_converter,
        plugins.value_converter,
        plugins.header_converter,
    ];
    let values = [
        connector.name.as_str(),
        &task.id.to_string(),
        kind_text(connector.kind),
        connector.class,
        connector.version,
        &task_class(connector.class),
        connector.version,
        key.class,
        key.version,
        value.class,
        value.version,
        header.class,
        header.version,
    ];
    labels(TASK_INFO_LABELS, values)
}

fn plugin_info(
    names: [&'static str; 5],
    connector: &ConnectorSample,
    task: &TaskSample,
    name: &str,
    used: &UsedPlugin,
) -> Labels {
    let values = [
        connector.name.as_str(),
        &task.id.to_string(),
        name,
        used.class,
        used.version,
    ];
    labels(names, values)
}

fn status(mut labels: Labels, task: &TaskSample) -> Labels {
    labels.push(("status", status_text(task.state).to_owned()));
    labels
}

fn partitions(
    (labels, task): (Labels, &TaskSample),
) -> impl Iterator<Item = (Labels, &super::task::PartitionNumbers)> {
    let partitions = task.numbers.partitions.iter();
    partitions.map(move |(partition, numbers)| {
        let mut labels = labels.clone();
        labels.push(("topic", partition.topic.to_string()));
        labels.push(("partition", partition.partition.to_string()));
        (labels, numbers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_counters_have_the_names_of_their_series_in_prometheus_own_format() {
        let open = "# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes{x=\"# EOF\"} 1\n\
                    # HELP b Things so far.\n# TYPE b counter\nb_total 2\n\
                    # HELP c More.\n# TYPE c gauge\nc 3\n# EOF\n";
        let expected = "# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes{x=\"# EOF\"} 1\n\
                        # HELP b_total Things so far.\n# TYPE b_total counter\nb_total 2\n\
                        # HELP c More.\n# TYPE c gauge\nc 3\n";
        assert_eq!(plain(open), expected);
    }
}
