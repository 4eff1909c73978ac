// The same work with threads: a pool as it is mostly written (after BS::thread_pool), and what two threads would need
// for the tasks alone.

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "../row.hpp"

namespace {

constexpr int tasks = 100'000;

class thread_pool {
 public:
  explicit thread_pool(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~thread_pool() {
    {
      const std::scoped_lock hold(lock_);
      over_ = true;
    }
    changed_.notify_all();
  }

  void post(std::function<void()> task) {
    {
      const std::scoped_lock hold(lock_);
      queue_.push(std::move(task));
    }
    changed_.notify_one();
  }
  template <class F>
  auto submit(F f) {
    auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
    auto future = task->get_future();
    post([task] { (*task)(); });
    return future;
  }

 private:
  void work() {
    for (std::unique_lock hold(lock_);;) {
      changed_.wait(hold, [&] { return over_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const auto task = std::move(queue_.front());
      queue_.pop();
      hold.unlock();
      task();
      hold.lock();
    }
  }

  std::mutex lock_;
  std::condition_variable changed_;
  std::queue<std::function<void()>> queue_;
  bool over_ = false;
  std::vector<std::jthread> threads_;
};

void std_results(benchmark::State& state) {
  for (auto _ : state) {
    thread_pool pool(4);
    std::vector<std::future<int>> all;
    all.reserve(tasks);
    for (int i = 0; i < tasks; ++i) all.push_back(pool.submit([i] { return i + 1; }));
    for (auto& one : all) benchmark::DoNotOptimize(one.get());
  }
  report(state, tasks);
}
ROW(std_results, "std: pool, 4 workers");

void std_futures(benchmark::State& state) {
  thread_pool pool(4);
  std::vector<std::future<int>> all(1000);
  for (auto _ : state) {
    for (auto& one : all) one = pool.submit([] { return 1; });
    for (auto& one : all) benchmark::DoNotOptimize(one.get());
  }
  report(state, 1000);
}
ROW(std_futures, "std: pool, futures");

void std_forget(benchmark::State& state, int producers) {
  for (auto _ : state) {
    thread_pool pool(4);
    std::vector<std::jthread> all;
    for (int p = 0; p < producers; ++p) {
      all.emplace_back([&] {
        for (int i = 0; i < tasks / producers; ++i) pool.post([i] { benchmark::DoNotOptimize(i); });
      });
    }
    all.clear();
  }
  report(state, tasks);
}
BENCHMARK_CAPTURE(std_forget, one, 1)->Name("std: pool, fire and forget")->UseRealTime();
BENCHMARK_CAPTURE(std_forget, eight, 8)->Name("std: pool, 8 producers")->UseRealTime();

void ideal(benchmark::State& state, int nanoseconds) {
  constexpr int some = 10'000;
  const auto half = [&] {
    for (int i = 0; i < some / 2; ++i) compute(nanoseconds);
  };
  for (auto _ : state) {
    std::jthread other(half);
    half();
  }
  report(state, some);
}
BENCHMARK_CAPTURE(ideal, short, 1000)->Name("ideal: pool, 1 us tasks")->UseRealTime();
BENCHMARK_CAPTURE(ideal, long, 10000)->Name("ideal: pool, 10 us tasks")->UseRealTime();

}  // namespace
