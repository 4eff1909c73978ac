#include <gofer/shared_mutex.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

#include <gofer/detail/sched/atomic.hpp>

#include "sched/thread.hpp"

namespace gofer::inline v0 {

using sync::wait_queue;

namespace {

struct holder_node : sync::wait_node {
  using wait_node::wait_node;
  bool writer = false;
};

void about_to_wait(const char* operation, const shared_mutex* lock, const sched::wait_limit& limit) {
  if (limit.deadline == sched::no_deadline) {
    sync::lock_watch::intends(operation, lock);
  } else {
    sched::point(operation, lock);
  }
}

/// So many readers between two writers, and they are counted apart even if they never met: a line that other threads
/// may write costs more to write than one's own.
constexpr std::uint32_t many_readers = 1024;

constexpr auto no_reader = "unlock_shared: no reader has the lock";

[[noreturn]] void misused(const char* how) {
  std::fprintf(stderr, "gofer: shared_mutex::%s\n", how);
  std::abort();
}

}  // namespace

/// Counts a reader's coming (1) or leaving (-1) with the calling thread's own, if that is how it is done now.
inline bool shared_mutex::count_apart(int change) noexcept {
  sync::reader_count* readers = apart_.load(std::memory_order_acquire);
  return readers != nullptr && readers->add(change, sched::index_here.load(std::memory_order_relaxed));
}

bool shared_mutex::try_lock() noexcept {
  sched::point("shared_mutex::try_lock", this);
  return sync::lock_watch::locked(this, take());
}

bool shared_mutex::take() noexcept {
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  while (seen == 0) {  // nobody inside, nobody waiting
    if (!holders_.replace(seen, wait_queue::of(writer))) continue;
    since_writer_.store(0, std::memory_order_relaxed);
    return true;
  }
  if ((wait_queue::value(seen) & apart) == 0) return false;
  const std::uint64_t holders = count_together(holders_.lock());
  const bool free = holders == 0 && holders_.empty();
  holders_.unlock(free ? writer : holders);
  return free;
}

bool shared_mutex::take_shared() noexcept {
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  while ((seen & in_the_way) == 0) {
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = holders_.load(std::memory_order_relaxed);
    } else if (holders_.replace(seen, seen + wait_queue::of(reader)) || begin_counting_apart()) {
      return true;
    }
  }
  return false;
}

/// For a reader that met others, or was one of many: counts it, and from now on all of them apart. False: not worth it,
/// or somebody is in the way.
[[gnu::noinline]] bool shared_mutex::begin_counting_apart() noexcept {
  sync::reader_count* readers = apart_.load(std::memory_order_acquire);
  try {
    if (readers == nullptr) {
      auto made = std::make_unique<sync::reader_count>();
      if (apart_.compare_exchange_strong(readers, made.get(), std::memory_order_acq_rel)) readers = made.release();
    }
    readers->make_cell();
  } catch (const std::bad_alloc&) {
    return false;
  }
  const std::uint64_t holders = holders_.lock();
  const bool possible = (holders & writer) == 0 && holders_.empty();
  if (!possible) {
    holders_.unlock(holders);
    return false;
  }
  const bool opens = (holders & apart) == 0 && readers->worth_opening();
  if (opens) readers->open();
  holders_.unlock((opens ? holders | apart : holders) + reader);
  return true;
}

/// With the queue's lock: the holders when all readers are counted in the word again.
std::uint64_t shared_mutex::count_together(std::uint64_t holders) noexcept {
  if ((holders & apart) == 0) return holders;
  const std::int64_t inside = apart_.load(std::memory_order_acquire)->close();
  holders = wait_queue::value(wait_queue::of(holders - apart + static_cast<std::uint64_t>(inside) * reader));
  if (static_cast<std::int64_t>(wait_queue::of(holders)) < 0) misused(no_reader);
  return holders;
}

bool shared_mutex::lock_exclusive(const sched::wait_limit& limit) {
  constexpr auto operation = "shared_mutex::lock";
  about_to_wait(operation, this, limit);
  return sync::lock_watch::locked(this, take() || wait_in_line(operation, true, limit));
}

