// Fibers that wait for fibers of their own.
#include <chrono>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

int main() {
  gofer::wait_group workers;
  for (int id = 1; id <= 3; ++id) {
    workers.go([id] {
      gofer::wait_group sub_workers;
      for (int sub = 1; sub <= 3; ++sub) {
        sub_workers.go([id, sub] {
          std::printf("Sub-worker %d.%d starting\n", id, sub);
          gofer::sleep_for(pace(100ms));
          std::printf("Sub-worker %d.%d done\n", id, sub);
        });
      }
      sub_workers.wait();
      std::printf("Worker %d: all sub-workers completed\n", id);
    });
  }
  workers.wait();
  std::printf("All workers and sub-workers completed\n");
}

// Sub-worker 1.1 starting
// Sub-worker 2.1 starting
// ...
// Sub-worker 3.3 done
// Worker 1: all sub-workers completed
// Worker 3: all sub-workers completed
// Worker 2: all sub-workers completed
// All workers and sub-workers completed
