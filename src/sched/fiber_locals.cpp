#include "sched/fiber_locals.hpp"

#include <memory>
#include <unordered_map>

#include <gofer/go.hpp>

#include "sched/thread.hpp"

namespace gofer::inline v0::sched {
namespace {

struct local_value {
  void* value = nullptr;
  void (*destroy)(void*) noexcept = nullptr;
};

/// The values of one fiber or thread by key.
class local_values {
 public:
  local_values() = default;
  local_values(const local_values&) = delete;
  local_values& operator=(const local_values&) = delete;
  ~local_values() {
    for (auto& [key, local] : by_key_) local.destroy(local.value);
  }

  void* get(const fiber_local_key& key) {
    if (const auto found = by_key_.find(&key); found != by_key_.end()) return found->second.value;
    local_value& local = by_key_[&key];
    try {
      local = {.value = key.make(), .destroy = key.destroy};
    } catch (...) {
      by_key_.erase(&key);
      throw;
    }
    return local.value;
  }

 private:
  std::unordered_map<const fiber_local_key*, local_value> by_key_;
};

}  // namespace

void* fiber_local_value(const fiber_local_key& key) {
  fiber* self = this_thread().running.get();
  if (self == nullptr) {
    static thread_local local_values of_thread;
    return of_thread.get(key);
  }
  auto* values = static_cast<local_values*>(self->locals.load(std::memory_order_relaxed));
  if (values == nullptr) {
    values = new local_values;
    self->locals.store(values, std::memory_order_relaxed);
  }
  return values->get(key);
}

void destroy_fiber_locals(fiber& f) noexcept {
  if (f.locals.load(std::memory_order_relaxed) == nullptr) return;
  delete static_cast<local_values*>(f.locals.exchange(nullptr, std::memory_order_relaxed));
}

}  // namespace gofer::inline v0::sched
