#include "debug/lock_reports.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "debug/report.hpp"
#include "sync/lock_order.hpp"

namespace gofer::inline v0::debug {
namespace {

sync::captured_stack capture() noexcept {
  const call_stack own = walk_own();
  sync::captured_stack captured;
  captured.depth = std::min(own.depth, captured.frames.size());
  std::copy_n(own.frames.begin(), captured.depth, captured.frames.begin());
  return captured;
}

std::string address(const void* p) {
  char text[24];
  std::snprintf(text, sizeof(text), "%p", p);
  return text;
}

void describe(report& out, const sync::lock_inversion_side& side) {
  out << title(side.who) << " locked " << address(side.first) << ", here:\n";
  out.stack(side.first_where.all());
  out << "  and then asked for " << address(side.second) << ", here:\n";
  out.stack(side.who.where.all());
}

void report_inversion(const sync::lock_inversion_side& now, const sync::lock_inversion_side& before) {
  on_large_stack([&] {
    report out(STDERR_FILENO);
    out << "gofer: two locks are taken in opposite orders, which is a deadlock waiting to happen; take them "
           "always in the same order, or both at once with std::scoped_lock\n";
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
    out.stack(holder.where.all());
    out << "  and asks for it again here:\n";
    out.stack(here.all());
  });
  std::abort();
}

}  // namespace

void install_lock_reports() noexcept {
  sync::lock_order_above.capture.store(&capture, std::memory_order_relaxed);
  sync::lock_order_above.inversion.store(&report_inversion, std::memory_order_relaxed);
  sync::lock_order_above.relock.store(&report_relock, std::memory_order_relaxed);
}

}  // namespace gofer::inline v0::debug
