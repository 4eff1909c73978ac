#pragma once

#include <functional>
#include <string>
#include <thread>

#include <gofer/go.hpp>

#include "debug/call_stack.hpp"
#include "debug/symbols.hpp"
#include "sched/inspect.hpp"
#include "sync/lock_order.hpp"

namespace gofer::inline v0::debug {

/// Calls `write()`, which writes a report, on a stack that is large enough for it: libdw wants more than fibers have.
template <class F>
void on_large_stack(F&& write) {
  if (this_fiber::id() == 0) return write();
  std::thread(std::ref(write)).join();
}

/// "fiber 17 "indexer"" or "a plain thread".
std::string title(const sync::lock_holder& who);
/// `fiber 7 "name"`, of what, number and name, which may be empty.
std::string title(const char* what, std::uint64_t id, std::string_view name);

/// Writes about fibers to a descriptor, in plain text. Errors of the descriptor are ignored: there is nobody to tell.
class report {
 public:
  explicit report(int descriptor) noexcept : descriptor_(descriptor) {}
  report(const report&) = delete;
  report& operator=(const report&) = delete;
  ~report() { flush(); }

  report& operator<<(std::string_view text);

  /// One block for every fiber, and one for every plain thread that waits for one. Returns how many fibers.
  std::size_t everybody(sched::runtime& r);

  /// `name (source.cpp:12)` for every frame that is not the library's own business, to the fiber's beginning.
  /// `after_call`: the first address is one that a call returns to, as the others are.
  void stack(std::span<const void* const> frames, bool after_call = true);

  /// "source.cpp:12" of the first place that is not a library's, or "".
  std::string first_place(std::span<const void* const> frames);

  void flush() noexcept;

 private:
  void fiber(const sched::sighting& seen, const call_stack& frames);
  void thread(const sched::sighting& seen);

  int descriptor_;
  std::string text_;
  place_cache places_;
};

}  // namespace gofer::inline v0::debug
