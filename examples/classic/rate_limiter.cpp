// A rate limiter on a ticker: a token comes every 20 ms, up to three wait for bursts, and every request takes one.
#include <chrono>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "../pace.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class rate_limiter {
 public:
  rate_limiter(std::chrono::nanoseconds every, std::size_t burst) : tokens_(burst), ticker_(every) {
    for (std::size_t i = 0; i < burst; ++i) tokens_.send({});
    gofer::go([tokens = tokens_, ticks = ticker_.ticks(), end = end_] {
      for (bool over = false; !over;) {
        gofer::select(gofer::on_receive(ticks, [&](auto) { (void)tokens.try_send({}); }),
                      gofer::on_receive(end, [&](auto) { over = true; }));
      }
    });
  }
  ~rate_limiter() { end_.close(); }

  /// Waits for a token.
  void take() { (void)tokens_.receive(); }

 private:
  struct token {};
  gofer::chan<token> tokens_;
  gofer::chan<token> end_;
  gofer::ticker ticker_;
};

int main() {
  const auto interval = pace(20ms);
  const auto begin = steady_clock::now();
  rate_limiter limiter(interval, 3);
  for (int request = 1; request <= 8; ++request) {
    limiter.take();
    const auto intervals = (steady_clock::now() - begin) / interval;
    std::printf("Request %d after %lld intervals\n", request, static_cast<long long>(intervals));
  }
}

// Request 1 after 0 intervals
// Request 2 after 0 intervals
// Request 3 after 0 intervals
// Request 4 after 1 intervals
// ...
// Request 8 after 5 intervals
