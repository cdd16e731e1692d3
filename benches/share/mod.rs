//! The memory of a function, and the share of a core that comes with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The memory that comes with a whole core, in MB. Source: AWS Lambda's guide, "Configure Lambda
/// function memory".
const CORE_MB: u64 = 1_769;
/// The period of a share, in microseconds.
const PERIOD_US: u64 = 100_000;

/// A control group that holds a process to a function's memory.
pub(crate) struct Share(Vec<PathBuf>);

impl Share {
    /// Puts the process into a new group.
    ///
    /// # Errors
    /// No control group can be made here.
    pub(crate) fn hold(process: u32, memory_mb: u64) -> Result<Self, std::io::Error> {
        let (quota_us, bytes) = (PERIOD_US * memory_mb / CORE_MB, (memory_mb << 20).to_string());
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("intercom-bulk-bench-{process}");
        let unified = root.join("cgroup.controllers").exists();
        let settings: Vec<(PathBuf, &str, String)> = if unified {
            let share = format!("{quota_us} {PERIOD_US}");
            vec![(root.join(&name), "cpu.max", share), (root.join(&name), "memory.max", bytes)]
        } else {
            let share = quota_us.to_string();
            vec![
                (root.join("cpu").join(&name), "cpu.cfs_quota_us", share),
                (root.join("memory").join(&name), "memory.limit_in_bytes", bytes),
            ]
        };
        let mut group = Self(Vec::new());
        for (folder, name, value) in settings {
            std::fs::create_dir_all(&folder)?;
            group.0.push(folder.clone());
            std::fs::write(folder.join(name), value)?;
            std::fs::write(folder.join("cgroup.procs"), process.to_string())?;
        }
        Ok(group)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Returns the CPU time (/proc/PID/stat, 100 ticks a second on Linux) and the highest resident
/// memory in MB of a process.
pub(crate) fn used(process: u32) -> (Duration, f64) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
    let (stat, status) = (read("stat"), read("status"));
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    let kb = line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0);
    (Duration::from_millis((ticks(11) + ticks(12)) * 10), kb / 1024.0)
}
