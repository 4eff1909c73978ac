#include "debug/symbols.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string_view>

#include "arch/demangle.hpp"

#if defined(GOFER_LIBDW)
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>
#endif

namespace gofer::inline v0::debug {
namespace {

using arch::demangle;

/// What the dynamic linker knows: the nearest exported function.
place nearest_symbol(std::uintptr_t address) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0) return {};
  if (info.dli_sname != nullptr) return {.function = demangle(info.dli_sname)};
  if (info.dli_fname == nullptr) return {};
  char text[32];
  std::snprintf(text, sizeof(text), "+0x%zx",
                static_cast<std::size_t>(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
  return {.function = info.dli_fname + std::string(text)};
}

#if defined(GOFER_LIBDW)

/// The debug information of this process.
class debug_information {
 public:
  debug_information() {
    static constexpr Dwfl_Callbacks callbacks{.find_elf = dwfl_linux_proc_find_elf,
                                              .find_debuginfo = dwfl_standard_find_debuginfo,
                                              .section_address = nullptr,
                                              .debuginfo_path = nullptr};
    session_ = dwfl_begin(&callbacks);
    if (session_ == nullptr) return;
    dwfl_report_begin(session_);
    dwfl_linux_proc_report(session_, getpid());
    dwfl_report_end(session_, nullptr, nullptr);
  }
  debug_information(const debug_information&) = delete;
  debug_information& operator=(const debug_information&) = delete;
  ~debug_information() {
    if (session_ != nullptr) dwfl_end(session_);
  }

  std::vector<place> places(std::uintptr_t address) const {
    std::vector<place> found;
    Dwfl_Module* module = session_ == nullptr ? nullptr : dwfl_addrmodule(session_, address);
    if (module == nullptr) return found;
    found.emplace_back();
    Dwarf_Addr bias = 0;
    if (Dwarf_Die* unit = unit_of(module, address, bias)) {
      Dwarf_Line* line = dwarf_getsrc_die(unit, address - bias);
      const char* file = dwarf_linesrc(line, nullptr, nullptr);
      if (file != nullptr && dwarf_lineno(line, &found.back().line) == 0) found.back().file = file;
      add_inlined(unit, address - bias, found);
    }
    if (found.back().function.empty()) {
      if (const char* name = dwfl_module_addrname(module, address)) found.back().function = demangle(name);
    }
    return found;
  }

 private:
  static std::string name_of(Dwarf_Die& die) {
    Dwarf_Attribute attribute;
    for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
      if (dwarf_attr_integrate(&die, name, &attribute) == nullptr) continue;
      if (const char* mangled = dwarf_formstring(&attribute)) return demangle(mangled);
    }
    const char* name = dwarf_diename(&die);
    return name == nullptr ? "" : name;
  }

  /// The unit with the code at an address. Clang writes no table of addresses; then all units are asked.
  static Dwarf_Die* unit_of(Dwfl_Module* module, std::uintptr_t address, Dwarf_Addr& bias) {
    if (Dwarf_Die* unit = dwfl_module_addrdie(module, address, &bias)) return unit;
    Dwarf_Die* unit = nullptr;
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != nullptr) {
      if (dwarf_haspc(unit, address - bias) > 0) return unit;
    }
    return nullptr;
  }

  /// The functions around an address, the outermost first: one that really is, then those inlined into it. Not
  /// dwarf_getscopes, which does not look into classes and functions for the functions of local classes: lambdas.
  static bool find_functions(Dwarf_Die* within, Dwarf_Addr address, std::vector<Dwarf_Die>& found) {
    Dwarf_Die child;
    if (dwarf_child(within, &child) != 0) return false;
    do {
      const int tag = dwarf_tag(&child);
      const bool code = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
      const bool here = (code || tag == DW_TAG_lexical_block) && dwarf_haspc(&child, address) > 0;
      if (here && code) found.push_back(child);
      if (find_functions(&child, address, found) || here) return true;
    } while (dwarf_siblingof(&child, &child) == 0);
    return false;
  }

  /// Names the innermost place, and adds those that it was inlined into.
  static void add_inlined(Dwarf_Die* unit, Dwarf_Addr address, std::vector<place>& found) {
    std::vector<Dwarf_Die> around;
    if (!find_functions(unit, address, around)) return;
    Dwarf_Files* files = nullptr;
    dwarf_getsrcfiles(unit, &files, nullptr);
    for (std::size_t i = around.size(); i-- > 0;) {
      Dwarf_Die& function = around[i];
      found.back().function = name_of(function);
      if (dwarf_tag(&function) != DW_TAG_inlined_subroutine) return;
      place caller;
      Dwarf_Attribute attribute;
      Dwarf_Word value = 0;
      if (dwarf_formudata(dwarf_attr(&function, DW_AT_call_line, &attribute), &value) == 0) {
        caller.line = static_cast<int>(value);
      }
      if (files != nullptr && dwarf_formudata(dwarf_attr(&function, DW_AT_call_file, &attribute), &value) == 0) {
        if (const char* file = dwarf_filesrc(files, value, nullptr, nullptr)) caller.file = file;
      }
      found.push_back(std::move(caller));
    }
  }

  Dwfl* session_ = nullptr;
};

std::vector<place> known_places(std::uintptr_t address) {
  static std::mutex lock;  // libdw is not for several threads at once
  const std::scoped_lock hold(lock);
  static auto& information = *new debug_information;  // libraries loaded later are not known
  return information.places(address);
}

#else

std::vector<place> known_places(std::uintptr_t /*address*/) { return {}; }

#endif

}  // namespace

std::vector<place> resolve(const void* address, bool after_call) {
  const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(address) - (after_call ? 1 : 0);
  std::vector<place> found = known_places(at);
  if (found.empty()) found.emplace_back();
  if (found.back().function.empty()) found.back().function = nearest_symbol(at).function;
  return found;
}

bool is_library(const place& where) noexcept {
  constexpr std::string_view this_file = __FILE__;
  static_assert(this_file.ends_with("debug/symbols.cpp"));
  constexpr std::string_view sources = this_file.substr(0, this_file.rfind("debug/symbols.cpp"));
  if (where.file.starts_with(sources)) return true;
  const std::string_view name = where.function;
  // "void gofer::go<...>" begins with a type.
  const std::string_view head = name.substr(0, name.find('('));
  for (const std::string_view ours : {"gofer::", "std::", "gofer_"}) {
    if (head.starts_with(ours)) return true;
    for (std::size_t at = head.find(' '); at != std::string_view::npos; at = head.find(' ', at + 1)) {
      if (head.substr(at + 1).starts_with(ours) && head.substr(0, at).find('<') == std::string_view::npos) return true;
    }
  }
  return where.file.starts_with("include/gofer/") || where.file.find("/include/gofer/") != std::string::npos;
}

const std::vector<place>& place_cache::at(const void* address, bool after_call) {
  auto [at, is_new] = resolved_.try_emplace(address);
  if (is_new) at->second = resolve(address, after_call);
  return at->second;
}

std::string place_cache::users_place(const void* address) {
  for (const place& where : at(address, true)) {
    if (where.line != 0 && !is_library(where)) return short_place(where);
  }
  return "";
}

std::string short_place(const place& where) {
  return where.file.substr(where.file.rfind('/') + 1) + ":" + std::to_string(where.line);
}

}  // namespace gofer::inline v0::debug
