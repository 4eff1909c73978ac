#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gofer/detail/sched/time.hpp>

/// HTTP/1.1 servers of straight-line handlers, each in a fiber.
///
///     gofer::http::server server({.address = "127.0.0.1:8080"});
///     server.handle("GET /hello/{name}", [](gofer::http::request& q, gofer::http::response& r) {
///       r.write("Hello, " + q.path_value("name") + "\n");
///     });
///     server.serve();
namespace gofer::inline v0::http {

class session;
class server_core;

/// Names with values, in order.
using field_list = std::vector<std::pair<std::string, std::string>>;

/// What is left of a request's body cannot be had: it is too large, comes too slowly or is framed wrongly. A handler
/// had better let it pass: the client is answered with its status.
class bad_body : public std::runtime_error {
 public:
  /// With the status to answer.
  bad_body(int status, const char* why) : std::runtime_error(why), status_(status) {}
  /// 400, 408 or 413.
  int status() const noexcept { return status_; }

 private:
  int status_;
};

/// What a client asks. Looking up what is not there gives an empty string.
class request {
 public:
  /// As sent, upper case: "GET".
  const std::string& method() const noexcept { return method_; }
  /// As it came: "/a%20b?x=1".
  const std::string& target() const noexcept { return target_; }
  /// Decoded, without the query, "." and ".." resolved: "/a b".
  const std::string& path() const noexcept { return path_; }
  /// The first value of a name in the query, decoded.
  const std::string& query(std::string_view name) const noexcept;
  /// What the pattern's {name} stands for, decoded: it may have slashes, but no "." or ".." between them.
  const std::string& path_value(std::string_view name) const noexcept;
  /// The first field of that name, whatever its case.
  const std::string& header(std::string_view name) const noexcept;
  const field_list& headers() const noexcept { return fields_; }
  /// All of it, chunks put together; where the route streams bodies only the part that was read last.
  const std::string& body() const noexcept { return body_; }
  /// The next part of the body, empty at its end. A handler whose route streams bodies begins when the head has come,
  /// and blocks here until more comes: what it does not read the client cannot send. For any other all of the body is
  /// one part. Valid until the next call. Throws bad_body, std::system_error when the client is gone.
  std::string_view read_body();
  /// The pattern of the route that answers, "GET /api/resource/{id}"; empty if there is none.
  const std::string& pattern() const noexcept { return pattern_; }
  const std::string& remote_address() const noexcept { return remote_address_; }
  /// For logs: what the client calls this request in X-Request-Id, if that is a word of up to 64 letters, digits, "-",
  /// "_" and "."; else a random one, made by the first call.
  const std::string& id() const;
  /// A stop is requested when the client has closed the connection, or its sending side of it, before it has its
  /// answer; when it breaks; and when the server's shutdown has run out of grace. Watching the client begins with the
  /// first call.
  /// A copy of the request has a token that is never stopped.
  std::stop_token token() const noexcept;

 private:
  friend class session;
  friend class request_parser;
  friend class narrowed_token;

  std::string method_;
  std::string target_;
  std::string path_;
  std::string pattern_;
  std::string body_;
  bool body_read_ = false;  // given by read_body
  std::string remote_address_;
  field_list fields_;
  field_list query_;
  field_list path_values_;
  mutable std::string id_;
  std::stop_token narrowed_;  // what the token is instead, if it can be stopped
  /// A copy has none: it may outlive the session.
  struct session_link {
    session_link() = default;
    session_link(const session_link& /*other*/) noexcept {}
    session_link& operator=(const session_link& /*other*/) noexcept {  // NOLINT(bugprone-unhandled-self-assignment)
      return *this;
    }
    session* to = nullptr;
  } session_;
};

/// What a handler answers: 200 with an empty body unless it says otherwise. Sent as a whole when the handler has
/// returned, or as it is written from `flush` on.
class response {
 public:
  /// Throws std::invalid_argument for codes outside of 200 to 599, std::logic_error once the head has been sent.
  response& status(int code);
  int status() const noexcept { return status_; }

