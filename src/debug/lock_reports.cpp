#include "debug/lock_reports.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "debug/report.hpp"
#include "sync/lock_order.hpp"

namespace gofer::debug {
namespace {

std::size_t capture(const void** frames, std::size_t most) noexcept {
  const call_stack own = walk_own();
  const std::size_t count = std::min(own.depth, most);
  std::copy_n(own.frames.begin(), count, frames);
  return count;
}

call_stack as_stack(const std::array<const void*, 16>& frames, std::size_t depth) noexcept {
  call_stack stack;
  stack.depth = depth;
  std::copy_n(frames.begin(), depth, stack.frames.begin());
  return stack;
}

std::string title(const sync::lock_holder& who) {
  if (who.fiber == 0) return "a plain thread";
  std::string text = "fiber " + std::to_string(who.fiber);
  if (!who.name.empty()) text += " \"" + who.name + "\"";
  return text;
}

std::string address(const void* p) {
  char text[24];
  std::snprintf(text, sizeof(text), "%p", p);
  return text;
}

void describe(report& out, const sync::lock_inversion_side& side) {
  out << title(side.who) << " locked " << address(side.first) << ", here:\n";
  out.stack(as_stack(side.first_frames, side.first_depth));
  out << "  and then asked for " << address(side.second) << ", here:\n";
  out.stack(as_stack(side.who.frames, side.who.depth));
}

void report_inversion(const sync::lock_inversion_side& now, const sync::lock_inversion_side& before) {
  on_large_stack([&] {
    report out(STDERR_FILENO);
    out << "gofer: two locks are taken in opposite orders, which is a deadlock waiting to happen; take them always in "
           "the "
           "same order, or both at once with std::scoped_lock\n";
    describe(out, now);
    out << "earlier ";
    describe(out, before);
  });
}

void report_relock(const sync::lock_holder& holder, const void* lock) {
  const call_stack here = walk_own();
  on_large_stack([&] {
    report out(STDERR_FILENO);
    out << "gofer: " << title(holder) << " locks " << address(lock)
        << " again while it has it, and would wait for itself for ever; it locked it here:\n";
    out.stack(as_stack(holder.frames, holder.depth));
    out << "  and asks for it again here:\n";
    out.stack(here);
  });
  std::abort();
}

}  // namespace

void install_lock_reports() noexcept {
  sync::lock_order_above.capture.store(&capture, std::memory_order_relaxed);
  sync::lock_order_above.inversion.store(&report_inversion, std::memory_order_relaxed);
  sync::lock_order_above.relock.store(&report_relock, std::memory_order_relaxed);
}

}  // namespace gofer::debug
