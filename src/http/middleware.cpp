#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <stop_token>

#include <gofer/counting_semaphore.hpp>
#include <gofer/http.hpp>
#include <gofer/time.hpp>

#include "http/status.hpp"

namespace gofer::inline v0::http {
namespace {

using std::chrono::steady_clock;

/// A JSON string. Bytes beyond ASCII stay: they come from where only text is let in.
void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (to += '\\') += c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      to += escaped;
    } else {
      to += c;
    }
  }
  to += '"';
}

/// "2026-11-25T18:49:15.123Z"
std::string timestamp() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = milliseconds / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  const std::size_t length = std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[8];
  std::snprintf(fraction, sizeof(fraction), ".%03dZ", static_cast<int>(milliseconds % 1000));
  return std::string(date, length) + fraction;
}

}  // namespace

/// While it lives, the token of a request is another one.
class narrowed_token {
 public:
  narrowed_token(request& q, std::stop_token t) : request_(q), before_(std::exchange(q.narrowed_, std::move(t))) {}
  narrowed_token(const narrowed_token&) = delete;
  narrowed_token& operator=(const narrowed_token&) = delete;
  ~narrowed_token() { request_.narrowed_ = std::move(before_); }

 private:
  request& request_;
  std::stop_token before_;
};

middleware request_ids() {
  return [](request& q, response& r, const std::function<void()>& next) {
    r.header("X-Request-Id", q.id());
    next();
  };
}

middleware access_log() {
  return [](request& q, response& r, const std::function<void()>& next) {
    const auto begin = steady_clock::now();
    next();
    const std::chrono::duration<double, std::milli> took = steady_clock::now() - begin;
    char numbers[96];
    std::snprintf(numbers, sizeof(numbers), ",\"status\":%d,\"bytes\":%zu,\"duration_ms\":%.3f}\n", r.status(),
                  r.size(), took.count());
    std::string line = "{\"time\":\"" + timestamp() + "\",\"id\":";
    append_quoted(line, q.id());
    append_quoted(line += ",\"remote\":", q.remote_address());
    append_quoted(line += ",\"method\":", q.method());
    append_quoted(line += ",\"target\":", q.target());
    line += numbers;
    std::fwrite(line.data(), 1, line.size(), stderr);
  };
}

handler within(std::chrono::nanoseconds limit, handler h) {
  return [limit, h = std::move(h)](request& q, response& r) {
    std::stop_source of_handler;
    const auto forward = [&] { of_handler.request_stop(); };
    const std::stop_callback<decltype(forward)> of_request(q.token(), forward);
    const auto late = std::make_shared<std::atomic<bool>>(false);
    const timer at_limit(limit, [late, of_handler]() mutable {
      *late = true;
      of_handler.request_stop();
    });
    {
      const narrowed_token narrowed(q, of_handler.get_token());
      h(q, r);
    }
    if (!*late || r.streaming()) return;
    r.reset();
    answer_busy(r, "this took too long\n");
  };
}

handler at_most(std::size_t count, handler h) {
  constexpr auto most = static_cast<std::size_t>(counting_semaphore<>::max());
  const auto places = std::make_shared<counting_semaphore<>>(static_cast<std::ptrdiff_t>(std::min(count, most)));
  return [places, h = std::move(h)](request& q, response& r) {
    if (!places->try_acquire()) {
      r.reset();
      return answer_busy(r, "too many such requests at once\n");
    }
    struct taken {
      counting_semaphore<>& from;
      ~taken() { from.release(); }
    } const mine{*places};
    h(q, r);
  };
}

}  // namespace gofer::inline v0::http
