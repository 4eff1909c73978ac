// Publish and subscribe: every subscriber of a topic has a channel of its own. One that does not keep up loses messages
// instead of holding up the others, and is told how many.
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gofer/gofer.hpp>

#include "../pace.hpp"

using namespace std::chrono_literals;

class hub {
 public:
  struct subscription {
    explicit subscription(std::size_t room) : messages(room) {}
    gofer::chan<std::string> messages;
    gofer::atomic_counter lost;
  };

  std::shared_ptr<subscription> subscribe(const std::string& topic, std::size_t room) {
    auto made = std::make_shared<subscription>(room);
    const std::scoped_lock hold(lock_);
    topics_[topic].push_back(made);
    return made;
  }

  void publish(const std::string& topic, const std::string& message) {
    const std::scoped_lock hold(lock_);
    for (const auto& one : topics_[topic]) {
      if (!one->messages.try_send(message)) one->lost.increment();
    }
  }

  /// Ends every subscription, once what is in its channel has been received.
  void close() {
    const std::scoped_lock hold(lock_);
    for (const auto& [topic, subscribers] : topics_) {
      for (const auto& one : subscribers) one->messages.close();
    }
    topics_.clear();
  }

 private:
  gofer::mutex lock_;
  std::map<std::string, std::vector<std::shared_ptr<subscription>>> topics_;  // guarded by lock_
};

int main() {
  constexpr int count = 20;
  hub news;
  gofer::wait_group readers;
  gofer::latch listening(3);  // the readers that have heard something
  const auto read = [&](const char* name, const std::string& topic, std::size_t room, std::chrono::nanoseconds each) {
    readers.go([=, &listening, mine = news.subscribe(topic, room)] {
      int received = 0;
      for (const std::string& message : mine->messages) {
        (void)message;
        if (++received == 1) listening.count_down();
        gofer::sleep_for(each);
      }
      std::printf("%s: %d received, %lld lost\n", name, received, static_cast<long long>(mine->lost.load()));
    });
  };
  read("A quick reader", "sports", count, 0ms);
  read("A slow reader", "sports", 2, pace(30ms));
  read("A reader of another topic", "weather", count, 0ms);

  news.publish("weather", "rain");
  news.publish("sports", "goal 1");
  listening.wait();
  for (int i = 2; i <= count; ++i) {
    news.publish("sports", "goal " + std::to_string(i));
    gofer::sleep_for(pace(5ms));
  }
  news.close();
  readers.wait();
}

// A reader of another topic: 1 received, 0 lost
// A quick reader: 20 received, 0 lost
// A slow reader: 6 received, 14 lost
