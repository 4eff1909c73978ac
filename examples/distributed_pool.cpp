// The same pool across machines. In three terminals, with a server at hand (`nats-server --jetstream`):
//
//     distributed_pool --role work
//     distributed_pool --role work
//     distributed_pool --role submit --tasks 30
//
// End a worker with Ctrl-C: it hands back what it has not begun. Kill one with `kill -9`: after its lease, 5 s, another
// one takes what it had.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <gofer/gofer.hpp>
#include <gofer/nats_pool.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

struct image {
  int number = 0;
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(image, number, name)  // how it travels: as JSON

using pool = gofer::nats_pool<image, std::string>;

void submit(const gofer::nats_pool_options& options, int tasks) {
  pool p(options);
  for (int i = 1; i <= tasks; ++i) p.submit({.number = i, .name = "image-" + std::to_string(i)});
  std::printf("%d tasks are stored\n", tasks);
  gofer::go([&] { p.drain(); });  // closes the results after the last one
  int failed = 0;
  for (auto& result : p.results()) {
    if (result.ok()) {
      std::printf("%s\n", result.value().c_str());
    } else {
      ++failed;
      std::printf("%s failed after %u attempts: %s\n", result.id.c_str(), result.attempts, result.message().c_str());
    }
  }
  std::printf("All tasks completed, %d of them failed\n", failed);
}

void work(const gofer::nats_pool_options& options) {
  const auto shrink = [](const image& i, const gofer::nats_task& task) {
    std::printf("Worker %zu: attempt %u at %s\n", gofer::this_worker::number(), task.attempt, i.name.c_str());
    gofer::sleep_for(pace(300ms));
    if (i.number % 10 == 0 && task.attempt == 1) throw std::runtime_error("out of memory");
    return i.name + " is small now";
  };
  pool p(shrink, options);
  std::printf("Working until Ctrl-C\n");
  gofer::notify_signals({SIGINT, SIGTERM}).receive();
  p.drain();  // what was begun is finished
  std::printf("Done: %llu tasks completed here\n", static_cast<unsigned long long>(p.stats().completed));
}

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what happens is seen as it happens
  std::string_view role;
  int tasks = 10;
  gofer::nats_pool_options options{.name = "images", .min_workers = 3, .lease = 5s, .max_attempts = 3};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--role") role = argv[i + 1];
    if (option == "--tasks") tasks = std::atoi(argv[i + 1]);
    if (option == "--server") options.server.servers = argv[i + 1];
  }
  if (role != "submit" && role != "work") {
    std::fprintf(stderr, "usage: distributed_pool --role submit|work [--tasks N] [--server nats://127.0.0.1:4222]\n");
    return 2;
  }
  return gofer::run([&] {
    try {
      role == "submit" ? submit(options, tasks) : work(options);
      return 0;
    } catch (const gofer::nats_error& e) {
      std::fprintf(stderr, "distributed_pool: %s\n", e.what());
      return 1;
    }
  });
}
