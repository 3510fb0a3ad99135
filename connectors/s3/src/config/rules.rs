//! Rules that need several options at once.

use connect_core::config::OptionError;

use super::{S3SinkConfig, simple};
use crate::template::NameTemplate;

impl S3SinkConfig {
    /// Every rule that is broken, by key.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = self.csv.cross_errors();
        self.check_partitioner(&mut errors);
        self.check_template(&mut errors);
        if self.connector.rotate_schedule_interval > 0 && self.partitioner.timezone.is_empty() {
            let reason = "timezone configuration must be set when using scheduled rotation";
            errors.push(OptionError::invalid("timezone", "", reason));
        }
        if !self.bucket.access_key_id.is_empty() && self.bucket.secret_access_key.is_none() {
            errors.push(OptionError::new(
                "aws.secret.access.key",
                "aws.secret.access.key must be set with aws.access.key.id",
            ));
        }
        errors
    }

    fn check_partitioner(&self, errors: &mut Vec<OptionError>) {
        let options = &self.partitioner;
        let mut refuse = |key: &str, value: &str, reason: &str| {
            errors.push(OptionError::invalid(key, value, reason));
        };
        if self.is_time_based() && options.locale.is_empty() {
            refuse("locale", "", "Locale cannot be empty.");
        }
        if self.is_time_based() && options.timezone.is_empty() {
            refuse("timezone", "", "Timezone cannot be empty.");
        }
        if simple(&options.class) != "TimeBasedPartitioner" {
            return;
        }
        if options.path_format.trim_matches('/').is_empty() {
            let reason = "Path format cannot be empty.";
            refuse("path.format", &options.path_format, reason);
        }
        if options.duration < 1 {
            let reason = "Partition duration needs to be a positive.";
            let duration = options.duration.to_string();
            refuse("partition.duration.ms", &duration, reason);
        }
    }

    fn is_time_based(&self) -> bool {
        simple(&self.partitioner.class) != "DefaultPartitioner"
    }

    /// A rotation has an object per path: their names must differ.
    fn check_template(&self, errors: &mut Vec<OptionError>) {
        let Some(text) = &self.connector.name_template else {
            return;
        };
        let tells_paths_apart = NameTemplate::compile(text)
            .is_ok_and(|template| template.has_path() || template.has_start_offset());
        if self.is_time_based() && !tells_paths_apart {
            let reason = "objects of different paths would overwrite each other: {{path}} or {{start_offset}} is needed with this partitioner.class";
            errors.push(OptionError::invalid("file.name.template", text, reason));
        }
    }
}
