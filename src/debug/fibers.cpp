#include <gofer/debug.hpp>

#include "debug/report.hpp"
#include "debug/symbols.hpp"
#include "sched/inspect.hpp"
#include "sched/runtime.hpp"

namespace gofer::inline v0::debug {
namespace {

fiber_state state_of(const sched::sighting& seen) noexcept {
  switch (seen.what) {
    case sched::sighting::state::running:
      return fiber_state::running;
    case sched::sighting::state::runnable:
      return fiber_state::ready;
    default:
      return fiber_state::waiting;
  }
}

}  // namespace

void for_each_fiber(const std::function<void(const fiber_info&)>& look) {
  sched::runtime* r = sched::runtime::if_started();
  if (r == nullptr) return;
  std::exception_ptr failed;
  on_large_stack([&] {
    try {
      place_cache places;
      r->fibers.for_each([&](const sched::fiber& f) {
        if (f.id.load(std::memory_order_acquire) == 0) return;
        const sched::sighting seen = sched::inspection(*r, f).seen;
        if (seen.id == 0) return;  // it has just finished
        look({.id = seen.id,
              .name = std::string(seen.name()),
              .state = state_of(seen),
              .operation = seen.reason == nullptr ? "" : seen.reason,
              .since = seen.since,
              .started_at = seen.started_at == nullptr ? "" : places.users_place(seen.started_at)});
      });
    } catch (...) {
      failed = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failed);
}

}  // namespace gofer::inline v0::debug
