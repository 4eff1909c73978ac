# How everything here is compiled. Included once, from the top.

option(GOFER_HTTP "Build gofer::http (needs Boost's headers)" ON)
option(GOFER_DEVELOP "Build examples and programs" ${PROJECT_IS_TOP_LEVEL})
option(GOFER_TESTS "Build the tests, with GOFER_DEVELOP (needs GoogleTest and Python)" ON)
option(GOFER_BENCH "Build the benchmarks" OFF)
option(GOFER_WARNINGS_AS_ERRORS "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})
option(GOFER_EXPLORE_ATOMICS "Let gofer::testing switch fibers at atomic operations inside of the library, too" OFF)
option(GOFER_FUZZ "Build what libFuzzer runs, with the tests (needs clang)" OFF)
set(GOFER_SANITIZE "" CACHE STRING "Sanitizers for everything: 'address,undefined' or 'thread'")

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "gofer runs on Linux; this is ${CMAKE_SYSTEM_NAME}")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|aarch64|arm64)$")
  message(FATAL_ERROR "gofer switches contexts on x86-64 and aarch64; this is ${CMAKE_SYSTEM_PROCESSOR}")
endif()

# Optional: stacks in reports by libunwind, files and lines by elfutils' libdw.
option(GOFER_STACKS "Show stacks in reports, where libunwind and libdw are found" ON)
if(GOFER_STACKS)
  find_path(GOFER_LIBUNWIND libunwind.h)  # loaded when it is needed
  find_library(GOFER_LIBDW dw)
  mark_as_advanced(GOFER_LIBUNWIND GOFER_LIBDW)
endif()

# Optional: valgrind is told of stacks, where its header is found. Not left to __has_include: what was compiled before
# valgrind was installed has to be compiled again.
find_path(GOFER_VALGRIND_HEADERS valgrind/valgrind.h)
mark_as_advanced(GOFER_VALGRIND_HEADERS)
if(GOFER_VALGRIND_HEADERS)
  add_compile_definitions(GOFER_VALGRIND)
endif()

# Optional: HTTPS by OpenSSL.
option(GOFER_TLS "Let gofer::http speak HTTPS, where OpenSSL 3 is found" ON)
if(GOFER_HTTP AND GOFER_TLS)
  find_package(OpenSSL 3.0)
endif()

# Optional: the worker pool across machines, by NATS.
option(GOFER_NATS "Build gofer::nats, where libnats and nlohmann-json are found" ON)
if(GOFER_NATS)
  find_library(GOFER_LIBNATS nats)
  find_path(GOFER_LIBNATS_HEADERS nats/nats.h)
  mark_as_advanced(GOFER_LIBNATS GOFER_LIBNATS_HEADERS)
  find_package(nlohmann_json QUIET)
  if(NOT GOFER_LIBNATS OR NOT GOFER_LIBNATS_HEADERS OR NOT nlohmann_json_FOUND)
    set(GOFER_NATS OFF)
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
  endif()
  find_program(CCACHE ccache)
  if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  endif()
endif()

if(GOFER_DEVELOP)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
                      $<$<COMPILE_LANGUAGE:CXX>:-Wpedantic> $<$<COMPILE_LANGUAGE:CXX>:-Wshadow>
                      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>                # false alarms of g++ 12: PR 105651
                      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)  # and PR 80635, std::optional
  if(GOFER_SANITIZE)  # and two more faces of PR 105651, with what a sanitizer puts in between
    add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-array-bounds>
                        $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-stringop-overflow>)
  endif()
  if(GOFER_WARNINGS_AS_ERRORS)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
endif()
if(GOFER_SANITIZE)  # with the lines that reports name, and no more for debuggers: a quarter less to compile
  add_compile_options(-fsanitize=${GOFER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${GOFER_SANITIZE})
endif()
