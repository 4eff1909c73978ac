#pragma once

#include <concepts>
#include <utility>

#include <gofer/detail/atomic/hazard.hpp>
#include <gofer/detail/sched/point.hpp>

namespace gofer::inline v0 {

template <class T>
class atomic_value;

namespace hazard {

/// A value that was current once.
template <class T>
struct version final : retired {
  explicit version(T v) : value(std::move(v)) {
    destroy = [](retired* r) noexcept { delete static_cast<version*>(r); };
  }
  T value;
};

}  // namespace hazard

/// A look at one version of an atomic_value: behaves like a pointer to const. The version lives, unchanged, as long as
/// the snapshot, whatever happens to the atomic_value; may be held across waits and released on another thread.
template <class T>
class snapshot {
 public:
  /// Points to nothing.
  snapshot() noexcept = default;
  snapshot(snapshot&& other) noexcept
      : version_(std::exchange(other.version_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}
  /// Costs a write to the version that all its copies share, where `load` costs none.
  snapshot(const snapshot& other) noexcept : version_(other.version_) {
    if (version_ != nullptr) version_->copies.fetch_add(1, std::memory_order_relaxed);  // `other` keeps it meanwhile
  }
  snapshot& operator=(snapshot other) noexcept {
    std::swap(version_, other.version_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~snapshot() {
    if (slot_ != nullptr) {
      hazard::release(slot_);
    } else if (version_ != nullptr) {
      version_->copies.fetch_sub(1, std::memory_order_release);  // pairs with the load in collect
    }
  }

  /// The version's value; none must be asked of an empty snapshot, but by `get`, which is null then.
  const T& operator*() const noexcept { return version_->value; }
  const T* operator->() const noexcept { return &version_->value; }
  const T* get() const noexcept { return version_ == nullptr ? nullptr : &version_->value; }
  /// False for an empty one: made so, or moved from.
  explicit operator bool() const noexcept { return version_ != nullptr; }
  /// True for looks at the same version, not for versions that are equal.
  bool operator==(const snapshot& other) const noexcept { return version_ == other.version_; }

 private:
  friend class atomic_value<T>;
  snapshot(hazard::version<T>* v, hazard::slot* s) noexcept : version_(v), slot_(s) {}

  hazard::version<T>* version_ = nullptr;
  hazard::slot* slot_ = nullptr;  // null in a copy, which is counted in the version
};

/// A value that is replaced as a whole and read far more often: configuration, routing tables. Go's atomic.Value and
/// atomic.Pointer.
///
///     gofer::atomic_value<config> current(config::defaults());
///     auto c = current.load();                 // on any thread, without a wait or a shared write
///     connect(c->host, c->port);               // c stays as it is
///     current.update([](config& next) { next.port = 8081; });
///
/// What was done before a version was stored happens before a load that returns it. A version is freed once it is not
/// current and no snapshot holds it: within the next 64 stores, or as many as there are snapshots at once if that is
/// more.
template <class T>
class atomic_value {
 public:
  /// Begins with `initial` as its version.
  explicit atomic_value(T initial) : current_(new hazard::version<T>(std::move(initial))) {}
  atomic_value(const atomic_value&) = delete;
  atomic_value& operator=(const atomic_value&) = delete;
  /// Nobody may be in another call; snapshots go on.
  ~atomic_value() {
    hazard::retire(current_.load(std::memory_order_relaxed));
    hazard::collect();
  }

  /// The current version, which lives as long as the snapshot. Blocks for nobody.
  snapshot<T> load() const {
    sched::point("atomic_value::load", this);
    hazard::slot* s = hazard::acquire();
    return {hazard::protect(*s, current_), s};
  }

  /// Makes `desired` the current version.
  void store(T desired) {
    sched::point("atomic_value::store", this);
    auto* next = new hazard::version<T>(std::move(desired));
    hazard::retire(current_.exchange(next, std::memory_order_acq_rel));
  }

  /// Returns the version that was replaced.
  snapshot<T> exchange(T desired) {
    sched::point("atomic_value::exchange", this);
    hazard::slot* s = hazard::acquire();
    auto* next = new_version(std::move(desired), s);
    auto* before = current_.exchange(next, std::memory_order_acq_rel);
    s->store(before, std::memory_order_release);  // not retired yet, so it is there
    hazard::retire(before);
    return {before, s};
  }

  /// Stores `desired` if the current version is the one `expected` looks at.
  bool compare_exchange(const snapshot<T>& expected, T desired) {
    auto* next = new hazard::version<T>(std::move(desired));
    if (replace(expected, next)) return true;
    delete next;
    return false;
  }

  /// Calls `f(T&)` on a copy of the current value and stores the copy, unless another was stored meanwhile: then again,
  /// with a new copy. Returns the version stored. If `f` throws nothing is stored.
  template <class F>
  snapshot<T> update(F&& f)
    requires std::copy_constructible<T>
  {
    snapshot<T> before = load();
    for (;;) {
      hazard::slot* s = hazard::acquire();
      auto* next = new_version(*before, s);
      snapshot<T> result(next, s);
      s->store(next, std::memory_order_release);  // before others can replace and retire it
      try {
        f(next->value);
      } catch (...) {
        delete next;
        throw;
      }
      if (replace(before, next)) return result;
      before = load();
      delete next;
    }
  }

 private:
  /// Gives the slot back if the version cannot be made.
  static hazard::version<T>* new_version(T value, hazard::slot* s) {
    try {
      return new hazard::version<T>(std::move(value));
    } catch (...) {
      hazard::release(s);
      throw;
    }
  }

  bool replace(const snapshot<T>& expected, hazard::version<T>* next) noexcept {
    sched::point("atomic_value::replace", this);
    hazard::version<T>* seen = expected.version_;
    // The snapshot keeps its version from being freed, so that an equal pointer means the same version.
    if (!current_.compare_exchange_strong(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed))
      return false;
    hazard::retire(seen);
    return true;
  }

  sched::atomic<hazard::version<T>*> current_;
};

}  // namespace gofer::inline v0
