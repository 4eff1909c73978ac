#include <cstdio>

#include <gofer/nats_pool.hpp>

int main() {
  try {
    gofer::nats_pool<int>({.server = {.servers = "nats://127.0.0.1:1"}});
  } catch (const gofer::nats_error&) {
    std::printf("nobody is there\n");
  }
}
