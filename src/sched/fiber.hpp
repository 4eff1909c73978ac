#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/start_fiber.hpp>

#include "sched/fiber_stack.hpp"
#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

/// Why a fiber left the thread it ran on; tells the destination of the switch what is still to be done.
enum class departure : std::uint8_t {
  park,          // waits; whoever claimed its waiter makes it runnable
  park_outside,  // likewise; what happens outside of the program can wake it
  yield,         // wants to go on after the others
  rest,          // waits as in park_outside, without a stack: when it is woken its function is called anew
  finish,        // its function has returned
};

/// A fiber's control block, which holds its function, too. A fiber gets a stack when it runs for the first time, so
/// that one which has yet to run is small, and one that runs right after another has finished finds that one's stack
/// warm. For the same reason it may rest, without a stack, and run from the beginning again. Blocks are reused, never
/// freed: whoever looks at all fibers may look at any time.
struct alignas(arch::cache_line) fiber {
  // What every switch touches lies in the first line.
  void* sp = nullptr;                // where to go on while it does not run
  std::atomic<std::uint64_t> id{0};  // unique and never 0 while alive; storing it publishes what the starter wrote
  std::atomic<fiber_stack*> stack{nullptr};
  std::atomic<const char*> waiting_in{nullptr};  // parked: in which operation. Its waker clears it
  owned<const void*> waiting_on;                 // the object of that operation, or null
  owned<const void*> started_at;                 // an address in the code that started it
  owned<std::uint32_t> waiting_since;            // of the runtime's coarse clock
  std::atomic<bool> on_thread{false};            // its context is not saved (yet): it runs, or is just being left
  owned<departure> leaving;
  owned<std::uint8_t> stack_class;    // the binary logarithm of its stack's size
  owned<std::uint8_t> name_length{};  // 0: the name below means nothing

  bool (*body)(void* closure) = nullptr;
  std::atomic<void*> locals{nullptr};  // its fiber_local values
  alignas(16) std::array<std::byte, closure_room> closure{};
  std::array<owned<char>, 31> name_text{};

  std::string_view name() const noexcept {
    static_assert(sizeof(owned<char>) == sizeof(char));
    return {reinterpret_cast<const char*>(name_text.data()), name_length.get()};
  }
  /// Where it goes on, for those whom a switch hands it to.
  GOFER_SWITCH_CODE void* context() const noexcept { return sp; }

  // Hints for whoever will soon have the fiber; it may be another's by then.

  /// Begins to fetch what is written when a fiber is started, or runs for the first time.
  void prefetch() noexcept {
    arch::prefetch_to_write(this);
    arch::prefetch_to_write(static_cast<const void*>(&body));
  }
  /// Once that is here: begins to fetch what one that has run goes on with. Not under ThreadSanitizer, which takes
  /// fibers for threads: it does not see that what one finds in its processor's ring was made before another put it
  /// there.
  GOFER_SWITCH_CODE void prefetch_frame() noexcept {
#if !defined(GOFER_TSAN)
    if (stack.load(std::memory_order_relaxed) != nullptr) arch::prefetch_to_write(sp);
#endif
  }
  void set_name(std::string_view name) noexcept {
    const std::size_t length = std::min(name.size(), name_text.size());
    for (std::size_t i = 0; i < length; ++i) name_text[i].set(name[i]);
    name_length.set(static_cast<std::uint8_t>(length));
  }
};

}  // namespace gofer::inline v0::sched
