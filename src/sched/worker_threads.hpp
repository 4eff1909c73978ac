#pragma once

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

/// The threads that workers run on, until they have ended altogether: with what libraries do at a thread's end, such as
/// OpenSSL, which must not meet what the same libraries do at the end of the program.
class worker_threads {
 public:
  /// Runs `body` in a new thread. Throws std::system_error if there can be none, and std::bad_alloc.
  template <class F>
  void start(F body) {
    struct beginning {
      F body;
      thread_record record{take_record()};
    };
    auto given = std::make_unique<beginning>(beginning{.body = std::move(body)});
    const std::scoped_lock hold(lock_);
    threads_.emplace_back();
    const int error = pthread_create(
        &threads_.back(), nullptr,
        [](void* b) -> void* {
          const std::unique_ptr<beginning> here(static_cast<beginning*>(b));
          begin_thread(std::move(here->record));
          here->body();
          return nullptr;
        },
        given.get());
    if (error != 0) {
      threads_.pop_back();
      throw std::system_error(error, std::generic_category());
    }
    given.release();
  }

  /// How many have not ended, without the calling thread; does not block.
  std::size_t left() {
    const std::scoped_lock hold(lock_);
    std::erase_if(threads_, [](pthread_t t) { return pthread_tryjoin_np(t, nullptr) == 0; });
    return threads_.size() - static_cast<std::size_t>(std::ranges::count_if(
                                 threads_, [](pthread_t t) { return pthread_equal(t, pthread_self()) != 0; }));
  }

  /// Of those that are left nobody will know when they end.
  void give_up() {
    const std::scoped_lock hold(lock_);
    for (const pthread_t t : threads_) pthread_detach(t);
    threads_.clear();
  }

 private:
  std::mutex lock_;
  std::vector<pthread_t> threads_;  // guarded by lock_
};

}  // namespace gofer::inline v0::sched
