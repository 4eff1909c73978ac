// How a session answers: calls the handler with what is around it, and sends what that leaves.

#include <cstdio>
#include <ctime>
#include <exception>
#include <span>

#include "http/characters.hpp"
#include "http/fields.hpp"
#include "http/server_core.hpp"
#include "http/session.hpp"
#include "http/status.hpp"
#include "net/network.hpp"

namespace gofer::inline v0::http {
namespace {

/// What may quote the client, as it stands in a line of its own: without anything that ends it or changes a terminal.
std::string on_one_line(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_control(text[i]) || text[i] == '\t') text[i] = ' ';
    const bool more_controls = text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) - 0x80U < 0x20;
    if (more_controls) text[i] = text[i + 1] = ' ';  // U+0080 to U+009F
  }
  return text;
}

}  // namespace

/// Answers the request that was read. False: the connection is to be closed.
bool session::answer() {
  core_.count([](server_core::counters& c) { ++c.requests; });
  answering_ = false;
  response r(*this);
  if (core_.around.empty()) {
    dispatch(r);
  } else {
    go_inwards(0, r);
  }
  end_watch();
  const bool error = r.status() >= 500;
  core_.count([&](server_core::counters& c) {
    ++c.answered;
    c.errors += error ? 1 : 0;
  });
  if (!broken_) send(r);
  return keep_alive_ && !broken_;
}

/// Calls the middleware from the i-th on, and what it is around.
void session::go_inwards(std::size_t i, response& r) {
  if (i == core_.around.size()) return dispatch(r);
  guard(r, [&] { core_.around[i](now_->asked, r, [&] { go_inwards(i + 1, r); }); });
}

void session::dispatch(response& r) {
  r.fields_around_ = r.fields_.size();
  if (now_->route.found != nullptr) {
    call(now_->route.found->run, r);
  } else if (now_->parser->segments().empty()) {
    r.status(204).header("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");  // "OPTIONS *"
  } else {
    answer_unrouted(now_->route.allowed, r);
  }
}

void session::answer_unrouted(const std::string& allowed, response& r) {
  if (allowed.empty()) {
    r.status(404).write("404 page not found\n");
    return;
  }
  r.header("Allow", allowed + ", OPTIONS");
  if (now_->asked.method_ == "OPTIONS") {
    r.status(204);
  } else {
    r.status(405).write("405 method not allowed\n");
  }
}

/// Runs the handler, here or in a worker.
void session::call(const handler& h, response& r) {
  guard(r, [&] {
    if (!core_.workers) return h(now_->asked, r);
    future<void> done;
    try {
      done = core_.workers->submit([&] { h(now_->asked, r); });
    } catch (const queue_full&) {
      core_.count([](server_core::counters& c) { ++c.overloaded; });
      return answer_busy(r, "overloaded, try again later\n");
    }
    done.get();
  });
}

/// Calls f(); what it throws is reported, and answered with 500. Only of bodies that cannot be read the client is to
/// blame.
template <class F>
void session::guard(response& r, F f) {
  std::string failed;
  try {
    return f();
  } catch (const bad_body& e) {
    core_.count([](server_core::counters& c) { ++c.refused; });
    return fail(r, e.status(), e.what());
  } catch (const std::exception& e) {
    failed = e.what();
  } catch (...) {
    failed = "an exception of unknown type";
  }
  if (broken_) return;  // the client went away while it was answered
  report(on_one_line(std::move(failed)).c_str());
  fail(r, 500, "500 internal server error");
}

/// Answers that there will be no answer.
void session::fail(response& r, int status, const char* why) {
  if (r.streaming_) {
    broken_ = true;  // the answer is not whole, and the client can tell only by the missing end
    return;
  }
  r.reset();
  r.status(status).write(why).write("\n");
}

void session::report(const char* what) const {
  if (now_ == nullptr) {
    std::fprintf(stderr, "gofer: http: a connection from %s: %s\n", remote_address_.c_str(), what);
    return;
  }
  std::fprintf(stderr, "gofer: http: %s %s from %s, request %s: %s\n", now_->asked.method_.c_str(),
               now_->asked.target_.c_str(), now_->asked.remote_address_.c_str(), now_->asked.id().c_str(), what);
}

