// Bugs between fibers that the sanitizers have to find: `race`, or `return`, a pointer into a frame that is gone.

#include <cstdio>
#include <cstring>

#include <gofer/gofer.hpp>

namespace {

int shared = 0;

void race() {
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([] {
      for (int k = 0; k < 1000; ++k) {
        ++shared;
        gofer::yield();
      }
    });
  }
  both.wait();
}

[[gnu::noinline]] int* address_of_local() {
  int local = 1;
  gofer::yield();
  int* volatile at = &local;
  return at;
}

void use_after_return() {
  gofer::run([] {
    const int* gone = address_of_local();
    gofer::yield();
    std::printf("%d\n", *gone);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "race") == 0) race();
  if (argc == 2 && std::strcmp(argv[1], "return") == 0) use_after_return();
}
