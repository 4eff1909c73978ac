#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sched/runtime.hpp"

namespace gofer::inline v0::sched {

/// What was seen of a fiber or of a waiting plain thread at one moment.
struct sighting {
  enum class state : std::uint8_t { running, runnable, waiting };

  std::uint64_t id = 0;  // of a thread: its index
  std::array<char, 31> name_text{};
  std::size_t name_length = 0;
  state what = state::running;
  const char* reason = nullptr;  // waiting: in which operation
  const void* object = nullptr;  // waiting: on which object, or null
  bool outside = false;          // waiting: what happens outside of the program can end it
  bool for_ever = false;         // waiting, a thread: without a limit
  std::uint64_t waits = 0;       // of a thread: so far
  std::chrono::milliseconds since{0};
  const void* started_at = nullptr;
  std::size_t stack_size = 0;
  const void* context = nullptr;  // waiting, a fiber: its saved context; it stays where it is while it is looked at
  int kernel_thread = 0;          // running: the kernel's number of its thread, or 0

  std::string_view name() const noexcept { return {name_text.data(), name_length}; }
};

/// Keeps a fiber that waits from being woken while it lives, so that its stack can be walked. Short: whoever would wake
/// the fiber spins meanwhile. One at a time; the others wait for it.
class inspection {
 public:
  inspection(runtime& r, const fiber& f) noexcept;
  inspection(const inspection&) = delete;
  inspection& operator=(const inspection&) = delete;
  ~inspection();

  sighting seen;  // with the id 0 if the fiber is not alive

 private:
  runtime& runtime_;
};

/// What a plain thread does; without a reason if it does not wait for a fiber or another thread.
sighting sight(runtime& r, const thread& t) noexcept;

/// Calls `look(sighting)` for every plain thread that waits.
template <class F>
void for_each_waiting_thread(runtime& r, F&& look) {
  for (const thread* t = first_thread(); t != nullptr; t = t->next_made) {
    if (const sighting seen = sight(r, *t); seen.reason != nullptr) look(seen);
  }
}
/// The fiber on this thread, or false: there is none. Async-signal-safe.
bool running_fiber(sighting& seen, const std::byte*& stack) noexcept;

/// True if every worker thread sleeps for want of work, no timer is set, and nothing runs. Nothing but a thread that
/// the runtime knows nothing of, or the kernel, can change that.
bool all_asleep(runtime& r) noexcept;

}  // namespace gofer::inline v0::sched
