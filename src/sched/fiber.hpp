#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "arch/sanitizer.hpp"
#include "sched/owned.hpp"

namespace gofer::sched {

/// Why a fiber left the thread it ran on; tells the destination of the switch what is still to be done.
enum class departure : std::uint8_t {
  park,    // waits; whoever claimed its waiter makes it runnable
  yield,   // wants to go on after the others
  finish,  // its function has returned
};

/// A fiber's control block, at the top of the fiber's own stack. Made once for each stack and reused with it.
struct fiber {
  void* sp = nullptr;                  // where to go on while it does not run
  std::atomic<bool> on_thread{false};  // its context is not saved (yet): it runs, or is just being switched away from
  owned<departure> leaving;
  owned<fiber*> link;                // in a run queue, or in a list of free fibers
  std::atomic<std::uint64_t> id{0};  // unique and never 0 while alive; storing it publishes what the starter wrote
  void (*body)(void* closure) = nullptr;
  void* closure = nullptr;             // on this stack, below the control block
  std::atomic<void*> locals{nullptr};  // its fiber_local values
  std::byte* stack = nullptr;          // lowest byte, the guard page
  std::size_t stack_size = 0;
  std::uint8_t name_length = 0;
  std::array<char, 31> name_text{};
  arch::sanitized_stack sanitized;

  std::string_view name() const noexcept { return {name_text.data(), name_length}; }
  void set_name(std::string_view name) noexcept {
    name_length = static_cast<std::uint8_t>(name.copy(name_text.data(), name_text.size()));
  }
};

}  // namespace gofer::sched
