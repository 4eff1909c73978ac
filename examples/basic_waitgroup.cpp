// Waits for three fibers.
#include <chrono>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

int main() {
  gofer::wait_group workers;
  for (int id = 1; id <= 3; ++id) {
    workers.go([id] {
      std::printf("Worker %d starting\n", id);
      gofer::sleep_for(pace(id * 100ms));
      std::printf("Worker %d done\n", id);
    });
  }
  workers.wait();
  std::printf("All workers completed\n");
}

// Worker 1 starting
// Worker 2 starting
// Worker 3 starting
// Worker 1 done
// Worker 2 done
// Worker 3 done
// All workers completed
