// Statistics of several fields that belong together, in three forms. Which to choose:
//
//   sharded<T>           for counting: updates are frequent and touch memory of their own thread alone, reading puts
//                        the parts together. The first choice.
//   atomic_value<T>      for what changes rarely and is read all the time: reading is a few instructions and sees all
//                        fields of one moment, an update copies the whole.
//   a mutex around a T   for the rest: an update that looks at several things, takes long, or has to wait.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct statistics {
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::chrono::nanoseconds duration{0};
};

class counted_apart {
 public:
  template <class F>
  void update(F change) {
    parts_.local(change);
  }
  statistics read() const {
    return parts_.fold(statistics{}, [](statistics a, const statistics& b) {
      return statistics{a.requests + b.requests, a.errors + b.errors, a.duration + b.duration};
    });
  }

 private:
  gofer::sharded<statistics> parts_;
};

class replaced_as_a_whole {
 public:
  template <class F>
  void update(F change) {
    current_.update(change);
  }
  statistics read() const { return *current_.load(); }

 private:
  gofer::atomic_value<statistics> current_{statistics{}};
};

class under_a_mutex {
 public:
  template <class F>
  void update(F change) {
    const std::scoped_lock hold(lock_);
    change(sum_);
  }
  statistics read() const {
    const std::scoped_lock hold(lock_);
    return sum_;
  }

 private:
  mutable gofer::mutex lock_;
  statistics sum_;  // guarded by lock_
};

/// A hundred requests at once, of which every seventh fails.
template <class Statistics>
statistics serve() {
  Statistics stats;
  gofer::wait_group fibers;
  for (int id = 0; id < 100; ++id) {
    fibers.go([&stats, id] {
      const auto begin = steady_clock::now();
      stats.update([](statistics& s) { ++s.requests; });
      gofer::sleep_for(pace(id % 10 * 10ms));  // work
      if (id % 7 == 0) stats.update([](statistics& s) { ++s.errors; });
      stats.update([&](statistics& s) { s.duration += steady_clock::now() - begin; });
    });
  }
  fibers.wait();
  return stats.read();
}

int main() {
  const auto milliseconds = [](std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e6; };
  const auto sum = serve<counted_apart>();
  std::printf("Requests: %lld\n", static_cast<long long>(sum.requests));
  std::printf("Errors: %lld\n", static_cast<long long>(sum.errors));
  std::printf("Total Duration: %.3fms\n", milliseconds(sum.duration));
  std::printf("Average Duration: %.3fms\n", milliseconds(sum.duration / sum.requests));

  const auto print = [&](const char* form, const statistics& s) {
    std::printf("%s: %lld requests, %lld errors, %.3fms on average\n", form, static_cast<long long>(s.requests),
                static_cast<long long>(s.errors), milliseconds(s.duration / s.requests));
  };
  print("With atomic_value", serve<replaced_as_a_whole>());
  print("With a mutex", serve<under_a_mutex>());
}

// Requests: 100
// Errors: 15
// Total Duration: 4506.480ms
// Average Duration: 45.065ms
// With atomic_value: 100 requests, 15 errors, 45.071ms on average
// With a mutex: 100 requests, 15 errors, 45.069ms on average
