// A thousand fibers count together.
#include <cstdio>
#include <mutex>

#include <gofer/gofer.hpp>

class counter {
 public:
  void increment() {
    const std::scoped_lock hold(mutex_);
    ++value_;
  }
  int value() const {
    const std::scoped_lock hold(mutex_);
    return value_;
  }

 private:
  mutable gofer::mutex mutex_;
  int value_ = 0;
};

int main() {
  counter c;
  gofer::wait_group fibers;
  for (int i = 0; i < 1000; ++i) fibers.go([&] { c.increment(); });
  fibers.wait();
  std::printf("Final counter value: %d\n", c.value());
}

// Final counter value: 1000
