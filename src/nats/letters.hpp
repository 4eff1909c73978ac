#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <gofer/detail/nats/pool_core.hpp>

/// What we write into messages: headers of one line of JSON each.
namespace gofer::inline v0::nats {

inline constexpr const char* dead_header = "Gofer-Dead";
inline constexpr const char* result_header = "Gofer-Result";
inline constexpr const char* client_header = "Gofer-Client";
inline constexpr const char* id_header = "Gofer-Id";  // where the id that servers know a message by is another
inline constexpr const char* server_id_header = "Nats-Msg-Id";

inline std::int64_t to_nanoseconds(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

inline std::chrono::system_clock::time_point from_nanoseconds(std::int64_t since_epoch) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(since_epoch)));
}

/// On one line, in characters that a header may hold, whatever strings it has.
std::string header_value(const nlohmann::json& value);
/// An empty object if it is not one.
nlohmann::json read_header_value(std::string_view text);
/// A field of one, a std::string, unsigned or std::int64_t; `otherwise` if it is not there, or is of another type: any
/// program may have written it.
template <class T>
T field(const nlohmann::json& object, const char* name, T otherwise);

}  // namespace gofer::inline v0::nats
