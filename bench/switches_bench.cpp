#include <atomic>
#include <chrono>
#include <memory>

#include <gofer/gofer.hpp>

#include "arch/context.hpp"
#include "row.hpp"

namespace {

void* main_context = nullptr;
void* other_context = nullptr;

void other(void* /*transfer*/) {
  for (;;) gofer::arch::switch_context(&other_context, main_context, nullptr);
}

/// There and back: two switches.
void switches(benchmark::State& state) {
  constexpr std::size_t size = 64 * 1024;
  const auto stack = std::make_unique<std::byte[]>(size);
  other_context = gofer::arch::make_context(stack.get() + size, other);
  for (auto _ : state) gofer::arch::switch_context(&main_context, other_context, nullptr);
  report(state, 2);
}
ROW(switches, "context switch");

/// A plain thread asks a fiber while everything sleeps, and sleeps until the answer comes.
void wake_up(benchmark::State& state) {
  gofer::chan<int> there;
  gofer::chan<int> back;
  gofer::go([=] {
    for (const int v : there) back.send(v);
  });
  for (auto _ : state) {
    const auto before = std::chrono::steady_clock::now();
    there.send(1);
    benchmark::DoNotOptimize(back.receive());
    const auto after = std::chrono::steady_clock::now();
    state.SetIterationTime(std::chrono::duration<double>(after - before).count());
    while (std::chrono::steady_clock::now() - after < std::chrono::microseconds(50)) {
    }
  }
  there.close();
  report(state, 1);
}
BENCHMARK(wake_up)->Name("asleep, asked, answered")->UseManualTime();

}  // namespace
