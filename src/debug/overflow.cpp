#include "debug/overflow.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "arch/stack.hpp"
#include "debug/report.hpp"
#include "sched/inspect.hpp"

namespace gofer::inline v0::debug {
namespace {

// Set once, before any fault that counts.
struct sigaction before_us[2];
constexpr int signals[2] = {SIGSEGV, SIGBUS};

/// Says what has happened before anything is done that could fail, then where.
[[noreturn]] void report_overflow(const sched::sighting& fiber, void* context) {
  char text[256];
  const auto name = fiber.name();
  const int length =
      std::snprintf(text, sizeof(text),
                    "gofer: the stack of fiber %llu%s%.*s%s has overflowed its %zu KiB; start it with a larger "
                    "go_options::stack_size, or set runtime_options::stack_size\n",
                    static_cast<unsigned long long>(fiber.id), name.empty() ? "" : " \"", static_cast<int>(name.size()),
                    name.data(), name.empty() ? "" : "\"", fiber.stack_size / 1024);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, static_cast<std::size_t>(length));
  // Naming the frames takes locks and memory, which the fiber may have been in the middle of: if that hangs, this ends
  // it.
  struct sigaction end{};
  end.sa_handler = [](int) { std::abort(); };
  sigaction(SIGALRM, &end, nullptr);
  alarm(2);
  if constexpr (!arch::contexts_are_kept) {  // ThreadSanitizer allows no handler to allocate
    const call_stack frames = walk_interrupted(context);
    on_large_stack([&] {
      report out(STDERR_FILENO);
      out.stack(frames.all(), false);
    });
  }
  std::abort();
}

void on_fault(int number, siginfo_t* info, void* context) {
  sched::sighting fiber;
  const std::byte* stack = nullptr;
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  if (sched::running_fiber(fiber, stack) && at >= stack && at < stack + arch::page_size()) {
    report_overflow(fiber, context);
  }
  const struct sigaction& before = before_us[number == signals[0] ? 0 : 1];
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  } else if (const bool was_sent = info->si_code <= 0; !was_sent || before.sa_handler == SIG_DFL) {
    sigaction(number, &before, nullptr);  // the instruction faults again when we return;
    if (was_sent) raise(number);          // what `kill` has sent does not come again by itself
  }
}

}  // namespace

void watch_for_overflow() noexcept {
  for (int i = 0; i < 2; ++i) {
    struct sigaction ours{};
    ours.sa_sigaction = &on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(signals[i], &ours, &before_us[i]);
  }
}

}  // namespace gofer::inline v0::debug
