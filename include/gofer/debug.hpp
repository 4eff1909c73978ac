#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace gofer::inline v0::debug {

/// Writes what every fiber is doing to the descriptor `fd`, in plain text: its id and name, whether it runs or since
/// when it waits, in which operation and for whom, where it was started, and, where the library was built with
/// libunwind, its stack. The program goes on meanwhile; what is written is true of each fiber at one moment, not of all
/// at the same. The threads of fibers that run are interrupted with SIGURG, unless the program handles it: system calls
/// that a signal ends early even with SA_RESTART, as poll and nanosleep, may end so in those. May be called from
/// anywhere but a signal handler. Returns when it has been written.
///
/// The signal SIGQUIT (Ctrl-\ at a terminal) does the same to standard error, unless the program handles it.
void dump(int fd);

enum class fiber_state { running, ready, waiting };

/// What a fiber was doing when it was looked at.
struct fiber_info {
  std::uint64_t id = 0;                      // as this_fiber::id()
  std::string name;                          // empty if it has none
  fiber_state state = fiber_state::running;  // the moment it was looked at
  std::string operation;                     // waiting: in which
  std::chrono::milliseconds since{0};        // waiting: how long it has been
  std::string started_at;                    // "source.cpp:12", as far as that is known
};

/// Calls `look` for every fiber, one after another: for pages and tables, where `dump` is for people. Where the caller
/// is a fiber, `look` runs in a thread of its own, as the caller blocks with its processor: gofer::blocking() spares
/// that. What `look` throws ends it and is thrown on. Not from signal handlers.
void for_each_fiber(const std::function<void(const fiber_info&)>& look);

}  // namespace gofer::inline v0::debug
