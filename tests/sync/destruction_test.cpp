// A primitive that is destroyed while somebody waits for it says so; one that a program leaves behind at its end does
// not.

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shared_mutex>
#include <string>
#include <thread>

#include <gofer/gofer.hpp>

#include "sched/inspect.hpp"

namespace {

using namespace std::chrono_literals;

/// Until a fiber or another plain thread waits.
void until_somebody_waits() {
  gofer::run([] {});  // the runtime keeps the books
  for (bool waits = false; !waits;) {
    std::this_thread::sleep_for(1ms);
    waits = gofer::stats().parked != 0;
    gofer::sched::for_each_waiting_thread(gofer::sched::runtime::get(), [&](const auto&) { waits = true; });
  }
}

/// Makes a primitive, lets a fiber named "late" or a thread wait for it, and destroys it.
template <class Primitive, class Wait>
void destroy_under(bool fiber, Wait wait) {
  auto& primitive = *new std::optional<Primitive>;
  if constexpr (std::is_constructible_v<Primitive, std::ptrdiff_t>) {
    primitive.emplace(1);
  } else {
    primitive.emplace();
  }
  const auto body = [&primitive, wait] { wait(*primitive); };
  if (fiber) {
    gofer::go({.name = "late"}, body);
  } else {
    std::thread(body).detach();
  }
  until_somebody_waits();
  primitive.reset();
}

template <class Primitive, class Wait>
void expect_report(const std::string& kind, const std::string& operation, Wait wait) {
  const std::string waits = " waits in " + operation + "; keep it until everybody who uses it has come back";
  EXPECT_DEATH(destroy_under<Primitive>(true, wait),
               "gofer: a " + kind + " is destroyed while fiber [0-9]+ \"late\"" + waits);
  EXPECT_DEATH(destroy_under<Primitive>(false, wait), "gofer: a " + kind + " is destroyed while a thread" + waits);
}

TEST(DestructionDeathTest, OfAMutex) {
  expect_report<gofer::mutex>("mutex", "mutex::lock", [](gofer::mutex& m) {
    m.lock();
    m.lock();
  });
}

TEST(DestructionDeathTest, OfASharedMutex) {
  expect_report<gofer::shared_mutex>("shared_mutex", "shared_mutex::lock_shared", [](gofer::shared_mutex& m) {
    m.lock();
    m.lock_shared();
  });
}

TEST(DestructionDeathTest, OfAConditionVariable) {
  expect_report<gofer::condition_variable>("condition_variable", "condition_variable::wait",
                                           [](gofer::condition_variable& c) {
                                             gofer::mutex m;
                                             std::unique_lock lock(m);
                                             c.wait(lock);
                                           });
}

TEST(DestructionDeathTest, OfASemaphore) {
  expect_report<gofer::counting_semaphore<>>("semaphore", "semaphore::acquire", [](gofer::counting_semaphore<>& s) {
    s.acquire();
    s.acquire();
  });
}

TEST(DestructionDeathTest, OfALatch) {
  expect_report<gofer::latch>("latch", "latch::wait", [](gofer::latch& l) { l.wait(); });
}

struct meeting_of_two : gofer::barrier<> {
  meeting_of_two() : barrier(2) {}
};

TEST(DestructionDeathTest, OfABarrier) {
  expect_report<meeting_of_two>("barrier", "barrier::wait", [](meeting_of_two& b) { b.arrive_and_wait(); });
}

TEST(DestructionDeathTest, OfARecursiveMutex) {
  expect_report<gofer::recursive_mutex>("mutex", "mutex::lock", [](gofer::recursive_mutex& m) {
    static std::binary_semaphore held(0);
    std::thread([&] {
      m.lock();
      held.release();
      for (;;) pause();
    }).detach();
    held.acquire();
    m.lock();
  });
}

TEST(DestructionDeathTest, OfAConditionVariableAny) {
  expect_report<gofer::condition_variable_any>("condition_variable", "condition_variable::wait",
                                               [](gofer::condition_variable_any& c) {
                                                 gofer::shared_mutex m;
                                                 std::shared_lock lock(m);
                                                 c.wait(lock);
                                               });
}

TEST(DestructionDeathTest, OfAOnceFlag) {
  expect_report<gofer::once_flag>("once_flag", "once_flag::call_once", [](gofer::once_flag& once) {
    gofer::call_once(once, [&] { gofer::call_once(once, [] {}); });  // waits for itself
  });
}

TEST(DestructionDeathTest, OfAWaitGroup) {
  expect_report<gofer::wait_group>("wait_group", "wait_group::wait", [](gofer::wait_group& w) {
    w.add();
    w.wait();
  });
}

/// Leaves a fiber waiting for an object that dies at the end of the program, and before what the runtime has registered
/// to be called then.
void leave_a_fiber_waiting() {
  gofer::run([] {});
  static gofer::mutex left;
  left.lock();
  gofer::go([] { left.lock(); });
  until_somebody_waits();
}

TEST(DestructionDeathTest, IsNoConcernOnceTheProgramEnds) {
  EXPECT_EXIT(
      {
        leave_a_fiber_waiting();
        std::exit(3);
      },
      testing::ExitedWithCode(3), "^$");
  EXPECT_EXIT(
      {
        leave_a_fiber_waiting();
        gofer::run([] { std::exit(4); });
      },
      testing::ExitedWithCode(4), "^$");
}

}  // namespace
