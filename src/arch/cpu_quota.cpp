#include "arch/cpu_quota.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace gofer::inline v0::arch {
namespace {

/// CPUs for `quota` microseconds in every `period`, rounded up: a quota of 1.5 keeps two processors busy enough.
std::optional<unsigned> cpus(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<unsigned>(std::max(1LL, (quota + period - 1) / period));
}

std::optional<unsigned> read_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  long long period = 0;
  if (!(file >> quota >> period) || quota == "max") return std::nullopt;
  std::istringstream number(quota);
  long long value = 0;
  return number >> value ? cpus(value, period) : std::nullopt;
}

std::optional<unsigned> read_v1(const std::string& folder) {
  long long quota = 0;
  long long period = 0;
  if (!(std::ifstream(folder + "/cpu.cfs_quota_us") >> quota)) return std::nullopt;
  if (!(std::ifstream(folder + "/cpu.cfs_period_us") >> period)) return std::nullopt;
  return cpus(quota, period);
}

void tighten(std::optional<unsigned>& limit, std::optional<unsigned> other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

}  // namespace

unsigned cpus_by_affinity() noexcept {
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<unsigned>(capacity));
    if (set == nullptr) return 1;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<unsigned>(capacity));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<unsigned>(std::max(1, count));
  }
  return 1;
}

std::optional<unsigned> cpus_by_quota(const std::string& root) {
  std::optional<unsigned> limit;
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {  // "0::/path" for v2, "4:cpu,cpuacct:/path" for v1
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const std::string base = root + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu");
    // A container often sees its own group at the root whatever the path says, so every level counts.
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      tighten(limit, v2 ? read_v2(base + path) : read_v1(base + path));
      if (path.empty()) break;
      if (path.find('/') == std::string::npos) path.insert(0, "/");
    }
  }
  return limit;
}

}  // namespace gofer::inline v0::arch
