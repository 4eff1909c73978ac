#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/mutex.hpp>
#include <gofer/wait_group.hpp>

#include "nats/client.hpp"

namespace gofer::inline v0::nats {

class lease_book;

/// What we have of a server until we say what became of it, or are not heard of for too long. The answers to it, "done"
/// and the like, are small messages to a subject of its own, which `where` holds.
class lease {
 public:
  /// `where` outlives it.
  lease(lease_book& book, const char* where);
  /// Hands it back if nothing was said.
  ~lease();
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;

  void done() noexcept { settle("+ACK"); }
  void again_after(std::chrono::nanoseconds delay) noexcept {
    settle("-NAK {\"delay\": " + std::to_string(delay.count()) + "}");
  }

 private:
  friend class lease_book;
  void settle(std::string_view how) noexcept;

  lease_book& book_;
  const char* const where_;
  bool settled_ = false;
  std::size_t place_ = 0;  // in the book
};

/// All leases of a pool; renews them while they are held, whatever their holders wait for.
class lease_book {
 public:
  lease_book(client& by, std::chrono::nanoseconds lasts) : by_(by), lasts_(lasts) {
    renewing_.go([this] { renew(); });
  }
  lease_book(const lease_book&) = delete;
  lease_book& operator=(const lease_book&) = delete;
  ~lease_book() {
    over_.request_stop();
    renewing_.wait();
  }

  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> handed_back{0};

 private:
  friend class lease;

  /// In good time, and over a new connection at once.
  void renew() noexcept {
    const auto every = std::min<std::chrono::nanoseconds>(lasts_ / 3, std::chrono::seconds(1));
    std::uint64_t connection = by_.connections();
    for (sched::time_point renewed = sched::now(); sleep_for(every, over_.get_token());) {
      if (sched::now() - renewed < lasts_ / 3 && connection == by_.connections()) continue;
      renewed = sched::now();
      connection = by_.connections();
      const std::scoped_lock hold(lock_);
      for (const lease* l : leases_) by_.send(l->where_, "+WPI");
    }
  }

  client& by_;
  const std::chrono::nanoseconds lasts_;
  std::stop_source over_;
  wait_group renewing_;
  mutex lock_;
  std::vector<lease*> leases_;  // guarded by lock_
  std::atomic<std::size_t> size_{0};
};

inline lease::lease(lease_book& book, const char* where) : book_(book), where_(where) {
  const std::scoped_lock hold(book_.lock_);
  place_ = book_.leases_.size();
  book_.leases_.push_back(this);
  book_.size_.store(book_.leases_.size(), std::memory_order_relaxed);
}

inline lease::~lease() {
  if (settled_) return;
  book_.handed_back.fetch_add(1, std::memory_order_relaxed);
  settle("-NAK");
}

inline void lease::settle(std::string_view how) noexcept {
  {
    const std::scoped_lock hold(book_.lock_);
    book_.leases_[place_] = book_.leases_.back();
    book_.leases_[place_]->place_ = place_;
    book_.leases_.pop_back();
    book_.size_.store(book_.leases_.size(), std::memory_order_relaxed);
  }
  settled_ = true;
  book_.by_.send(where_, how);
}

}  // namespace gofer::inline v0::nats