/// A reader's coming when nothing is in the way.
inline bool shared_mutex::enter() noexcept {
  if (count_apart(1)) return true;
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  if ((seen & (in_the_way | wait_queue::locked)) != 0) return false;
  const bool has_no_cell = (seen & wait_queue::of(apart)) != 0;  // and would come in the way of those that have
  const std::uint32_t count = since_writer_.load(std::memory_order_relaxed) + 1;
  since_writer_.store(count % many_readers, std::memory_order_relaxed);
  const bool here = !has_no_cell && count < many_readers;
  return (here && holders_.replace(seen, seen + wait_queue::of(reader))) || begin_counting_apart();
}

/// Its leaving when it lets nobody in.
inline bool shared_mutex::leave() noexcept {
  if (count_apart(-1)) return true;
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  const bool only_readers = seen != 0 && seen % wait_queue::of(reader) == 0;
  return only_readers && holders_.replace(seen, seen - wait_queue::of(reader));
}

[[gnu::noinline]] void shared_mutex::lock_shared() {
  if (sched::observed() || !enter()) lock_as_reader(sched::for_ever);
}

[[gnu::noinline]] bool shared_mutex::try_lock_shared() noexcept {
  sched::point("shared_mutex::try_lock_shared", this);
  return sync::lock_watch::locked(this, count_apart(1) || take_shared());
}

[[gnu::noinline]] bool shared_mutex::lock_as_reader(const sched::wait_limit& limit) {
  constexpr auto operation = "shared_mutex::lock_shared";
  about_to_wait(operation, this, limit);
  return sync::lock_watch::locked(this, count_apart(1) || take_shared() || wait_in_line(operation, false, limit));
}

bool shared_mutex::wait_in_line(const char* reason, bool as_writer, const sched::wait_limit& limit) {
  sched::waiter self(reason, this, limit);
  holder_node node(self);
  node.writer = as_writer;
  std::uint64_t holders = holders_.lock();
  if (as_writer) holders = count_together(holders);
  const bool free = holders_.empty() && (as_writer ? holders == 0 : (holders & writer) == 0);
  if (free) {
    holders_.unlock(holders + (as_writer ? writer : reader));
    return true;
  }
  holders_.push_back(node);
  holders_.unlock(holders);
  if (holders_.wait(node) == sched::waiter::woken) return true;
  // Those behind a writer that gave up may have been waiting for it alone.
  let_in(holders_.lock());
  return false;
}

/// With the queue's lock, which it gives back: lets in the first in line, and if that is a reader all readers up to the
/// next writer.
void shared_mutex::let_in(std::uint64_t holders) {
  sync::claimed_list admitted;
  while (const auto* first = static_cast<holder_node*>(holders_.front())) {
    if ((holders & writer) != 0 || (first->writer && holders != 0)) break;
    const bool as_writer = first->writer;
    sync::wait_node* node = holders_.pop_front();
    if (!node->who->claim(sched::waiter::woken)) continue;  // it gave up
    holders += as_writer ? writer : reader;
    admitted.push(*node);
  }
  holders_.unlock(holders);
  admitted.wake();
}

void shared_mutex::release(std::uint64_t held) {
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t holders = wait_queue::value(seen);
    // While readers are counted apart, too, there may have come more in there than have left.
    const bool legal = held == writer ? holders == writer : (holders & writer) == 0 && holders != 0;
    if (!legal) misused(held == writer ? "unlock: no writer has the lock" : no_reader);
    const wait_queue::word left = wait_queue::of(holders - held);
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = holders_.load(std::memory_order_relaxed);
    } else if (left != 0 || (seen & wait_queue::waiting) == 0) {
      if (holders_.replace(seen, left | (seen & wait_queue::waiting))) return;
    } else if (holders_.replace(seen, wait_queue::waiting | wait_queue::locked)) {
      // Left and took the queue's lock in one step: else whoever gets in now could destroy the mutex under us.
      return let_in(0);
    }
  }
}

void shared_mutex::unlock() {
  sync::lock_watch::unlocks("shared_mutex::unlock", this);
  release(writer);
}

[[gnu::noinline]] void shared_mutex::unlock_shared() {
  sync::lock_watch::unlocks("shared_mutex::unlock_shared", this);
  if (!leave()) release(reader);
}

}  // namespace gofer::inline v0
