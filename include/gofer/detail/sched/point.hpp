#pragma once

#include <atomic>
#include <cstdint>

namespace gofer::inline v0::sched {

/// Who wants to be told of every synchronization operation.
enum observer : std::uint8_t {
  lock_order_watcher = 1,  // sync/lock_order.hpp
  exploration = 2,         // sched/explorer.hpp: some thread explores schedules
};
/// Those there are; 0 in a program at work.
extern constinit std::atomic<std::uint8_t> observers;

#if defined(GOFER_WITHOUT_POINTS)  // to measure what they cost
constexpr bool observed() noexcept { return false; }
#else
inline bool observed() noexcept { return observers.load(std::memory_order_relaxed) != 0; }
#endif

/// The calling fiber has come to `operation` on `object`. In an exploration another fiber may run before this returns.
/// `operation` is a literal, "chan::send". Not with a spin lock held.
void reach(const char* operation, const void* object) noexcept;

/// Every operation on a primitive begins with this: one test of a value that is nearly always 0.
inline void point(const char* operation, const void* object) noexcept {
  if (observed()) [[unlikely]]
    reach(operation, object);
}

/// The order in which several are locked: by address, but in an exploration the same each time the schedule runs.
std::uintptr_t place_in_order(const void* object) noexcept;

/// A wait node has entered (1) or left (-1) a list: an exploration ends with none in any.
void count_waiting(int change) noexcept;
inline void note_waiting(int change) noexcept {
  if (observed()) [[unlikely]]
    count_waiting(change);
}

/// While one lives the calling fiber is not switched away from at points: inside of callbacks of the standard library
/// that tell threads apart, but not fibers.
class no_points {
 public:
  no_points() noexcept {
    if (observed()) [[unlikely]]
      begin();
  }
  no_points(const no_points&) = delete;
  no_points& operator=(const no_points&) = delete;
  ~no_points() {
    if (begun_) [[unlikely]]
      end();
  }

 private:
  void begin() noexcept;
  void end() noexcept;
  bool begun_ = false;
};

}  // namespace gofer::inline v0::sched
