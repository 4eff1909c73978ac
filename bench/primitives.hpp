#pragma once

// The same work with any library's primitives: ours and those of the standard library are measured by one text.

#include <functional>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "row.hpp"

/// Calls all of them at once, and returns when they have.
using all_at_once = void (*)(const std::vector<std::function<void()>>&);

inline void on_threads(const std::vector<std::function<void()>>& all) {
  std::vector<std::jthread> threads;
  for (const auto& f : all) threads.emplace_back(f);
}

/// Calls `f` again and again, beside another thread: in a process that has only one, glibc leaves the locked
/// instructions out, and one with fibers has more.
template <class F>
void beside_another_thread(benchmark::State& state, F f) {
  std::binary_semaphore over(0);
  const std::jthread another([&] { over.acquire(); });
  for (auto _ : state) {
    f();
    benchmark::ClobberMemory();
  }
  over.release();
  report(state, 1);
}

template <class Mutex>
void lock_uncontended(benchmark::State& state) {
  Mutex m;
  beside_another_thread(state, [&] { const std::scoped_lock hold(m); });
}

template <class Semaphore>
void semaphore_uncontended(benchmark::State& state) {
  Semaphore s(1);
  beside_another_thread(state, [&] {
    s.acquire();
    s.release();
  });
}

/// Two hand a permit over and back.
template <class Semaphore>
void semaphores_there_and_back(benchmark::State& state, all_at_once run) {
  constexpr int times = 10'000;
  for (auto _ : state) {
    Semaphore there(0);
    Semaphore back(0);
    run({[&] {
           for (int i = 0; i < times; ++i) {
             there.release();
             back.acquire();
           }
         },
         [&] {
           for (int i = 0; i < times; ++i) {
             there.acquire();
             back.release();
           }
         }});
  }
  report(state, times);
}

/// Two take turns.
template <class Mutex, class ConditionVariable>
void condition_there_and_back(benchmark::State& state, all_at_once run) {
  constexpr int times = 10'000;
  for (auto _ : state) {
    Mutex m;
    ConditionVariable changed;
    bool first = true;  // whose turn it is
    const auto take_turns = [&](bool mine) {
      for (int i = 0; i < times; ++i) {
        std::unique_lock hold(m);
        changed.wait(hold, [&] { return first == mine; });
        first = !mine;
        changed.notify_one();
      }
    };
    run({[&] { take_turns(true); }, [&] { take_turns(false); }});
  }
  report(state, times);
}

template <class Barrier>
void four_meet(benchmark::State& state, all_at_once run) {
  constexpr int times = 10'000;
  for (auto _ : state) {
    Barrier b(4);
    const std::function<void()> meet = [&] {
      for (int i = 0; i < times; ++i) b.arrive_and_wait();
    };
    run({meet, meet, meet, meet});
  }
  report(state, times);
}

/// The three as rows: `before`, the name, `after`.
template <class Semaphore, class Mutex, class ConditionVariable, class Barrier>
bool rows_of_waiting(const std::string& before, const std::string& after, all_at_once run) {
  const auto row = [&](const std::string& name, void (*work)(benchmark::State&, all_at_once)) {
    benchmark::RegisterBenchmark((before + name + after).c_str(), work, run)->UseRealTime();
  };
  row("semaphores, there and back", semaphores_there_and_back<Semaphore>);
  row("condition_variable, there and back", condition_there_and_back<Mutex, ConditionVariable>);
  row("barrier, 4 meet", four_meet<Barrier>);
  return true;
}
