// Three workers process ten tasks. The pool ends when it is drained: every task has been processed once, every result
// been received, and no worker is left.
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
    std::printf("Worker %zu processing task %d\n", gofer::this_worker::number(), t.id);
    gofer::sleep_for(pace((t.id % 3 + 1) * 100ms));  // work
    return "Processed: " + t.data;
  };
  gofer::worker_pool<task, std::string> pool(process, {.min_workers = 3});

  for (int i = 1; i <= 10; ++i) pool.submit({.id = i, .data = "Task-" + std::to_string(i)});
  gofer::go([&] { pool.drain(); });  // closes the results after the last one

  for (auto& result : pool.results()) {
    std::printf("Task %d completed: %s\n", static_cast<int>(result.id), result.value().c_str());
  }
  std::printf("All tasks completed\n");
}

// Worker 1 processing task 1
// Worker 2 processing task 2
// Worker 3 processing task 3
// Worker 3 processing task 4
// Task 3 completed: Processed: Task-3
// Worker 1 processing task 5
// Task 1 completed: Processed: Task-1
// ...
// Task 8 completed: Processed: Task-8
// All tasks completed