  /// How many bytes of a body were written.
  std::size_t size() const noexcept { return size_; }
  /// The head has been sent: nothing can be changed any more.
  bool streaming() const noexcept { return streaming_; }

  /// Forgets all that the handler has said so far; fields that middleware has set stay. Throws std::logic_error once
  /// the head has been sent.
  void reset();

  /// Sets a field, in place of one of that name; of Set-Cookie, one more. What frames the message (Content-Length,
  /// Transfer-Encoding, Connection) is the server's to set. Throws std::invalid_argument for names and values that may
  /// not be in a header, such as those with a line end; std::logic_error once the head has been sent.
  response& header(std::string_view name, std::string_view value);

  /// Adds to the body. While streaming blocks until the system has taken it, and throws std::system_error when the
  /// client is gone.
  response& write(std::string_view part);

  /// Sends the head, and what was written so far; what is written from then on is sent at once.
  void flush();

 private:
  friend class session;
  explicit response(session& s) noexcept : session_(&s) {}
  void check_head_unsent(const char* operation) const;

  session* session_;
  int status_ = 200;
  std::size_t size_ = 0;
  bool streaming_ = false;
  std::size_t fields_around_ = 0;  // set by middleware before the handler was called
  field_list fields_;
  std::string body_;
};

/// Server-sent events, for EventSource in browsers: a handler that goes on answering.
///
///     server.handle("GET /events", [](auto& q, auto& r) {
///       gofer::http::event_stream events(r);
///       gofer::ticker t(1s);
///       while (gofer::select(gofer::on_receive(t.ticks()), gofer::on_stop(q.token())) == 0) events.send(status());
///     });
///
/// One that never ends holds up a shutdown for all of its grace, unless it also ends at server::shutdown_token.
class event_stream {
 public:
  /// Sends the head. Throws std::logic_error if that has been done.
  explicit event_stream(response& r);

  /// Blocks until the system has taken it; throws std::system_error when the client is gone. `data` may have several
  /// lines. `event` is its type, "message" if it is empty, `id` what the browser sends in Last-Event-ID when it
  /// reconnects; std::invalid_argument if one of these has a line end.
  void send(std::string_view data, std::string_view event = {}, std::string_view id = {});

  /// Something that browsers ignore, so that nothing in between takes the connection for dead.
  void keep_alive();

 private:
  response& response_;
};

/// Answers a request. What it throws is answered with 500 and reported on stderr, naming the request.
using handler = std::function<void(request&, response&)>;

/// What is done around every answer of a server; `next()` answers, and has to be called once or not at all. It does not
/// throw for the handler, whose exceptions are answers by then. Runs in the connection's fiber, also where handlers run
/// in a pool.
using middleware = std::function<void(request&, response&, const std::function<void()>& next)>;

/// Tells the client the request's id in X-Request-Id.
middleware request_ids();

/// Writes a line to stderr for every answer: a JSON object with time, id, remote, method, target, status, bytes and
/// duration_ms.
middleware access_log();

/// A handler whose token is requested to stop after `limit`. What it answers later than that is replaced by 503, unless
/// it streams.
handler within(std::chrono::nanoseconds limit, handler h);

/// A handler that runs at most so many times at once; beyond that 503 is answered immediately.
handler at_most(std::size_t count, handler h);

struct route_options {
  /// Handlers begin when the head of a request has come, and read the body by request::read_body: what is uploaded need
  /// not fit into memory. The server's read_timeout is for each part. A connection whose body was not read to its end,
  /// or not before the answer's head was sent, is closed after the answer.
  bool stream_body = false;
  /// Instead of the server's.
  std::optional<std::size_t> max_body_bytes = {};
};

/// A certificate with the chain behind it, and its key, without a password; PEM.
struct tls_files {
  std::string certificate;  // a file's name
  std::string key;          // likewise
};

struct server_options {
  std::string address = "127.0.0.1:8080";
  /// Another process may listen on the address at the same time. For a restart without a gap: start the new one, then
  /// shut the old one down, which hands over first, and loses no request.
  bool reuse_port = false;
  /// With it the server speaks HTTPS, and nothing else: TLS 1.2 and 1.3.
  std::optional<tls_files> tls = {};
  /// 0: a handler runs in its connection's fiber. Else handlers run in a pool of so many workers, and when its queue is
  /// full a request is answered with 503 at once.
  std::size_t workers = 0;
  std::size_t queue_capacity = 100;
  /// Further ones are answered with 503 and closed.
  std::size_t max_connections = 10000;
  /// For a request's head, from its first byte; for the first one of a connection from its start. Then 408.
  std::chrono::nanoseconds header_timeout = std::chrono::seconds(5);
  /// For a request's body. Then 408.
  std::chrono::nanoseconds read_timeout = std::chrono::seconds(30);
  /// For each part of an answer to be taken by the system. Then the connection is closed.
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);
  /// Between requests. Then the connection is closed.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
  /// Beyond it 431, and 413 for the body.
  std::size_t max_header_bytes = 16384;
  std::size_t max_body_bytes = std::size_t{1} << 20;
};

