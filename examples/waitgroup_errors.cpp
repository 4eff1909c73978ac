// Ten fibers of which some fail. A task_group is a wait_group that collects what its tasks throw.
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

int main() {
  gofer::task_group workers;
  for (int id = 1; id <= 10; ++id) {
    workers.go([id] {
      gofer::sleep_for(pace(id * 100ms));  // work
      if (id % 3 == 0) throw std::runtime_error("worker " + std::to_string(id) + " failed");
      std::printf("Worker %d completed successfully\n", id);
    });
  }

  const auto errors = workers.wait_all();
  if (errors.empty()) {
    std::printf("All workers completed successfully\n");
    return 0;
  }
  std::printf("Completed with %zu errors:\n", errors.size());
  for (const auto& error : errors) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::printf("- %s\n", e.what());
    }
  }
}

// Worker 1 completed successfully
// Worker 2 completed successfully
// Worker 4 completed successfully
// Worker 5 completed successfully
// Worker 7 completed successfully
// Worker 8 completed successfully
// Worker 10 completed successfully
// Completed with 3 errors:
// - worker 3 failed
// - worker 6 failed
// - worker 9 failed
