#include "debug/running_stack.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>

#include "arch/sanitizer.hpp"
#include "sched/inspect.hpp"

namespace gofer::inline v0::debug {
namespace {

enum request_state : std::uint8_t { none, asked, being_answered, answered };

/// What is asked of an interrupted thread. Static, because one that answers late must not find it gone.
constinit std::atomic<std::uint8_t> request{none};
constinit std::atomic<std::uint64_t> wanted{0};  // the fiber's id
constinit call_stack answer;                     // from being_answered to answered the handler's, else the asker's

void on_request(int /*number*/, siginfo_t* /*info*/, void* context) {
  const int error = errno;
  std::uint8_t expected = asked;
  if (request.compare_exchange_strong(expected, being_answered, std::memory_order_acquire)) {
    sched::sighting here;
    const std::byte* stack = nullptr;
    const bool same = sched::running_fiber(here, stack) && here.id == wanted.load(std::memory_order_relaxed);
    answer = same ? walk_interrupted(context) : call_stack{};
    request.store(answered, std::memory_order_release);
  }
  errno = error;
}

/// True once the request is answered; false if it was taken back.
bool wait_for_answer() noexcept {
  using namespace std::chrono_literals;
  for (int i = 0; i < 100; ++i) {
    if (request.load(std::memory_order_acquire) == answered) return true;
    std::this_thread::sleep_for(i < 10 ? 100us : 1ms);
  }
  std::uint8_t expected = asked;
  if (request.compare_exchange_strong(expected, none, std::memory_order_relaxed)) return false;
  while (request.load(std::memory_order_acquire) != answered) std::this_thread::sleep_for(1ms);
  return true;
}

}  // namespace

call_stack walk_running(const sched::sighting& seen) noexcept {
  if (!can_walk_stacks() || arch::signals_come_late || seen.kernel_thread == 0) return {};
  if (seen.kernel_thread == gettid()) return {};
  struct sigaction before{};
  if (sigaction(SIGURG, nullptr, &before) != 0) return {};
  const bool taken =
      (before.sa_flags & SA_SIGINFO) != 0 || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
  // A handler of ours stays: a signal that comes late must find it.
  if (taken && ((before.sa_flags & SA_SIGINFO) == 0 || before.sa_sigaction != &on_request)) return {};
  struct sigaction ours{};
  ours.sa_sigaction = &on_request;
  ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  if (!taken && sigaction(SIGURG, &ours, nullptr) != 0) return {};

  wanted.store(seen.id, std::memory_order_relaxed);
  request.store(asked, std::memory_order_release);
  if (syscall(SYS_tgkill, getpid(), seen.kernel_thread, SIGURG) != 0) {
    request.store(none, std::memory_order_relaxed);
    return {};
  }
  if (!wait_for_answer()) return {};
  request.store(none, std::memory_order_relaxed);
  return answer;
}

}  // namespace gofer::inline v0::debug
