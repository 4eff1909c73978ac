#include <algorithm>
#include <stdexcept>
#include <string>

#include <gofer/http.hpp>

namespace gofer::inline v0::http {
namespace {

void append_field(std::string& to, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    throw std::invalid_argument("http::event_stream::send: the " + std::string(name) + " has a line end");
  }
  ((to += name) += ": ") += value;
  to += '\n';
}

}  // namespace

event_stream::event_stream(response& r) : response_(r) {
  r.header("Content-Type", "text/event-stream").header("Cache-Control", "no-store").flush();
}

void event_stream::send(std::string_view data, std::string_view event, std::string_view id) {
  std::string message;
  append_field(message, "event", event);
  append_field(message, "id", id);
  for (;;) {  // CR, LF and CR LF end a line alike
    const auto end = std::min(data.find_first_of("\r\n"), data.size());
    (message += "data: ") += data.substr(0, end);
    message += '\n';
    if (end == data.size()) break;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  response_.write(message += '\n');
}

void event_stream::keep_alive() { response_.write(":\n\n"); }

}  // namespace gofer::inline v0::http
