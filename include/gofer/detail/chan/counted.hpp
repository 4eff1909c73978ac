#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace gofer::inline v0::channels {

/// What lives as long as there are references to it. Begins with one.
class counted {
 public:
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// False: the last reference is gone, and this is being destroyed.
  bool retain_if_alive() noexcept {
    std::size_t count = references_.load(std::memory_order_relaxed);
    while (count != 0) {
      if (references_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  /// Whether there are more than the caller's; of what nobody else can reach no more can come.
  bool shared() const noexcept { return references_.load(std::memory_order_acquire) != 1; }

 protected:
  /// Returns true if that was the last reference.
  bool drop() noexcept { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<std::size_t> references_{1};  // no point of explorations: they would be about little else
};

/// A reference, or none.
template <class T>
class counted_ref {
 public:
  constexpr counted_ref() noexcept = default;
  /// Takes over a reference.
  explicit counted_ref(T* owned) noexcept : object_(owned) {}
  counted_ref(const counted_ref& other) noexcept : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  counted_ref(counted_ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  counted_ref& operator=(counted_ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~counted_ref() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  bool operator==(const counted_ref&) const noexcept = default;

 private:
  T* object_ = nullptr;
};

}  // namespace gofer::inline v0::channels