bool session::may_have_body(const response& r) const noexcept {
  return now_->asked.method_ != "HEAD" && r.status_ != 204 && r.status_ != 304;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
const std::string& session::date() {
  const std::time_t now = std::time(nullptr);
  if (now == now_->dated) return now_->date;
  now_->dated = now;
  std::tm utc{};
  gmtime_r(&now, &utc);
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char text[80];
  std::snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday], utc.tm_mday,
                months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  return now_->date = text;
}

void session::append_head(const response& r, std::string_view framing, std::string_view size) {
  answering_ = true;
  if (core_.stopping() || body_pending_.load(std::memory_order_relaxed)) keep_alive_ = false;
  bool dated = false;
  bool typed = false;
  now_->out += "HTTP/1.1 ";
  now_->out += std::to_string(r.status_);
  now_->out += ' ';
  now_->out += reason_phrase(r.status_);
  for (const auto& [name, value] : r.fields_) {
    dated = dated || same_name(name, "Date");
    typed = typed || same_name(name, "Content-Type");
    ((now_->out += "\r\n") += name) += ": ";
    now_->out += value;
  }
  if (!dated) (now_->out += "\r\nDate: ") += date();
  if (!typed && r.status_ != 204 && r.status_ != 304) now_->out += "\r\nContent-Type: text/plain; charset=utf-8";
  (now_->out += framing) += size;
  if (!keep_alive_) {
    now_->out += "\r\nConnection: close";
  } else if (now_->parser->http_1_0()) {
    now_->out += "\r\nConnection: keep-alive";
  }
  now_->out += "\r\n\r\n";
}

/// Sends what has not been sent of an answer.
void session::send(response& r) {
  now_->out.clear();
  if (r.streaming_) {
    if (may_have_body(r) && !now_->parser->http_1_0()) write("0\r\n\r\n");
    return;
  }
  if (r.status_ == 204 || r.status_ == 304) {
    append_head(r, "");
  } else {
    append_head(r, "\r\nContent-Length: ", std::to_string(r.body_.size()));
  }
  if (may_have_body(r)) now_->out += r.body_;
  write(now_->out);
}

void session::begin_stream(response& r) {
  now_->out.clear();
  const bool chunked = may_have_body(r) && !now_->parser->http_1_0();
  if (now_->parser->http_1_0()) keep_alive_ = false;  // the end of the connection is the end of the body
  append_head(r, chunked ? "\r\nTransfer-Encoding: chunked" : "");
  r.streaming_ = true;
  write(now_->out);
  const std::string body = std::move(r.body_);
  if (may_have_body(r)) stream(body);
}

void session::stream(std::string_view part) {
  if (!broken_ && !part.empty() && now_->asked.method_ != "HEAD") {
    if (now_->parser->http_1_0()) {
      write(part);
    } else {
      char size[24];
      std::snprintf(size, sizeof(size), "%zx\r\n", part.size());
      now_->out.assign(size);
      (now_->out += part) += "\r\n";
      write(now_->out);
    }
  }
  if (broken_) throw_gone("http::response::write");
}

void session::throw_gone(const char* operation) const {
  throw std::system_error(std::make_error_code(std::errc::connection_reset),
                          std::string(operation) + ": the client " + remote_address_ + " is gone");
}

void session::write(std::string_view bytes) {
  if (broken_) return;
  auto all = std::as_bytes(std::span(bytes));
  net::connection_access::of(connection_).write_now(all);
  if (all.empty()) return;
  std::error_code error;
  connection_.set_write_deadline(sched::deadline_after(core_.options.write_timeout));
  connection_.write(all, error);
  if (error) break_off();
}

/// There is nobody to answer any more.
void session::break_off() {
  broken_ = true;
  stop_.request_stop();
}

}  // namespace gofer::inline v0::http
