#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/mutex.hpp>
#include <gofer/wait_group.hpp>

#include "nats/client.hpp"
#include "nats/delivery.hpp"
#include "nats/message.hpp"

namespace gofer::inline v0::nats {

class lease_book;

/// What we have of a server until we say what became of it, or are not heard of for too long. The answers to it, "done"
/// and the like, are small messages to a subject of its own, which `where` holds.
class lease {
 public:
  /// `where` outlives it.
  lease(lease_book& book, const char* where, const delivery& of);
  /// Hands it back if nothing was said.
  ~lease();
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;

  const delivery& of() const noexcept { return of_; }

  void done() noexcept { settle(done_answer); }
  void again_after(std::chrono::nanoseconds delay) noexcept {
    std::array<char, 64> how{};  // no memory is needed for it
    const int length =
        std::snprintf(how.data(), how.size(), "-NAK {\"delay\": %lld}", static_cast<long long>(delay.count()));
    settle({how.data(), static_cast<std::size_t>(length)});
  }

 private:
  friend class lease_book;
  static constexpr std::string_view done_answer = "+ACK";
  void settle(std::string_view how) noexcept;

  lease_book& book_;
  const char* const where_;
  const delivery of_;
  bool settled_ = false;
  std::size_t place_ = 0;  // in the book
};

/// All leases of a pool; renews them while they are held, whatever their holders wait for.
class lease_book {
 public:
  lease_book(client& by, std::chrono::nanoseconds lasts) : by_(by), lasts_(lasts) {
    done_.reserve(remembered);
    renewing_.go([this] { renew(); });
  }
  lease_book(const lease_book&) = delete;
  lease_book& operator=(const lease_book&) = delete;
  ~lease_book() {
    over_.request_stop();
    renewing_.wait();
  }

  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Who is not heard of for longer than a lease, though alive, is given again what it holds, or has just done. Nothing
  /// is to be done for that: what is held is settled by its holder, and that something is done is said again here.
  bool came_again(const message& m, const delivery& d) {
    if (d.times == 1) return false;
    const std::scoped_lock hold(lock_);
    if (std::ranges::any_of(leases_, [&](const lease* l) { return l->of_.is_of_the_same(d); })) return true;
    if (std::ranges::none_of(done_, [&](const delivery& o) { return o.is_of_the_same(d); })) return false;
    by_.send(m.reply(), lease::done_answer);
    return true;
  }

  std::atomic<std::uint64_t> handed_back{0};

 private:
  friend class lease;

  /// What is remembered as done. More than can be on its way here when its lease is over; answers that got lost with a
  /// connection may be more.
  static constexpr std::size_t remembered = 4096;

  void remember(const delivery& d) {
    if (done_.size() < remembered) return done_.push_back(d);
    done_[oldest_done_] = d;
    oldest_done_ = (oldest_done_ + 1) % remembered;
  }

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
  std::vector<delivery> done_;   // guarded by lock_
  std::size_t oldest_done_ = 0;  // guarded by lock_
};

inline lease::lease(lease_book& book, const char* where, const delivery& of) : book_(book), where_(where), of_(of) {
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
    if (how == done_answer) book_.remember(of_);
  }
  settled_ = true;
  book_.by_.send(where_, how);
}

}  // namespace gofer::inline v0::nats
