#include "arch/describe_exception.hpp"

#include <cxxabi.h>

#include <exception>
#include <typeinfo>

#include "arch/demangle.hpp"

namespace gofer::inline v0::arch {

std::string describe_exception() {
  std::string text = "an unknown type";
  if (const std::type_info* type = abi::__cxa_current_exception_type()) text = demangle(type->name());
  try {
    throw;
  } catch (const std::exception& e) {
    (text += ": ") += e.what();
  } catch (...) {  // there is no more to say
  }
  return text;
}

}  // namespace gofer::inline v0::arch
