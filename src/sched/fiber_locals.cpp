#include "sched/fiber_locals.hpp"

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include <gofer/go.hpp>

#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

constinit std::atomic<bool> fiber_locals_used{false};

namespace {

struct local_value {
  void* value = nullptr;
  void (*destroy)(void*) noexcept = nullptr;
};

std::uint64_t number_of(const fiber_local_key& key) noexcept {
  std::uint64_t number = key.number.load(std::memory_order_relaxed);
  if (number != 0) return number;
  static std::atomic<std::uint64_t> given{0};
  const std::uint64_t fresh = given.fetch_add(1, std::memory_order_relaxed) + 1;
  return key.number.compare_exchange_strong(number, fresh, std::memory_order_relaxed) ? fresh : number;
}

/// The values of one fiber or thread by the number of their key.
class local_values {
 public:
  local_values() = default;
  local_values(const local_values&) = delete;
  local_values& operator=(const local_values&) = delete;
  ~local_values() {
    // What is destroyed may use others, which are made anew then; after some rounds those are left that make each
    // other.
    constexpr int rounds = 8;
    for (int i = 0; i < rounds && !values_.empty(); ++i) {
      for (auto& [key, local] : std::exchange(values_, {})) local.destroy(local.value);
    }
  }

  void* find(const fiber_local_key& key) const noexcept {
    const auto found = values_.find(number_of(key));
    return found == values_.end() ? nullptr : found->second.value;
  }

  void* get(const fiber_local_key& key) {
    if (void* made = find(key)) return made;
    const std::uint64_t number = number_of(key);
    local_value& local = values_[number];
    try {
      local = {.value = key.make(), .destroy = key.destroy};
    } catch (...) {
      values_.erase(number);
      throw;
    }
    return local.value;
  }

 private:
  std::unordered_map<std::uint64_t, local_value> values_;
};

constinit thread_local local_values* values_here = nullptr;

/// Those of a plain thread, until its thread-locals are destroyed. For who comes after that there are new ones, which
/// stay.
local_values& values_of_thread() {
  if (values_here == nullptr) {
    struct at_end {
      ~at_end() {
        delete values_here;  // whose destructors may use it
        values_here = nullptr;
      }
    };
    [[maybe_unused]] static thread_local const at_end ends;
    values_here = new local_values;
  }
  return *values_here;
}

}  // namespace

void* find_fiber_local(const fiber_local_key& key) noexcept {
  const fiber* self = this_thread().running.get();
  const void* values = self == nullptr ? values_here : self->locals.load(std::memory_order_relaxed);
  return values == nullptr ? nullptr : static_cast<const local_values*>(values)->find(key);
}

void* fiber_local_value(const fiber_local_key& key) {
  fiber* self = this_thread().running.get();
  if (self == nullptr) return values_of_thread().get(key);
  auto* values = static_cast<local_values*>(self->locals.load(std::memory_order_relaxed));
  if (values == nullptr) {
    values = new local_values;
    self->locals.store(values, std::memory_order_relaxed);
    if (!fiber_locals_used.load(std::memory_order_relaxed)) fiber_locals_used.store(true, std::memory_order_relaxed);
  }
  return values->get(key);
}

void destroy_fiber_locals(fiber& f) noexcept {
  void* values = f.locals.load(std::memory_order_relaxed);
  if (values == nullptr) return;
  delete static_cast<local_values*>(values);
  f.locals.store(nullptr, std::memory_order_relaxed);
}

void destroy_own_fiber_locals() noexcept {
  if (fiber* self = this_thread().running.get()) destroy_fiber_locals(*self);
}

}  // namespace gofer::inline v0::sched
