#pragma once

#include <unistd.h>

#include <fstream>

namespace test {

/// What this process has of the machine's memory.
inline double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  long total = 0;
  long resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace test
