// Every primitive that one waits for, in all forms of waiting, two at a time, against whoever lets them in and whoever
// stops them, all at one moment: under explored schedules nobody is let in wrongly, nobody gives up who need not, and
// nothing is left behind.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <vector>

#include <gofer/detail/sched/time.hpp>
#include <gofer/gofer.hpp>

#include "support/explored.hpp"

namespace {

using namespace std::chrono_literals;

using test::gives_up;

constexpr auto patience = 1ms;  // of those who give up in time

// A way to wait for a primitive. `enter` returns whether it was let in.
template <class Primitive>
struct way {
  std::string name;
  gives_up when;
  std::function<bool(Primitive&, const std::stop_token&)> enter;
  bool shares = false;
};

// What two did who wanted to be let in; at `opens_at` somebody lets them in.
struct entries {
  bool in[2] = {};
  std::chrono::nanoseconds took[2] = {};
};

// Explores two waiters in every two ways. `play(first, second, opens_at, stop)` lets them in at that time, and returns
// what they did; who does not give up has to be let in.
template <class Primitive>
void explore_ways(const std::vector<way<Primitive>>& ways,
                  const std::function<entries(const way<Primitive>&, const way<Primitive>&, std::chrono::nanoseconds,
                                              std::stop_source&)>& play) {
  for (const auto& first : ways) {
    for (const auto& second : ways) {
      for (const auto opens_at : {0ms, 1ms}) {  // the second is when the time is up
        const way<Primitive>* who[] = {&first, &second};
        const bool stops = first.when == gives_up::on_stop || second.when == gives_up::on_stop;
        std::set<bool> seen[2];
        const auto body = [&] {
          std::stop_source stop;
          gofer::wait_group stopper;
          if (stops) {
            stopper.go([&] {
              if (opens_at != 0ms) gofer::sleep_for(opens_at);
              stop.request_stop();
            });
          }
          const entries did = play(first, second, opens_at, stop);
          stopper.wait();
          for (int i = 0; i < 2; ++i) {
            seen[i].insert(did.in[i]);
            if (did.in[i]) continue;
            EXPECT_NE(who[i]->when, gives_up::never) << who[i]->name;
            const auto given_up_after = who[i]->when == gives_up::at_once   ? 0ns
                                        : who[i]->when == gives_up::in_time ? std::chrono::nanoseconds(patience)
                                                                            : std::chrono::nanoseconds(opens_at);
            EXPECT_EQ(did.took[i].count(), given_up_after.count()) << who[i]->name;
          }
        };
        const std::string name =
            first.name + " and " + second.name + ", let in after " + std::to_string(opens_at.count()) + " ms";
        try {
          gofer::testing::explore(body, {.schedules = test::schedules() / 50});
        } catch (const gofer::testing::schedule_failure& e) {
          ADD_FAILURE() << name << "\n" << e.what();
          return;
        }
        if (test::schedules() < 10'000) continue;  // too few to see everything
        for (int i = 0; i < 2; ++i) {
          // Whoever is let in as it gives up, may or may not be.
          const bool races =
              who[i]->when == gives_up::on_stop || (who[i]->when == gives_up::in_time && opens_at != 0ms);
          EXPECT_TRUE(!races || seen[i].size() == 2) << name << ": " << who[i]->name << ": always the same";
        }
      }
    }
  }
}

// Lets both enter, and `open` at its time.
template <class Primitive>
entries enter_both(Primitive& p, const way<Primitive>& first, const way<Primitive>& second,
                   std::chrono::nanoseconds opens_at, const std::stop_source& stop,
                   const std::function<void(const way<Primitive>&)>& inside, const std::function<void()>& open) {
  entries did;
  const way<Primitive>* who[] = {&first, &second};
  gofer::wait_group all;
  for (int i = 0; i < 2; ++i) {
    all.go([&, i] {
      const auto begin = gofer::sched::now();
      did.in[i] = who[i]->enter(p, stop.get_token());
      did.took[i] = gofer::sched::now() - begin;
      if (did.in[i]) inside(*who[i]);
    });
  }
  if (opens_at != 0ns) gofer::sleep_for(opens_at);
  open();
  all.wait();
  return did;
}

template <class Lock>
std::vector<way<Lock>> ways_to_lock() {
  return {{"lock", gives_up::never,
           [](Lock& m, const std::stop_token&) {
             m.lock();
             return true;
           }},
          {"try_lock", gives_up::at_once, [](Lock& m, const std::stop_token&) { return m.try_lock(); }},
          {"try_lock_for", gives_up::in_time, [](Lock& m, const std::stop_token&) { return m.try_lock_for(patience); }},
          {"try_lock_until", gives_up::in_time,
           [](Lock& m, const std::stop_token&) { return m.try_lock_until(gofer::sched::now() + patience); }},
          {"lock with a stop", gives_up::on_stop, [](Lock& m, const std::stop_token& stop) { return m.lock(stop); }}};
}

std::vector<way<gofer::shared_mutex>> ways_to_lock_or_share() {
  using lock = gofer::shared_mutex;
  auto all = ways_to_lock<lock>();
  all.push_back({"lock_shared", gives_up::never,
                 [](lock& m, const std::stop_token&) {
                   m.lock_shared();
                   return true;
                 },
                 true});
  all.push_back({"try_lock_shared", gives_up::at_once,
                 [](lock& m, const std::stop_token&) { return m.try_lock_shared(); }, true});
  all.push_back({"try_lock_shared_for", gives_up::in_time,
                 [](lock& m, const std::stop_token&) { return m.try_lock_shared_for(patience); }, true});
  all.push_back(
      {"try_lock_shared_until", gives_up::in_time,
       [](lock& m, const std::stop_token&) { return m.try_lock_shared_until(gofer::sched::now() + patience); }, true});
  all.push_back({"lock_shared with a stop", gives_up::on_stop,
                 [](lock& m, const std::stop_token& stop) { return m.lock_shared(stop); }, true});
  return all;
}

template <class Lock>
void explore_locks(const std::vector<way<Lock>>& ways) {
  explore_ways<Lock>(ways, [](const way<Lock>& first, const way<Lock>& second, std::chrono::nanoseconds opens_at,
                              std::stop_source& stop) {
    Lock m;
    int inside = 0;
    m.lock();
    const entries did = enter_both<Lock>(
        m, first, second, opens_at, stop,
        [&](const way<Lock>& one) {
          EXPECT_TRUE(one.shares || inside == 0);
          ++inside;
          gofer::yield();
          --inside;
          if constexpr (requires { m.unlock_shared(); }) {
            if (one.shares) return m.unlock_shared();
          }
          m.unlock();
        },
        [&] { m.unlock(); });
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    return did;
  });
}

TEST(FormsExplored, OfLockingAMutex) { explore_locks(ways_to_lock<gofer::mutex>()); }
TEST(FormsExplored, OfLockingARecursiveMutex) { explore_locks(ways_to_lock<gofer::recursive_mutex>()); }
TEST(FormsExplored, OfLockingASharedMutex) { explore_locks(ways_to_lock_or_share()); }

TEST(FormsExplored, OfAcquiringFromASemaphore) {
  using semaphore = gofer::counting_semaphore<>;
  const std::vector<way<semaphore>> ways = {
      {"acquire", gives_up::never,
       [](semaphore& s, const std::stop_token&) {
         s.acquire();
         return true;
       }},
      {"try_acquire", gives_up::at_once, [](semaphore& s, const std::stop_token&) { return s.try_acquire(); }},
      {"try_acquire_for", gives_up::in_time,
       [](semaphore& s, const std::stop_token&) { return s.try_acquire_for(patience); }},
      {"try_acquire_until", gives_up::in_time,
       [](semaphore& s, const std::stop_token&) { return s.try_acquire_until(gofer::sched::now() + patience); }},
      {"acquire with a stop", gives_up::on_stop,
       [](semaphore& s, const std::stop_token& stop) { return s.acquire(stop); }}};
  for (const bool together : {true, false}) {
    explore_ways<semaphore>(ways, [together](const auto& first, const auto& second, std::chrono::nanoseconds opens_at,
                                             std::stop_source& stop) {
      semaphore permits(0);
      const entries did = enter_both<semaphore>(
          permits, first, second, opens_at, stop, [](const auto&) {},
          [&] {
            permits.release(together ? 2 : 1);
            if (!together) permits.release();
          });
      int left = 0;
      while (permits.try_acquire()) ++left;
      EXPECT_EQ(left, 2 - (did.in[0] ? 1 : 0) - (did.in[1] ? 1 : 0));
      return did;
    });
  }
}

// What is opened once, by two steps.
template <class Gate>
void explore_gates(std::vector<way<Gate>> ways, const std::function<void(Gate&)>& step) {
  explore_ways<Gate>(
      ways, [&step](const auto& first, const auto& second, std::chrono::nanoseconds opens_at, std::stop_source& stop) {
        Gate gate;
        int steps = 0;
        const entries did = enter_both<Gate>(
            gate, first, second, opens_at, stop, [&](const auto&) { EXPECT_EQ(steps, 2); },
            [&] {
              for (int i = 0; i < 2; ++i) {
                ++steps;
                step(gate);
              }
            });
        EXPECT_TRUE(gate.wait_for(0ms));
        return did;
      });
}

template <class Gate>
std::vector<way<Gate>> ways_to_wait() {
  return {{"wait", gives_up::never,
           [](Gate& g, const std::stop_token&) {
             g.wait();
             return true;
           }},
          {"wait_for", gives_up::in_time, [](Gate& g, const std::stop_token&) { return g.wait_for(patience); }},
          {"wait_until", gives_up::in_time,
           [](Gate& g, const std::stop_token&) { return g.wait_until(gofer::sched::now() + patience); }},
          {"wait with a stop", gives_up::on_stop, [](Gate& g, const std::stop_token& stop) { return g.wait(stop); }}};
}

struct latch_of_two : gofer::latch {
  latch_of_two() : latch(2) {}
};

TEST(FormsExplored, OfWaitingForALatch) {
  auto ways = ways_to_wait<latch_of_two>();
  ways.push_back({"try_wait", gives_up::at_once, [](latch_of_two& l, const std::stop_token&) { return l.try_wait(); }});
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
  explore_gates<barrier_of_two>(ways_to_wait<barrier_of_two>(), [](barrier_of_two& b) { (void)b.it.arrive(); });
  explore_gates<barrier_of_two>(ways_to_wait<barrier_of_two>(), [](barrier_of_two& b) { b.it.arrive_and_drop(); });
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
  const auto with_lock = [](auto f) {
    return [f](cond& c, const std::stop_token& stop) {
      Lock hold(c.m);
      const bool in = f(c, hold, stop, [&c] { return c.is; });
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_TRUE(!in || c.is);
      return in;
    };
  };
  const auto until = [] { return gofer::sched::now() + patience; };
  // A wait without a condition says nothing about it: it is asked before and after.
  const std::vector<way<cond>> ways = {
      {"wait", gives_up::never, with_lock([](cond& c, Lock& hold, const auto&, auto) {
         while (!c.is) c.changed.wait(hold);
         return true;
       })},
      {"wait until ready", gives_up::never, with_lock([](cond& c, Lock& hold, const auto&, auto ready) {
         c.changed.wait(hold, ready);
         return true;
       })},
      {"wait_for", gives_up::in_time, with_lock([](cond& c, Lock& hold, const auto&, auto) {
         const bool waited = !c.is;
         EXPECT_TRUE(!waited || c.changed.wait_for(hold, patience) == std::cv_status::timeout || c.is);
         return c.is;
       })},
      {"wait_for ready", gives_up::in_time, with_lock([](cond& c, Lock& hold, const auto&, auto ready) {
         return c.changed.wait_for(hold, patience, ready);
       })},
      {"wait_until", gives_up::in_time, with_lock([=](cond& c, Lock& hold, const auto&, auto) {
         const bool waited = !c.is;
         EXPECT_TRUE(!waited || c.changed.wait_until(hold, until()) == std::cv_status::timeout || c.is);
         return c.is;
       })},
      {"wait_until ready", gives_up::in_time, with_lock([=](cond& c, Lock& hold, const auto&, auto ready) {
         return c.changed.wait_until(hold, until(), ready);
       })},
      {"wait with a stop", gives_up::on_stop,
       with_lock([](cond& c, Lock& hold, const auto& stop, auto ready) { return c.changed.wait(hold, stop, ready); })},
      {"wait_for with a stop", gives_up::on_stop, with_lock([](cond& c, Lock& hold, const auto& stop, auto ready) {
         return c.changed.wait_for(hold, stop, 5 * patience, ready);
       })},
      {"wait_until with a stop", gives_up::on_stop, with_lock([](cond& c, Lock& hold, const auto& stop, auto ready) {
         return c.changed.wait_until(hold, stop, gofer::sched::now() + 5 * patience, ready);
       })}};
  for (const bool all : {true, false}) {
    explore_ways<cond>(
        ways, [all](const auto& first, const auto& second, std::chrono::nanoseconds opens_at, std::stop_source& stop) {
          cond c;
          return enter_both<cond>(
              c, first, second, opens_at, stop, [](const auto&) {},
              [&] {
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
              });
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
