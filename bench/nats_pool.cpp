// A distributed pool of empty tasks: nats_pool SERVERS REPLICAS TASKS. Prints tasks submitted a second in one batch,
// worked off a second, and microseconds from submitting one task until it has run.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <string>

#include <unistd.h>

#include <gofer/gofer.hpp>
#include <gofer/nats_pool.hpp>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int tasks = std::atoi(argv[3]);
  const gofer::nats_pool_options options{.name = "bench-" + std::to_string(::getpid()),
                                         .server = {.servers = argv[1]},
                                         .replicas = static_cast<std::size_t>(std::atoi(argv[2])),
                                         .queue_capacity = 1'000'000};
  return gofer::run([&] {
    const auto seconds_of = [](auto&& work) {
      const auto begun = std::chrono::steady_clock::now();
      work();
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    };
    gofer::nats_pool<int> submitting(options);
    const double submitted = seconds_of([&] { submitting.submit(std::views::iota(0, tasks)); });
    std::atomic<int> left = tasks;
    gofer::chan<bool> ran(1);
    gofer::nats_pool<int> working(
        [&](int) {
          if (left.fetch_sub(1) <= 1) ran.try_send(true);
        },
        options);
    const double worked = seconds_of([&] { ran.receive(); });
    constexpr int singles = 1000;
    const double alone = seconds_of([&] {
      for (int i = 0; i < singles; ++i) {
        submitting.submit(i);
        ran.receive();
      }
    });
    std::printf("%.0f %.0f %.1f\n", tasks / submitted, tasks / worked, alone / singles * 1e6);
    return 0;
  });
}
