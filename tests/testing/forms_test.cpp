// Every primitive that one waits for, in all forms of waiting, two at a time, against whoever lets them in and whoever
// stops them, all at one moment: under explored schedules nobody is let in wrongly, nobody gives up who need not, and
// nothing is left behind.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gofer/detail/sched/time.hpp>
#include <gofer/gofer.hpp>

#include "support/explored.hpp"

namespace {

using namespace std::chrono_literals;

using test::gives_up;

constexpr auto patience = 1ms;  // of those who give up in time

// A way to wait for a primitive. `enter` returns whether it was let in.
struct way {
  std::string name;
  gives_up when;
  std::function<bool(void* primitive, const std::stop_token&)> enter;
  bool shares = false;
};

// Of a function of the primitive, and of a stop if it takes one; what returns nothing is always let in.
template <class Primitive, class F>
way way_of(std::string name, gives_up when, F f, bool shares = false) {
  const auto enter = [f](void* primitive, const std::stop_token& stop) {
    auto& p = *static_cast<Primitive*>(primitive);
    if constexpr (std::is_invocable_v<F, Primitive&, const std::stop_token&>) {
      return f(p, stop);
    } else if constexpr (std::is_void_v<std::invoke_result_t<F, Primitive&>>) {
      f(p);
      return true;
    } else {
      return f(p);
    }
  };
  return {std::move(name), when, enter, shares};
}

// Two who want to be let in, and when somebody lets them in; at the same time a stop is requested.
struct pair_of_ways {
  const way* who[2];
  std::chrono::nanoseconds opens_at;
  std::stop_source stop;
};

// What they did.
struct entries {
  bool in[2] = {};
  std::chrono::nanoseconds took[2] = {};
};

// Lets both enter, calls `inside` for each that is let in, and `open` at its time.
entries enter_both(const pair_of_ways& pair, void* primitive, const std::function<void(const way&)>& inside,
                   const std::function<void()>& open) {
  entries did;
  gofer::wait_group all;
  for (int i = 0; i < 2; ++i) {
    all.go([&, i] {
      const auto begin = gofer::sched::now();
      did.in[i] = pair.who[i]->enter(primitive, pair.stop.get_token());
      did.took[i] = gofer::sched::now() - begin;
      if (did.in[i]) inside(*pair.who[i]);
    });
  }
  if (pair.opens_at != 0ns) gofer::sleep_for(pair.opens_at);
  open();
  all.wait();
  return did;
}

// How long one has waited who gives up.
std::chrono::nanoseconds given_up_after(const way& who, std::chrono::nanoseconds opens_at) {
  if (who.when == gives_up::at_once) return 0ns;
  return who.when == gives_up::in_time ? std::chrono::nanoseconds(patience) : opens_at;
}

using play_of_two = std::function<entries(const pair_of_ways&)>;

void explore_pair(const pair_of_ways& asked, const play_of_two& play) {
  const auto stops = [&](int i) { return asked.who[i]->when == gives_up::on_stop; };
  const std::string name = asked.who[0]->name + " and " + asked.who[1]->name + ", let in after " +
                           std::to_string(asked.opens_at.count()) + " ns";
  std::set<bool> seen[2];
  const auto body = [&] {
    pair_of_ways pair = asked;
    pair.stop = std::stop_source();
    gofer::wait_group stopper;
    if (stops(0) || stops(1)) {
      stopper.go([&] {
        if (pair.opens_at != 0ns) gofer::sleep_for(pair.opens_at);
        pair.stop.request_stop();
      });
    }
    const entries did = play(pair);
    stopper.wait();
    for (int i = 0; i < 2; ++i) {
      seen[i].insert(did.in[i]);
      if (did.in[i]) continue;
      EXPECT_TRUE(pair.who[i]->when != gives_up::never) << name;
      EXPECT_TRUE(did.took[i] == given_up_after(*pair.who[i], pair.opens_at)) << name << did.took[i].count();
    }
  };
  try {
    gofer::testing::explore(body, {.schedules = test::schedules() / 50});
  } catch (const gofer::testing::schedule_failure& e) {
    ADD_FAILURE() << name << "\n" << e.what();
    return;
  }
  if (test::schedules() < 10'000) return;  // too few to see everything
  for (int i = 0; i < 2; ++i) {
    // Whoever is let in just as it gives up, may or may not be.
    const bool races = stops(i) || (asked.who[i]->when == gives_up::in_time && asked.opens_at != 0ns);
    EXPECT_TRUE(!races || seen[i].size() == 2) << name << ": " << asked.who[i]->name << ": always the same";
  }
}

// Explores two waiters in every two ways. `play` lets them in.
void explore_ways(const std::vector<way>& ways, const play_of_two& play) {
  for (const way& first : ways) {
    for (const way& second : ways) {
      for (const auto opens_at : {0ms, 1ms}) explore_pair({{&first, &second}, opens_at, {}}, play);  // 1: patience ends
    }
  }
}

template <class Lock>
std::vector<way> ways_to_lock() {
  return {way_of<Lock>("lock", gives_up::never, [](Lock& m) { m.lock(); }),
          way_of<Lock>("try_lock", gives_up::at_once, [](Lock& m) { return m.try_lock(); }),
          way_of<Lock>("try_lock_for", gives_up::in_time, [](Lock& m) { return m.try_lock_for(patience); }),
          way_of<Lock>("try_lock_until", gives_up::in_time,
                       [](Lock& m) { return m.try_lock_until(gofer::sched::now() + patience); }),
          way_of<Lock>("lock with a stop", gives_up::on_stop,
                       [](Lock& m, const std::stop_token& stop) { return m.lock(stop); })};
}

std::vector<way> ways_to_lock_or_share() {
  using lock = gofer::shared_mutex;
  auto all = ways_to_lock<lock>();
  all.push_back(way_of<lock>("lock_shared", gives_up::never, [](lock& m) { m.lock_shared(); }, true));
  all.push_back(way_of<lock>("try_lock_shared", gives_up::at_once, [](lock& m) { return m.try_lock_shared(); }, true));
  all.push_back(way_of<lock>(
      "try_lock_shared_for", gives_up::in_time, [](lock& m) { return m.try_lock_shared_for(patience); }, true));
  all.push_back(way_of<lock>(
      "try_lock_shared_until", gives_up::in_time,
      [](lock& m) { return m.try_lock_shared_until(gofer::sched::now() + patience); }, true));
  all.push_back(way_of<lock>(
      "lock_shared with a stop", gives_up::on_stop,
      [](lock& m, const std::stop_token& stop) { return m.lock_shared(stop); }, true));
  return all;
}

template <class Lock>
void explore_locks(const std::vector<way>& ways) {
  explore_ways(ways, [](const pair_of_ways& pair) {
    Lock m;
    std::atomic<int> inside{0};
    m.lock();
    const auto hold = [&](const way& one) {
      EXPECT_TRUE(one.shares || inside == 0);
      ++inside;
      gofer::yield();
      --inside;
      if constexpr (requires { m.unlock_shared(); }) {
        if (one.shares) return m.unlock_shared();
      }
      m.unlock();
    };
    const entries did = enter_both(pair, &m, hold, [&] { m.unlock(); });
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    return did;
  });
}

TEST(FormsExplored, OfLockingAMutex) { explore_locks<gofer::mutex>(ways_to_lock<gofer::mutex>()); }
TEST(FormsExplored, OfLockingARecursiveMutex) {
  explore_locks<gofer::recursive_mutex>(ways_to_lock<gofer::recursive_mutex>());
}
TEST(FormsExplored, OfLockingASharedMutex) { explore_locks<gofer::shared_mutex>(ways_to_lock_or_share()); }

TEST(FormsExplored, OfAcquiringFromASemaphore) {
  using semaphore = gofer::counting_semaphore<>;
  const std::vector<way> ways = {
      way_of<semaphore>("acquire", gives_up::never, [](semaphore& s) { s.acquire(); }),
      way_of<semaphore>("try_acquire", gives_up::at_once, [](semaphore& s) { return s.try_acquire(); }),
      way_of<semaphore>("try_acquire_for", gives_up::in_time, [](semaphore& s) { return s.try_acquire_for(patience); }),
      way_of<semaphore>("try_acquire_until", gives_up::in_time,
                        [](semaphore& s) { return s.try_acquire_until(gofer::sched::now() + patience); }),
      way_of<semaphore>("acquire with a stop", gives_up::on_stop,
                        [](semaphore& s, const std::stop_token& stop) { return s.acquire(stop); })};
  for (const bool together : {true, false}) {
    explore_ways(ways, [together](const pair_of_ways& pair) {
      semaphore permits(0);
      const auto open = [&] {
        permits.release(together ? 2 : 1);
        if (!together) permits.release();
      };
      const entries did = enter_both(pair, &permits, [](const way&) {}, open);
      int left = 0;
      while (permits.try_acquire()) ++left;
      EXPECT_EQ(left, 2 - (did.in[0] ? 1 : 0) - (did.in[1] ? 1 : 0));
      return did;
    });
  }
}

// What opens once, by two steps.
template <class Gate>
void explore_gates(std::vector<way> ways, const std::function<void(Gate&)>& step) {
  explore_ways(ways, [&step](const pair_of_ways& pair) {
    Gate gate;
    int steps = 0;
    const auto open = [&] {
      for (int i = 0; i < 2; ++i) {
        ++steps;
        step(gate);
      }
    };
    const entries did = enter_both(pair, &gate, [&](const way&) { EXPECT_EQ(steps, 2); }, open);
    EXPECT_TRUE(gate.wait_for(0ms));
    return did;
  });
}

template <class Gate>
std::vector<way> ways_to_wait() {
  return {way_of<Gate>("wait", gives_up::never, [](Gate& g) { g.wait(); }),
          way_of<Gate>("wait_for", gives_up::in_time, [](Gate& g) { return g.wait_for(patience); }),
          way_of<Gate>("wait_until", gives_up::in_time,
                       [](Gate& g) { return g.wait_until(gofer::sched::now() + patience); }),
          way_of<Gate>("wait with a stop", gives_up::on_stop,
                       [](Gate& g, const std::stop_token& stop) { return g.wait(stop); })};
}

struct latch_of_two : gofer::latch {
  latch_of_two() : latch(2) {}
};

TEST(FormsExplored, OfWaitingForALatch) {
  auto ways = ways_to_wait<latch_of_two>();
  ways.push_back(way_of<latch_of_two>("try_wait", gives_up::at_once, [](latch_of_two& l) { return l.try_wait(); }));
  explore_gates<latch_of_two>(ways, [](latch_of_two& l) { l.count_down(); });
}

struct group_of_two : gofer::wait_group {
  group_of_two() { add(2); }
};

TEST(FormsExplored, OfWaitingForAWaitGroup) {
  explore_gates<group_of_two>(ways_to_wait<group_of_two>(), [](group_of_two& g) { g.done(); });
}

// Its first phase as a gate.
struct barrier_of_two {
  gofer::barrier<> it{3};
  gofer::barrier<>::arrival_token first = it.arrive();

  void wait() { it.wait(std::move(first)); }
  bool wait_for(std::chrono::nanoseconds d) { return it.wait_for(first, d); }
  bool wait_until(gofer::sched::time_point at) { return it.wait_until(first, at); }
  bool wait(const std::stop_token& stop) { return it.wait(first, stop); }
};

TEST(FormsExplored, OfWaitingForABarrier) {
  const auto ways = ways_to_wait<barrier_of_two>();
  explore_gates<barrier_of_two>(ways, [](barrier_of_two& b) { (void)b.it.arrive(); });
  explore_gates<barrier_of_two>(ways, [](barrier_of_two& b) { b.it.arrive_and_drop(); });
}

// A condition and its lock.
template <class ConditionVariable, class Lock>
struct condition {
  typename Lock::mutex_type m;
  ConditionVariable changed;
  bool is = false;
};

template <class ConditionVariable, class Lock>
void explore_condition() {
  using cond = condition<ConditionVariable, Lock>;
  const auto with_lock = [](const char* name, gives_up when, auto f) {
    return way_of<cond>(name, when, [f](cond& c, const std::stop_token& stop) {
      Lock hold(c.m);
      const std::function<bool()> ready = [&c] { return c.is; };
      const bool in = f(c, hold, stop, ready);
      EXPECT_TRUE(hold.owns_lock() && (!in || c.is));
      return in;
    });
  };
  const auto until = [] { return gofer::sched::now() + patience; };
  const std::vector<way> ways = {
      with_lock("wait", gives_up::never,
                [](cond& c, Lock& hold, const auto&, const auto&) {
                  while (!c.is) c.changed.wait(hold);
                  return true;
                }),
      with_lock("wait until ready", gives_up::never,
                [](cond& c, Lock& hold, const auto&, const auto& ready) {
                  c.changed.wait(hold, ready);
                  return true;
                }),
      // Without a condition it says only whether it was notified.
      with_lock("wait_for", gives_up::in_time,
                [](cond& c, Lock& hold, const auto&, const auto&) {
                  const bool waits = !c.is;
                  EXPECT_TRUE(!waits || c.changed.wait_for(hold, patience) == std::cv_status::timeout || c.is);
                  return c.is;
                }),
      with_lock("wait_for ready", gives_up::in_time,
                [](cond& c, Lock& hold, const auto&, const auto& ready) {
                  return c.changed.wait_for(hold, patience, ready);
                }),
      with_lock("wait_until", gives_up::in_time,
                [=](cond& c, Lock& hold, const auto&, const auto&) {
                  const bool waits = !c.is;
                  EXPECT_TRUE(!waits || c.changed.wait_until(hold, until()) == std::cv_status::timeout || c.is);
                  return c.is;
                }),
      with_lock("wait_until ready", gives_up::in_time,
                [=](cond& c, Lock& hold, const auto&, const auto& ready) {
                  return c.changed.wait_until(hold, until(), ready);
                }),
      with_lock(
          "wait with a stop", gives_up::on_stop,
          [](cond& c, Lock& hold, const auto& stop, const auto& ready) { return c.changed.wait(hold, stop, ready); }),
      with_lock("wait_for with a stop", gives_up::on_stop,
                [](cond& c, Lock& hold, const auto& stop, const auto& ready) {
                  return c.changed.wait_for(hold, stop, 5 * patience, ready);
                }),
      with_lock("wait_until with a stop", gives_up::on_stop,
                [](cond& c, Lock& hold, const auto& stop, const auto& ready) {
                  return c.changed.wait_until(hold, stop, gofer::sched::now() + 5 * patience, ready);
                })};
  for (const bool all : {true, false}) {
    explore_ways(ways, [all](const pair_of_ways& pair) {
      cond c;
      const auto open = [&] {
        {
          const std::scoped_lock hold(c.m);
          c.is = true;
        }
        c.changed.notify_one();
        if (all) {
          c.changed.notify_all();
        } else {
          c.changed.notify_one();
        }
      };
      return enter_both(pair, &c, [](const way&) {}, open);
    });
  }
}

TEST(FormsExplored, OfWaitingForACondition) {
  explore_condition<gofer::condition_variable, std::unique_lock<gofer::mutex>>();
}
TEST(FormsExplored, OfWaitingForAConditionWithAnyLock) {
  explore_condition<gofer::condition_variable_any, std::shared_lock<gofer::shared_mutex>>();
}

}  // namespace
