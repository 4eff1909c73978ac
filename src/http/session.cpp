// The life of a session: reads requests, and watches its client. How it answers has a file of its own.

#include "http/session.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>

#include "http/server_core.hpp"
#include "http/status.hpp"
#include "net/network.hpp"

namespace gofer::inline v0::http {
namespace {

// A client that is sent away may still be sending; what it sends is read for so long, and so much of it, because a
// reset could overtake the answer.
constexpr std::chrono::seconds linger_time{1};
constexpr std::size_t linger_bytes = std::size_t{1} << 20;
/// The buffer grows up to this while bodies fill it.
constexpr std::size_t largest_part = 65536;
/// What is larger is not kept for the next request.
constexpr std::size_t most_kept = 16384;

}  // namespace

session::session(server_core& core, net::connection c)
    : core_(core), connection_(std::move(c)), remote_address_(connection_.remote_address()) {}

session::~session() {
  if (now_ == nullptr) return;
  now_->begin = now_->end;
  try {
    give_back();
  } catch (const std::bad_alloc&) {
    delete now_;
  }
}

bool session::serve() noexcept {
  try {
    do {
      if (!std::exchange(awaiting_, true)) await_request();
      const std::optional<bool> came = first_byte();
      if (!came) return true;
      if (!*came) break;
      awaiting_ = false;
    } while (read_request() && answer());
    // After a last answer: with bytes of the client unread, closing would be a reset that can overtake it.
    if (!keep_alive_ && !broken_) linger();
  } catch (const std::exception& e) {
    report(e.what());  // out of memory, for one
  }
  stop_.request_stop();
  connection_.close();
  watcher_.wait();  // of an answer that ended before its end, for one
  return false;
}

void session::look_up() noexcept {
  if (idle_.load(std::memory_order_seq_cst)) connection_.set_read_deadline(sched::time_point::min());
}

std::stop_source session::cut_off() noexcept {
  connection_.close();
  return stop_;
}

/// Makes room behind what is in the buffer.
void session::make_room() {
  if (now_->begin == now_->end) now_->begin = now_->end = 0;
  const bool filled =
      std::exchange(now_->filled, false) && now_->begin == now_->end && now_->buffer.size() < largest_part;
  if (now_->end != now_->buffer.size() && !filled) return;
  std::copy(now_->buffer.begin() + static_cast<std::ptrdiff_t>(now_->begin), now_->buffer.end(), now_->buffer.begin());
  now_->end -= std::exchange(now_->begin, 0);
  if (filled || 2 * now_->end > now_->buffer.size()) now_->buffer.resize(2 * now_->buffer.size());
}

/// Calls `attempt()`, which waits for the client, until it returns anything but false or the time is up. False with an
/// error, or without one if that was no failure.
template <class F>
auto session::patiently(sched::time_point deadline, std::error_code& error, F attempt) {
  for (;;) {
    // Either the shutdown sees that we are idle and cuts this deadline short, or we see the shutdown.
    connection_.set_read_deadline(deadline);
    const bool last_look = idle_.load(std::memory_order_seq_cst) && core_.stopping();
    if (last_look) connection_.set_read_deadline(sched::time_point::min());
    const auto outcome = attempt();
    if (outcome != false) return outcome;
    if (error != std::errc::timed_out || last_look || sched::now() >= deadline) return outcome;
  }
}

/// Reads something into the buffer. False, with an error or without one at the end of what the client sends.
bool session::read_more(sched::time_point deadline, std::error_code& error) {
  make_room();
  const auto room = std::as_writable_bytes(std::span(now_->buffer).subspan(now_->end));
  return patiently(deadline, error, [&] {
    const std::size_t got = connection_.read_some(room, error);
    now_->end += got;
    now_->filled = got == room.size();
    return got != 0;
  });
}

/// Lets the parser take of what has been read or, if that is too little, reads more. False: nothing more comes; `why`
/// says what is wrong with the request, if anything is.
bool session::advance(sched::time_point deadline, refusal& why) {
  if (now_->begin != now_->end) {
    const std::size_t taken = now_->parser->take(unread(), why);
    now_->begin += taken;
    if (why) return false;
    if (taken != 0) return true;
    if (now_->end - now_->begin > core_.options.max_header_bytes) {
      why = {.status = 400, .why = "a chunk's head or a trailer is too large"};
      return false;
    }
  }
  std::error_code error;
  if (read_more(deadline, error)) return true;
  if (error == std::errc::timed_out && !idle_.load(std::memory_order_relaxed)) {
    why = {.status = 408, .why = "the request did not come in time"};
  }
  return false;
}

/// From here on there is an exchange, and in it nothing of the request before.
void session::begin_request() {
  if (now_ == nullptr) {
    now_ = core_.spare.take();
    now_->asked.remote_address_ = remote_address_;
    now_->asked.session_.to = this;
  }
  now_->parser.emplace(now_->asked, core_.options.max_header_bytes);
}

/// Lets others have the memory, unless the next request has begun.
void session::give_back() {
  if (now_ == nullptr) return;
  for (std::string* each : {&now_->asked.body_, &now_->out}) {
    if (each->capacity() > most_kept) std::string().swap(*each);
  }
  field_list& query = now_->asked.query_;
  if (query.capacity() * sizeof(query[0]) > most_kept) field_list().swap(query);
  if (has_unread()) return;
  now_->parser.reset();
  if (now_->buffer.size() > most_kept) std::vector<char>(exchange::first_buffer).swap(now_->buffer);
  now_->begin = now_->end = 0;
  now_->filled = false;
  now_->asked.session_.to = nullptr;
  core_.spare.give_back(now_);
}

/// From here on the next request is waited for.
void session::await_request() {
  give_back();
  idle_.store(!has_unread(), std::memory_order_seq_cst);
  due_ = sched::deadline_after(first_ || has_unread() ? core_.options.header_timeout : core_.options.idle_timeout);
}

/// True: something has come of the next request; false: nothing will. Nothing: the fiber is to rest until it has.
std::optional<bool> session::first_byte() {
  if (now_ != nullptr) return true;
  std::error_code error;
  return patiently(due_, error, [&] { return net::connection_access::of(connection_).rest(error); });
}

/// Reads the next request, of one whose body is streamed the head. False: there will be none.
bool session::read_request() {
  sched::time_point deadline = due_;
  begin_request();
  refusal why;
  while (!now_->parser->has_head()) {
    if (!advance(deadline, why)) return why && refuse(why);
    if (now_->begin != now_->end && idle_.load(std::memory_order_relaxed)) {
      idle_.store(false, std::memory_order_seq_cst);
      if (!first_) deadline = sched::deadline_after(core_.options.header_timeout);
    }
  }
  find_route();
  const route_options of_route = now_->route.found != nullptr ? now_->route.found->options : route_options{};
  why = now_->parser->limit_body(of_route.max_body_bytes.value_or(core_.options.max_body_bytes));
  if (why) return refuse(why);
  if (!now_->parser->complete() && !streams_body() && !read_whole_body()) return false;
  body_pending_.store(!now_->parser->complete(), std::memory_order_relaxed);
  first_ = false;
  keep_alive_ = now_->parser->keep_alive();
  return true;
}

bool session::read_whole_body() {
  const sched::time_point deadline = sched::deadline_after(core_.options.read_timeout);
  invite_body();
  refusal why;
  while (!now_->parser->complete()) {
    if (!advance(deadline, why)) return why && refuse(why);
  }
  return true;
}

void session::find_route() {
  now_->route = now_->parser->segments().empty() ? router::match{}  // "OPTIONS *"
                                                 : core_.routes.find(now_->asked.method_, now_->parser->segments());
  now_->asked.path_values_ = std::move(now_->route.values);
  if (now_->route.found != nullptr) now_->asked.pattern_ = now_->route.found->what.text;
}

/// Tells a client that waits for it to go on with the body.
void session::invite_body() {
  if (now_->begin == now_->end && now_->parser->expects_continue()) write("HTTP/1.1 100 Continue\r\n\r\n");
}

std::string_view session::read_body() {
  now_->asked.body_.clear();
  if (!body_pending_.load(std::memory_order_relaxed)) return {};
  if (!std::exchange(now_->asked.body_read_, true) && !answering_) invite_body();
  const sched::time_point deadline = sched::deadline_after(core_.options.read_timeout);
  refusal why;
  while (!broken_ && now_->asked.body_.empty() && !now_->parser->complete()) {
    if (advance(deadline, why)) continue;
    if (why) throw bad_body(why.status, why.why);
    break_off();
  }
  if (broken_) throw_gone("http::request::read_body");
  if (now_->parser->complete()) {
    body_pending_.store(false, std::memory_order_seq_cst);
    if (token_asked_.load(std::memory_order_seq_cst)) watch();
  }
  return now_->asked.body_;
}

bool session::refuse(refusal why) {
  core_.count([](server_core::counters& c) { ++c.refused; });
  keep_alive_ = false;
  response r(*this);
  r.status(why.status).write(why.why).write("\n");
  send(r);
  return false;
}

void session::turn_away() noexcept {
  try {
    keep_alive_ = false;
    begin_request();
    response r(*this);
    answer_busy(r, "too many connections\n");
    send(r);
    linger();
  } catch (const std::exception& e) {
    report(e.what());
  }
  connection_.close();
}

std::stop_token session::watched_token() noexcept {
  // While a body is read, that tells when the client goes. Either we see its end, or its reader sees that we have
  // asked.
  token_asked_.store(true, std::memory_order_seq_cst);
  if (!body_pending_.load(std::memory_order_seq_cst)) watch();
  return stop_.get_token();
}

void session::watch() noexcept {
  if (watched_.load(std::memory_order_relaxed) || watched_.exchange(true, std::memory_order_acq_rel)) return;
  connection_.set_read_deadline(sched::no_deadline);
  try {
    watcher_.go([this] {
      std::error_code error;
      has_ahead_ = connection_.read_some(std::span(&ahead_, 1), error) != 0;
      if (!has_ahead_ && error != std::errc::timed_out) stop_.request_stop();
    });
  } catch (const std::exception& e) {
    report(e.what());  // no memory: the handler goes on unwatched
  }
}

/// What the watcher has read goes where it belongs.
void session::end_watch() noexcept {
  token_asked_.store(false, std::memory_order_relaxed);
  if (!watched_.load(std::memory_order_acquire)) return;
  connection_.set_read_deadline(sched::time_point::min());
  watcher_.wait();
  watched_.store(false, std::memory_order_relaxed);
  if (!std::exchange(has_ahead_, false)) return;
  if (now_->begin == now_->end) now_->begin = now_->end = 0;
  if (now_->end == now_->buffer.size()) now_->buffer.resize(2 * now_->buffer.size());
  now_->buffer[now_->end++] = static_cast<char>(ahead_);
}

void session::linger() noexcept {
  connection_.shutdown_write();
  connection_.set_read_deadline(sched::deadline_after(linger_time));
  std::error_code error;
  for (std::size_t seen = 0; seen < linger_bytes;) {
    const std::size_t got = connection_.read_some(std::as_writable_bytes(std::span(now_->buffer)), error);
    if (got == 0) return;
    seen += got;
  }
}

}  // namespace gofer::inline v0::http
