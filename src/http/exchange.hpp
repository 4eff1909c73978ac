#pragma once

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/per_thread.hpp>
#include <gofer/http.hpp>

#include "http/request_parser.hpp"
#include "http/router.hpp"
#include "sched/free_list.hpp"

namespace gofer::inline v0::http {

/// What a session needs from a request's first byte to its answer's last. A connection that waits for the next request
/// has none; so its memory is small, and most requests are read and answered in memory that the one before has left in
/// the cache.
struct exchange {
  static constexpr std::size_t first_buffer = 4096;

  request asked;
  std::optional<request_parser> parser;
  router::match route;  // of the request

  // Bytes from the client that no request has taken yet: buffer[begin, end).
  std::vector<char> buffer = std::vector<char>(first_buffer);
  std::size_t begin = 0;
  std::size_t end = 0;
  bool filled = false;  // all that there was room for was read at last

  std::string out;        // what is about to be written
  std::time_t dated = 0;  // the second that `date` says
  std::string date;
  sched::owned<exchange*> link;  // in exchanges
};

/// Exchanges to use again: the one given back last first, each thread its own.
class exchanges {
 public:
  exchange* take() {
    cell& mine = cells_.own();
    const turn_at in(mine);
    exchange* e = mine.free.pop();
    return e != nullptr ? e : new exchange;
  }

  /// Throws std::bad_alloc, and has not taken it then.
  void give_back(exchange*& taken) {
    cell& mine = cells_.own();
    const turn_at in(mine);
    exchange* e = std::exchange(taken, nullptr);
    if (mine.free.size() == most_kept) {
      delete e;
    } else {
      mine.free.push(e);
    }
  }

 private:
  static constexpr unsigned most_kept = 64;

  struct alignas(arch::cache_line) cell {
    cell() = default;
    cell(const cell&) = delete;
    cell& operator=(const cell&) = delete;
    ~cell() {
      while (exchange* e = free.pop()) delete e;
    }
    sched::free_list<exchange> free;
  };
  /// The fibers of a thread are in its cell one after another.
  struct turn_at {
    explicit turn_at(cell& c) noexcept : at(c) { arch::take_up(&at); }
    turn_at(const turn_at&) = delete;
    turn_at& operator=(const turn_at&) = delete;
    ~turn_at() { arch::hand_on(&at); }
    cell& at;
  };
  sched::per_thread<cell> cells_;
};

}  // namespace gofer::inline v0::http
