#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <gofer/http.hpp>
#include <gofer/net.hpp>
#include <gofer/wait_group.hpp>

#include "http/exchange.hpp"

namespace gofer::inline v0::http {

class server_core;

/// One connection of a server, from accept to close, in a fiber of its own, which rests while nothing of a request has
/// come.
class session {
 public:
  session(server_core& core, net::connection c);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session();

  /// Reads requests and answers them until one side is done; false then. True: the fiber is to rest, and to call this
  /// again when it is woken.
  bool serve() noexcept;

  /// Answers 503 and closes, without reading a request.
  void turn_away() noexcept;

  // For the server's shutdown, from other fibers and threads, while `serve` runs:
  /// Ends the wait for a request that has not begun.
  void look_up() noexcept;
  /// Closes the connection; the handler is asked to stop by whoever gets the source.
  std::stop_source cut_off() noexcept;

  // For the request, while its handler runs:
  bool streams_body() const noexcept { return now_->route.found != nullptr && now_->route.found->options.stream_body; }
  std::string_view read_body();
  std::stop_token watched_token() noexcept;

  // For the response:
  void begin_stream(response& r);
  void stream(std::string_view part);

  session* previous = nullptr;  // guarded by the server's lock
  session* next = nullptr;      // likewise

 private:
  void await_request();
  std::optional<bool> first_byte();
  bool read_request();
  void begin_request();
  void give_back();
  void make_room();
  template <class F>
  auto patiently(sched::time_point deadline, std::error_code& error, F attempt);
  bool read_more(sched::time_point deadline, std::error_code& error);
  bool advance(sched::time_point deadline, refusal& why);
  bool read_whole_body();
  void find_route();
  void invite_body();
  bool refuse(refusal why);
  bool answer();
  void go_inwards(std::size_t i, response& r);
  void dispatch(response& r);
  void call(const handler& h, response& r);
  template <class F>
  void guard(response& r, F f);
  void fail(response& r, int status, const char* why);
  void watch() noexcept;
  void end_watch() noexcept;
  void answer_unrouted(const std::string& allowed, response& r);
  void report(const char* what) const;
  void send(response& r);
  const std::string& date();
  void append_head(const response& r, std::string_view framing, std::string_view size = {});
  bool may_have_body(const response& r) const noexcept;
  void write(std::string_view bytes);
  void break_off();
  [[noreturn]] void throw_gone(const char* operation) const;
  void linger() noexcept;
  std::string_view unread() const noexcept { return {now_->buffer.data() + now_->begin, now_->end - now_->begin}; }
  bool has_unread() const noexcept { return now_ != nullptr && now_->begin != now_->end; }

  // What every request needs comes first.
  server_core& core_;
  net::connection connection_;
  exchange* now_ = nullptr;  // null while nothing of the next request has come
  sched::time_point due_{};  // by then it has to
  bool awaiting_ = false;    // for the first byte of it
  bool first_ = true;        // no request has come yet
  bool keep_alive_ = true;
  bool answering_ = false;  // the head of the answer has been made
  bool broken_ = false;     // a write failed: there is nobody to answer
  bool has_ahead_ = false;
  std::byte ahead_{};
  std::atomic<bool> idle_{true};           // no byte of the next request has come yet
  std::atomic<bool> body_pending_{false};  // the handler has yet to read what is left of a body
  std::atomic<bool> token_asked_{false};
  // While an answer is made by who asked for the token, a fiber waits for the client's next byte, or its end, and puts
  // it in ahead_:
  std::atomic<bool> watched_{false};
  wait_group watcher_;

  std::stop_source stop_;
  const std::string remote_address_;
};

}  // namespace gofer::inline v0::http
