#pragma once

// What a child process prints and how it ends. For what happens to a whole program: aborts, signals, its end.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

namespace test {

struct child_end {
  int status = 0;      // as waitpid gives it
  std::string output;  // standard error

  bool exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
  bool aborted() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT; }
};

/// Runs this program again with one test only, and `TEST_CHILD=1` and `setting` ("NAME=value" or nothing) set.
inline child_end run_again(const std::string& test, const std::string& setting = "") {
  std::array<char, 4096> self{};
  const auto length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  // Not one of several shards: the test is to run wherever it would be.
  const std::string command = "exec env -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX TEST_CHILD=1 " + setting + " '" +
                              std::string(self.data(), static_cast<std::size_t>(length)) + "' --gtest_filter='" + test +
                              "' 2>&1 >/dev/null";
  child_end end;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return end;
  std::array<char, 4096> part{};
  while (const std::size_t got = fread(part.data(), 1, part.size(), pipe)) end.output.append(part.data(), got);
  end.status = pclose(pipe);
  return end;
}

inline bool is_child() { return std::getenv("TEST_CHILD") != nullptr; }

/// The name of the test that runs, for run_again.
inline std::string this_test() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::string(info->test_suite_name()) + "." + info->name();
}

}  // namespace test
