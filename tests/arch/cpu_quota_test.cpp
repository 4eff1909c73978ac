#include "arch/cpu_quota.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

namespace fs = std::filesystem;

class CpuQuota : public testing::Test {
 protected:
  CpuQuota() : root_(fs::temp_directory_path() / ("gofer-quota-" + std::to_string(getpid()))) {}
  ~CpuQuota() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) const {
    const fs::path file = root_.string() + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<unsigned> quota() const { return gofer::arch::cpus_by_quota(root_.string()); }

  fs::path root_;
};

TEST_F(CpuQuota, IsNoneWithoutControlGroups) { EXPECT_EQ(quota(), std::nullopt); }

TEST_F(CpuQuota, IsNoneWhenTheMaximumIsMax) {
  put("/proc/self/cgroup", "0::/jobs\n");
  put("/sys/fs/cgroup/jobs/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, IsRoundedUp) {
  put("/proc/self/cgroup", "0::/jobs\n");
  put("/sys/fs/cgroup/jobs/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2U);
}

TEST_F(CpuQuota, IsTheTightestOnTheWayToTheRoot) {
  put("/proc/self/cgroup", "0::/slice/jobs\n");
  put("/sys/fs/cgroup/slice/jobs/cpu.max", "800000 100000\n");
  put("/sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3U);
}

TEST_F(CpuQuota, OfAContainerIsAtTheRoot) {
  put("/proc/self/cgroup", "0::/../other/container\n");
  put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 1U);
}

TEST_F(CpuQuota, OfTheFirstVersionIsReadToo) {
  put("/proc/self/cgroup", "5:memory:/jobs\n4:cpu,cpuacct:/jobs\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", "400000\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 4U);
}

TEST_F(CpuQuota, OfTheFirstVersionIsNoneWhenNegative) {
  put("/proc/self/cgroup", "4:cpu,cpuacct:/jobs\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST(Affinity, IsCounted) {
  cpu_set_t before{};
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(gofer::arch::cpus_by_affinity(), static_cast<unsigned>(CPU_COUNT(&before)));
  cpu_set_t allowed{};
  unsigned count = 0;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_SET(cpu, &allowed);
    ++count;
    EXPECT_EQ(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
    EXPECT_EQ(gofer::arch::cpus_by_affinity(), count);
  }
  EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
