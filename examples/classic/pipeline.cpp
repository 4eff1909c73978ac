// A pipeline of three stages with back-pressure: the channels between them hold little, so a slow last stage slows the
// first one down instead of filling the memory.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>

#include <gofer/gofer.hpp>

#include "../pace.hpp"

using namespace std::chrono_literals;

int main() {
  constexpr int lines = 50;
  std::atomic<int> under_way{0};
  int most = 0;

  const gofer::chan<std::string> read(2);
  gofer::go([&] {
    for (int i = 1; i <= lines; ++i) {
      most = std::max(most, ++under_way);
      read.send("line " + std::to_string(i));
    }
    read.close();
  });

  const gofer::chan<int> parsed(2);
  gofer::go([&] {
    for (const std::string& line : read) parsed.send(std::stoi(line.substr(5)));
    parsed.close();
  });

  long sum = 0;
  for (const int number : parsed) {
    gofer::sleep_for(pace(5ms));  // slow
    sum += number;
    --under_way;
  }
  std::printf("Sum: %ld\n", sum);
  std::printf("At most %d of %d lines were under way\n", most, lines);
}

// Sum: 1275
// At most 7 of 50 lines were under way
