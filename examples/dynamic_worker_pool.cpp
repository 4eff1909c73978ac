// A pool of two to five workers: each burst of tasks is more than two can take, so it grows, and shrinks in the pause
// that follows.
#include <chrono>
#include <cstdio>
#include <string>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

struct task {
  int id;
  std::string data;
};

int main() {
  const auto process = [](const task& t) {
    gofer::sleep_for(pace((t.id % 3 + 1) * 100ms));  // work
    return "Worker " + std::to_string(gofer::this_worker::number()) + " processed: " + t.data;
  };
  const auto say = [](std::size_t before, std::size_t after) {
    std::printf("Scaling %s: %zu workers -> %zu workers\n", after > before ? "up" : "down", before, after);
  };
  gofer::worker_pool<task, std::string> pool(
      process,
      {.min_workers = 2, .max_workers = 5, .scale_interval = pace(20ms), .idle_timeout = pace(500ms), .on_scale = say});

  for (int burst = 0; burst < 3; ++burst) {
    std::printf("Submitting burst %d\n", burst + 1);
    for (int i = 1; i <= 5; ++i) {
      const int id = burst * 5 + i;
      pool.submit({.id = id, .data = "Task-" + std::to_string(id)});
    }
    gofer::sleep_for(pace(2s));
  }

  pool.drain();  // results wait for whoever reads them, however late
  for (auto& result : pool.results()) std::printf("%s\n", result.value().c_str());
}

// Submitting burst 1
// Scaling up: 2 workers -> 3 workers
// Scaling up: 3 workers -> 4 workers
// Scaling up: 4 workers -> 5 workers
// Scaling down: 5 workers -> 4 workers
// Scaling down: 4 workers -> 3 workers
// Scaling down: 3 workers -> 2 workers
// Submitting burst 2
// ...
// Worker 5 processed: Task-15
