// Tasks that fail now and then: each has a result all the same, and no worker is lost.
#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

int main() {
  const auto process = [](int id) {
    std::minstd_rand random{std::random_device{}()};
    gofer::sleep_for(pace(random() % 100 * 1ms));  // work
    if (random() % 10 == 0) {
      throw std::runtime_error("worker " + std::to_string(gofer::this_worker::number()) + " failed on task " +
                               std::to_string(id));
    }
    return id;
  };
  gofer::worker_pool<int, int> pool(process, {.min_workers = 3});

  for (int id = 1; id <= 20; ++id) pool.submit(id);
  gofer::go([&] { pool.drain(); });

  for (auto& result : pool.results()) {
    const auto id = static_cast<int>(result.id);
    if (result.ok()) {
      std::printf("Task %d completed successfully\n", id);
    } else {
      std::printf("Task %d failed: %s\n", id, result.message().c_str());
    }
  }
}

// Task 2 completed successfully
// Task 1 completed successfully
// Task 3 failed: worker 3 failed on task 3
// ...
// Task 20 completed successfully
