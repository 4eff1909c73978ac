#include <gofer/shared_mutex.hpp>

#include <cstdio>
#include <cstdlib>

#include <gofer/detail/sched/atomic.hpp>

namespace gofer {

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

}  // namespace

bool shared_mutex::try_lock() noexcept {
  sched::point("shared_mutex::try_lock", this);
  return sync::lock_watch::locked(this, take());
}

bool shared_mutex::try_lock_shared() noexcept {
  sched::point("shared_mutex::try_lock_shared", this);
  return sync::lock_watch::locked(this, take_shared());
}

bool shared_mutex::take() noexcept {
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  while (seen == 0) {  // nobody inside, nobody waiting
    if (holders_.replace(seen, wait_queue::of(writer))) return true;
  }
  return false;
}

bool shared_mutex::take_shared() noexcept {
  constexpr wait_queue::word in_the_way = wait_queue::of(writer) | wait_queue::waiting;
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  while ((seen & in_the_way) == 0) {
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = holders_.load(std::memory_order_relaxed);
    } else if (holders_.replace(seen, seen + wait_queue::of(reader))) {
      return true;
    }
  }
  return false;
}

bool shared_mutex::lock_exclusive(const sched::wait_limit& limit) {
  constexpr auto operation = "shared_mutex::lock";
  about_to_wait(operation, this, limit);
  return sync::lock_watch::locked(this, take() || wait_in_line(operation, true, limit));
}

bool shared_mutex::lock_as_reader(const sched::wait_limit& limit) {
  constexpr auto operation = "shared_mutex::lock_shared";
  about_to_wait(operation, this, limit);
  return sync::lock_watch::locked(this, take_shared() || wait_in_line(operation, false, limit));
}

bool shared_mutex::wait_in_line(const char* reason, bool as_writer, const sched::wait_limit& limit) {
  sched::waiter self(reason, this, limit);
  holder_node node(self);
  node.writer = as_writer;
  const std::uint64_t holders = holders_.lock();
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

void shared_mutex::release(std::uint64_t held, const char* misuse) {
  sync::lock_watch::unlocks(held == writer ? "shared_mutex::unlock" : "shared_mutex::unlock_shared", this);
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = holders_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t holders = wait_queue::value(seen);
    const bool legal = held == writer ? holders == writer : holders >= reader && (holders & writer) == 0;
    if (!legal) {
      std::fprintf(stderr, "gofer: shared_mutex::%s\n", misuse);
      std::abort();
    }
    const std::uint64_t left = holders - held;
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = holders_.load(std::memory_order_relaxed);
    } else if (left != 0 || (seen & wait_queue::waiting) == 0) {
      if (holders_.replace(seen, wait_queue::of(left) | (seen & wait_queue::waiting))) return;
    } else if (holders_.replace(seen, wait_queue::waiting | wait_queue::locked)) {
      // Left and took the queue's lock in one step: else whoever gets in now could destroy the mutex under us.
      return let_in(0);
    }
  }
}

void shared_mutex::unlock() { release(writer, "unlock: no writer has the lock"); }

void shared_mutex::unlock_shared() { release(reader, "unlock_shared: no reader has the lock"); }

}  // namespace gofer
