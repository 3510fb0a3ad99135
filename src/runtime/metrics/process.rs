//! The process itself, under the names all Prometheus clients use. From Linux' `/proc`; elsewhere there are none.

/// Clock ticks a second in `/proc/self/stat`: 100 on every Linux there is.
const TICKS: f64 = 100.0;
/// `/proc/self/status` counts in these.
const KILOBYTE: f64 = 1024.0;

/// Figures of the process.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessSample {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) open_files: Option<f64>,
}

impl ProcessSample {
    /// The figures of now.
    pub(super) fn now() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        Self {
            cpu_seconds: read("/proc/self/stat").as_deref().and_then(cpu_seconds),
            resident_bytes: read("/proc/self/status")
                .as_deref()
                .and_then(resident_bytes),
            open_files: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count() as f64),
        }
    }
}

/// User and system time. The command's name, which may hold anything, ends with the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * KILOBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_and_spaces_is_no_obstacle() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 5 0 0 0 150 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    20 kB\n"),
            Some(20_480.0)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