/// One consistent look.
struct server_stats {
  std::uint64_t accepted = 0;     // connections
  std::uint64_t connections = 0;  // of these, open
  std::uint64_t requests = 0;     // that reached a handler, or would have if there were one
  std::uint64_t active = 0;       // of these, not answered yet
  std::uint64_t errors = 0;       // of these, answered with 500 or above
  std::uint64_t refused = 0;      // requests that could not be read as one: 400, 408, 413, 431 and so on
  std::uint64_t overloaded = 0;   // connections and requests answered with 503 for want of room
};

/// Serves HTTP/1.1 and 1.0: keep-alive, pipelining, sized and chunked bodies.
///
/// Patterns are Go 1.22's: "GET /api/resource/{id}", "/static/{path...}", "/exact/{$}", and "/tree/" for all below. GET
/// covers HEAD; without a method all are meant. The most specific pattern wins, whatever the order of registration.
/// What no pattern knows is answered with 404, with 405 if another method is known, OPTIONS with the methods.
class server {
 public:
  /// Binds nothing yet. Throws std::invalid_argument for options that leave no room or no time.
  explicit server(server_options options = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// shutdown(0s), then waits for handlers that still run.
  ~server();

  /// To be called before `start`. Throws std::invalid_argument for a pattern that cannot be read, or that overlaps with
  /// another without being more or less specific.
  void handle(std::string_view pattern, handler h, route_options options = {});

  /// To be called before `start`. The first one is the outermost.
  void use(middleware m);

  /// Begins to listen, and returns. Throws std::system_error, also for the files of `tls`; std::invalid_argument for
  /// the address; std::logic_error if it was started before, or shut down.
  void start();

  /// Reads the files of `tls` again; connections that come from then on get what is in them. Throws std::system_error
  /// that says which file is wrong, and goes on with what it had.
  void reload_certificate();

  /// Starts unless that is done, and blocks until a shutdown is over.
  void serve();

  /// Stops accepting, lets every request that has begun to come in be answered, closes idle connections. What is not
  /// finished within `grace` is cut off: its token is requested to stop and its connection closed. Returns true if
  /// nothing was cut off. May be called from anywhere but a handler, and again.
  template <class Rep, class Period>
  bool shutdown(std::chrono::duration<Rep, Period> grace) {
    return shutdown_within(sched::in_nanoseconds(grace));
  }

  /// Requested to stop when a shutdown begins: for answers that go on for ever.
  std::stop_token shutdown_token() const noexcept;

  /// Where it listens, with the real port; the address of the options before `start`.
  std::string address() const;

  /// Counted so far; from any thread, at any time.
  server_stats stats() const;

 private:
  bool shutdown_within(std::chrono::nanoseconds grace);

  std::shared_ptr<server_core> core_;
};

}  // namespace gofer::inline v0::http
