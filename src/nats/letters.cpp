#include "nats/letters.hpp"

namespace gofer::inline v0::nats {

std::string header_value(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

nlohmann::json read_header_value(std::string_view text) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  return value.is_object() ? value : nlohmann::json::object();
}

}  // namespace gofer::inline v0::nats
