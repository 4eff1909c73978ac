#pragma once

// Who calls what is tested: fibers, threads, or both at once.

#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>

namespace test {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// How often to do something in a stress test: less under a sanitizer, which is slower.
constexpr int times(int n) { return sanitized ? (n + 19) / 20 : n; }

enum class callers { fibers, threads, mixed };

/// Calls f(0) to f(count - 1), each in a caller of its own, and waits for all, by means that are not ours.
inline void run_in(callers kind, int count, const std::function<void(int)>& f) {
  std::latch done(count);
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    auto body = [&f, &done, i] {
      f(i);
      done.count_down();
    };
    if (kind == callers::fibers || (kind == callers::mixed && i % 2 == 0)) {
      gofer::go(body);
    } else {
      threads.emplace_back(body);
    }
  }
  done.wait();
}

class ForCallers : public testing::TestWithParam<callers> {};

inline std::string name_of(const testing::TestParamInfo<callers>& info) {
  switch (info.param) {
    case callers::fibers:
      return "Fibers";
    case callers::threads:
      return "Threads";
    case callers::mixed:
      return "Mixed";
  }
  return "";
}

}  // namespace test

/// For tests that settle how the runtime is to be, or see it start: one can do so in a process. CTest starts every test
/// in a process of its own, so that none is left out there.
#define NEEDS_A_NEW_RUNTIME()           \
  if (gofer::stats().processors == 0) { \
  } else                                \
    GTEST_SKIP() << "the runtime has been started by another test in this process"

/// Lets the TEST_P of `Suite`, a using of test::ForCallers, run for each kind of caller.
#define FOR_ALL_CALLERS(Suite)                                                                                   \
  INSTANTIATE_TEST_SUITE_P(From, Suite,                                                                          \
                           testing::Values(test::callers::fibers, test::callers::threads, test::callers::mixed), \
                           test::name_of)
