#include "nats/letters.hpp"

#include <nlohmann/json.hpp>

namespace gofer::inline v0::nats {

std::string header_value(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

nlohmann::json read_header_value(std::string_view text) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  return value.is_object() ? value : nlohmann::json::object();
}

template <class T>
T field(const nlohmann::json& object, const char* name, T otherwise) {
  const auto found = object.find(name);
  if (found == object.end()) return otherwise;
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    return otherwise;
  }
}
template std::string field(const nlohmann::json&, const char*, std::string);
template unsigned field(const nlohmann::json&, const char*, unsigned);
template std::int64_t field(const nlohmann::json&, const char*, std::int64_t);

}  // namespace gofer::inline v0::nats
