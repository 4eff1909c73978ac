#pragma once

#include <optional>
#include <string>

namespace gofer::inline v0::arch {

/// CPUs that this process may run on, by its affinity mask; at least 1.
unsigned cpus_by_affinity() noexcept;

/// CPUs' worth of time that the control group allows, rounded up, from cgroup v2 (`cpu.max`, the tightest on the
/// way to the root) or v1 (`cpu.cfs_quota_us`). Empty where there is no limit. `root` stands before the paths
/// /proc/self/cgroup and /sys/fs/cgroup; tests point it at crafted files.
std::optional<unsigned> cpus_by_quota(const std::string& root = "");

}  // namespace gofer::inline v0::arch
