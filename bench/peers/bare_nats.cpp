// What bench/nats_pool.cpp asks of the servers, by bare loops over libnats: bare_nats SERVERS REPLICAS TASKS. The same
// publishes with ids, fetches and acknowledgements, and nothing that runs tasks.
#include <nats/nats.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void check(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  std::fprintf(stderr, "bare_nats: %s: %s\n", what, natsStatus_GetText(status));
  std::exit(1);
}

template <class Work>
double seconds_of(Work work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int tasks = std::atoi(argv[3]);
  const std::string name = "bare-" + std::to_string(::getpid());
  natsConnection* connection = nullptr;
  check(natsConnection_ConnectTo(&connection, argv[1]), "connect");
  // By default libnats gathers what is sent for a millisecond, which is best for many and worst for one.
  natsOptions* at_once = nullptr;
  check(natsOptions_Create(&at_once), "options");
  check(natsOptions_SetURL(at_once, std::string(argv[1]).substr(0, std::string(argv[1]).find(',')).c_str()), "options");
  check(natsOptions_SetSendAsap(at_once, true), "options");
  jsOptions options;
  jsOptions_Init(&options);
  options.PublishAsync.MaxPending = 1024;
  options.PublishAsync.StallWait = 10'000;
  jsCtx* js = nullptr;
  check(natsConnection_JetStream(&js, connection, &options), "JetStream");
  jsStreamConfig stream;
  jsStreamConfig_Init(&stream);
  stream.Name = name.c_str();
  const std::string subject = name + ".task";
  const char* subjects[] = {subject.c_str()};
  stream.Subjects = subjects;
  stream.SubjectsLen = 1;
  stream.Retention = js_WorkQueuePolicy;
  stream.Discard = js_DiscardNew;
  stream.MaxMsgs = 1'000'000;
  stream.Replicas = std::atoi(argv[2]);
  check(js_AddStream(nullptr, js, &stream, nullptr, nullptr), "stream");
  natsSubscription* subscription = nullptr;
  jsSubOptions consumer;
  jsSubOptions_Init(&consumer);
  consumer.Config.MaxAckPending = 20'000;
  check(js_PullSubscribe(&subscription, js, subject.c_str(), "workers", nullptr, &consumer, nullptr), "consumer");

  jsPubOptions publish;
  jsPubOptions_Init(&publish);
  std::string id;
  const auto named = [&](int i) {
    id = name + '-' + std::to_string(i);
    publish.MsgId = id.c_str();
    return std::to_string(i);
  };
  const double submitted = seconds_of([&] {
    for (int i = 0; i < tasks; ++i) {
      const std::string data = named(i);
      check(js_PublishAsync(js, subject.c_str(), data.data(), static_cast<int>(data.size()), &publish), "publish");
    }
    check(js_PublishAsyncComplete(js, nullptr), "publish");
  });
  const double worked = seconds_of([&] {
    for (int done = 0; done < tasks;) {
      natsMsgList list;
      check(natsSubscription_Fetch(&list, subscription, 512, 5000, nullptr), "fetch");
      done += list.Count;
      for (int i = 0; i < list.Count; ++i) check(natsMsg_Ack(list.Msgs[i], nullptr), "acknowledge");
      natsMsgList_Destroy(&list);
    }
  });
  natsConnection* prompt = nullptr;
  natsSubscription* single = nullptr;
  check(natsConnection_Connect(&prompt, at_once), "connect");
  check(natsConnection_JetStream(&js, prompt, &options), "JetStream");
  check(js_PullSubscribe(&single, js, subject.c_str(), "workers", nullptr, &consumer, nullptr), "consumer");
  constexpr int singles = 1000;
  const double alone = seconds_of([&] {
    for (int i = 0; i < singles; ++i) {
      const std::string data = named(tasks + i);
      check(js_Publish(nullptr, js, subject.c_str(), data.data(), static_cast<int>(data.size()), &publish, nullptr),
            "publish");
      natsMsgList list;
      check(natsSubscription_Fetch(&list, single, 1, 5000, nullptr), "fetch");
      check(natsMsg_Ack(list.Msgs[0], nullptr), "acknowledge");
      natsMsgList_Destroy(&list);
    }
  });
  std::printf("%.0f %.0f %.1f\n", tasks / submitted, tasks / worked, alone / singles * 1e6);
}
