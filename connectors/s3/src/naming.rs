//! Names of objects: Confluent's, or by a template.
//!
//! Holds always: two objects of one Kafka partition never have the same name, and a name is a pure function of topic,
//! partition, path, first offset, the rotation's clock and that of the rotation before, and of the objects before it in its
//! rotation. Both clocks are in the plan, so a rotation that is repeated after a crash has the same names.
//!
//! Clocks of the rotations of a partition never run backwards ([`crate::partition_writer`]): the only rotation whose time
//! can have the same text is the one before.

use connect_core::data::{Offset, SinkRecord, Timestamp};
use jiff::tz::TimeZone;

use crate::client::Destination;
use crate::origin::Origin;
use crate::template::{NameTemplate, NameValues, is_repeated_hour};

/// What names objects.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub(crate) topics_dir: String,
    pub(crate) directory_delim: String,
    pub(crate) file_delim: String,
    pub(crate) pad_width: usize,
    pub(crate) extension: String,
    pub(crate) template: Option<NameTemplate>,
    /// The zone of times in names.
    pub(crate) zone: TimeZone,
    /// Whose objects they are.
    pub(crate) connector: String,
}

/// What one object's name is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectName<'a> {
    pub(crate) topic: &'a str,
    pub(crate) path: &'a str,
    pub(crate) partition: i32,
    /// The offset of its first record.
    pub(crate) start: Offset,
    /// The rotation's clock.
    pub(crate) clock: Timestamp,
    /// Which piece of its offset the first record is.
    pub(crate) piece: u32,
    /// True if the rotation has an object already whose name would be the same.
    pub(crate) is_next: bool,
}

impl Naming {
    /// True if names depend on the rotation's clock.
    pub(crate) fn goes_by_clock(&self) -> bool {
        self.template.as_ref().is_some_and(NameTemplate::has_time)
    }

    /// Where the object goes whose first record is `first`; `before` is the clock of the rotation before.
    pub(crate) fn destination(
        &self,
        first: &SinkRecord,
        object: &ObjectName<'_>,
        before: Option<Timestamp>,
    ) -> Destination {
        Destination {
            key: self.key(object, before),
            origin: self.origin(first),
        }
    }

    fn key(&self, object: &ObjectName<'_>, before: Option<Timestamp>) -> String {
        let name = match &self.template {
            None => self.default_name(object),
            Some(template) => self.name_by(template, object, before),
        };
        let extension = &self.extension;
        match self.topics_dir.as_str() {
            "" => format!("{name}{extension}"),
            topics_dir => format!("{topics_dir}{}{name}{extension}", self.directory_delim),
        }
    }

    /// Where an object whose first record is this comes from, if its name does not say so by itself.
    fn origin(&self, record: &SinkRecord) -> Option<Origin> {
        let says_it = self.template.is_none() && record.topic == record.origin.topic;
        (!says_it).then(|| Origin::of(record, &self.connector))
    }

    /// `<topic>/<path>/<topic>+<partition>+<start offset>`
    fn default_name(&self, object: &ObjectName<'_>) -> String {
        let slash = &self.directory_delim;
        let (topic, path) = (object.topic, object.path);
        format!("{topic}{slash}{path}{slash}{topic}{}", self.ending(object))
    }

    /// `+<partition>+<start offset>`, and `+<piece>` if the object before may begin with another piece of this offset.
    fn ending(&self, object: &ObjectName<'_>) -> String {
        let (plus, width) = (&self.file_delim, self.pad_width);
        let (partition, start) = (object.partition, object.start.value());
        let ending = format!("{plus}{partition}{plus}{start:0width$}");
        if object.is_next && object.piece > 0 {
            return format!("{ending}{plus}{}", object.piece);
        }
        ending
    }

    fn name_by(
        &self,
        template: &NameTemplate,
        object: &ObjectName<'_>,
        before: Option<Timestamp>,
    ) -> String {
        let name = template.name(
            &NameValues {
                topic: object.topic,
                partition: object.partition,
                start: object.start,
                width: self.pad_width,
                path: object.path,
                clock: object.clock,
            },
            &self.zone,
        );
        if self.needs_ending(template, object, before) {
            return name + &self.ending(object);
        }
        name
    }

    /// True if another object has, had or may get the name that the template gives to this one.
    fn needs_ending(
        &self,
        template: &NameTemplate,
        object: &ObjectName<'_>,
        before: Option<Timestamp>,
    ) -> bool {
        let is_torn = object.is_next && object.piece > 0;
        if is_torn || (object.partition != 0 && !template.has_partition()) {
            return true;
        }
        let same_time = || {
            before.is_some_and(|before| template.same_time(before, object.clock, &self.zone))
                || is_repeated_hour(object.clock, &self.zone)
        };
        !template.has_start_offset() && (object.is_next || same_time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(template: &str) -> Naming {
        Naming {
            topics_dir: String::new(),
            directory_delim: "/".to_owned(),
            file_delim: "+".to_owned(),
            pad_width: 10,
            extension: ".csv".to_owned(),
            template: Some(NameTemplate::compile(template).unwrap()),
            zone: TimeZone::UTC,
            connector: "c".to_owned(),
        }
    }

    fn object(partition: i32, start: i64, seconds: i64) -> ObjectName<'static> {
        ObjectName {
            topic: "sales",
            path: "partition=0",
            partition,
            start: Offset::new(start),
            clock: Timestamp::from_millis(seconds * 1000),
            piece: 0,
            is_next: false,
        }
    }

    fn second(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(seconds * 1000 + 999))
    }

    const BY_TIME: &str = "{{topic}}_{{timestamp:yyyyMMdd_HHmmss}}";

    #[test]
    fn only_what_the_template_cannot_tell_apart_gets_an_ending() {
        let naming = naming(BY_TIME);
        let plain = "sales_19700101_000005.csv";
        assert_eq!(naming.key(&object(0, 100, 5), None), plain);
        assert_eq!(naming.key(&object(0, 100, 5), second(4)), plain);
        assert_eq!(
            naming.key(&object(0, 200, 5), second(5)),
            "sales_19700101_000005+0+0000000200.csv"
        );
        assert_eq!(
            naming.key(&object(7, 100, 5), None),
            "sales_19700101_000005+7+0000000100.csv"
        );
        let next = ObjectName {
            is_next: true,
            ..object(0, 150, 5)
        };
        assert_eq!(
            naming.key(&next, None),
            "sales_19700101_000005+0+0000000150.csv"
        );
        let piece = ObjectName { piece: 3, ..next };
        assert_eq!(
            naming.key(&piece, None),
            "sales_19700101_000005+0+0000000150+3.csv"
        );
    }

    #[test]
    fn offsets_and_partitions_in_the_template_are_enough() {
        let naming = naming("{{topic}}/{{partition}}-{{start_offset}}");
        assert_eq!(
            naming.key(&object(7, 100, 5), second(5)),
            "sales/7-0000000100.csv"
        );
    }
}
