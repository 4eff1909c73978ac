// A configuration that is replaced while others read it: each reader sees one whole version.
#include <chrono>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

struct config {
  int max_connections;
  std::chrono::seconds timeout;
};

int main() {
  gofer::atomic_value<config> current({.max_connections = 10, .timeout = 5s});

  gofer::wait_group workers;
  for (int id = 1; id <= 3; ++id) {
    workers.go([&current, id] {
      for (int i = 0; i < 5; ++i) {
        const auto c = current.load();
        std::printf("Worker %d: MaxConnections=%d, Timeout=%llds\n", id, c->max_connections,
                    static_cast<long long>(c->timeout.count()));
        gofer::sleep_for(pace(100ms));
      }
    });
  }
  workers.go([&] {
    gofer::sleep_for(pace(250ms));
    current.store({.max_connections = 20, .timeout = 10s});
    std::printf("Config updated\n");
  });
  workers.wait();
  std::printf("All workers completed\n");
}

// Worker 1: MaxConnections=10, Timeout=5s
// Worker 2: MaxConnections=10, Timeout=5s
// ...
// Config updated
// Worker 1: MaxConnections=20, Timeout=10s
// ...
// All workers completed
