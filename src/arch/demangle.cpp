#include "arch/demangle.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace gofer::inline v0::arch {

std::string demangle(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                             &std::free);
  std::string text = status == 0 ? readable.get() : name;
  constexpr std::string_view version = "gofer::v0::";  // which nobody writes
  for (std::size_t at = 0; (at = text.find(version, at)) != std::string::npos;)
    text.replace(at, version.size(), "gofer::");
  return text;
}

}  // namespace gofer::inline v0::arch
