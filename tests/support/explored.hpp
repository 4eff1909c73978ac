#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"

namespace test {

/// How many schedules; GOFER_SCHEDULES asks for another number.
inline std::size_t schedules() {
  if (const char* wanted = std::getenv("GOFER_SCHEDULES")) return std::strtoull(wanted, nullptr, 10);
#if defined(GOFER_TSAN) || defined(GOFER_ASAN)
  return 500;
#else
  return 10'000;
#endif
}

template <class F>
void explored(F body) {
  const auto report = gofer::testing::explore(std::move(body), {.schedules = schedules()});
  EXPECT_TRUE(report.exhaustive || report.schedules == schedules());
}

/// When a form of waiting gives up.
enum class gives_up { never, at_once, in_time, on_stop };

/// Explores `play`, which returns an outcome, and expects all that is allowed and nothing else. `share`: of the usual
/// number of schedules, as many times again (with other seeds) as it takes to see everything, within reason.
inline void expect_outcomes(const std::string& name, const std::set<std::string>& allowed, std::size_t share,
                            const std::function<std::string()>& play) {
  std::set<std::string> seen;
  const std::size_t rounds = schedules() < 10'000 ? 1 : 20;
  for (std::size_t seed = 1; seed <= rounds && seen != allowed; ++seed) {
    try {
      gofer::testing::explore([&] { seen.insert(play()); }, {.schedules = schedules() / share, .seed = seed});
    } catch (const gofer::testing::schedule_failure& e) {
      ADD_FAILURE() << name << "\n" << e.what();
      return;
    }
    for (const std::string& outcome : seen) {
      if (!allowed.contains(outcome)) ADD_FAILURE() << name << ": " << outcome;
    }
    if (testing::Test::HasFailure()) return;
  }
  if (rounds == 1) return;  // too few to see everything
  for (const std::string& outcome : allowed) {
    if (!seen.contains(outcome)) ADD_FAILURE() << name << ": never " << outcome;
  }
}

}  // namespace test
