// What is refused before anything is made: by a spawner that has all that it may have, without the twenty thousand
// agents.
#include "spawner/launch_job.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include "base/limits/agents.h"
#include "base/limits/identity.h"
#include "runtime/packet.h"
#include "spawner/caller.h"
#include "spawner/sight.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// While it lives no further descriptor can be had.
class FewDescriptors {
 public:
  FewDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{3, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

// Answers what comes before the process is made, and nothing else.
class FullHost final : public LaunchHost {
 public:
  runtime::Loop& loop() override { return loop_; }
  const Clock& clock() const override { return clock_; }
  Random& random() override { std::abort(); }
  ImageDigests& images() override { return images_; }
  OwnerTurns& owners() override { std::abort(); }
  Links& links() override { std::abort(); }
  const config::Config& config() const override { return config_; }
  const config::Paths& paths() const override { std::abort(); }
  const Cgroups& cgroups() const override { std::abort(); }
  Idmapper* idmapper() override {
    before_places();
    return nullptr;
  }
  Nursery& nursery() override { std::abort(); }
  Result<HostIds> IdsOf(const IdSegment&) const override { return NotFound("no such tenant"); }
  Instance* FindByPidNamespace(const std::vector<uint64_t>&) override { std::abort(); }
  Instance* FindInstance(const InstanceId&) override { std::abort(); }
  Shares Sharing(const std::vector<Given>&) const override { std::abort(); }
  Launch::Reap Reaper() override { std::abort(); }
  size_t instances() const override { return instances_; }
  Instance::OnEnded OnEnded() override { std::abort(); }
  void Adopt(std::unique_ptr<Instance>) override { std::abort(); }

  // What a launch with so many folders is told. Its agent has no name, which is looked at after all bounds.
  std::string Asked(size_t instances, size_t folders, size_t hidden = 0) {
    instances_ = instances;
    auto pair = runtime::MakePacketPair().value();
    auto session = std::make_shared<LaunchSession>(loop_, std::move(pair.first), Caller(),
                                                   Party{Party::Kind::kUser, "uid:1"}, refusals_);
    pb::Launch request;
    request.add_argv("true");
    request.set_tenant("default");
    std::vector<UniqueFd> fds;
    for (size_t i = 0; i < 3 + folders; ++i) fds.emplace_back(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (size_t i = 0; i < folders; ++i) request.add_folders()->set_path("/" + std::to_string(i));
    for (size_t i = 0; i < hidden; ++i) request.add_hide("/0/" + std::to_string(i));
    BeginLaunch(*this, std::move(session), std::move(request), std::move(fds));
    return Said(pair.second.get());
  }

  // What a launch of this process's user is told that hides one place in one folder.
  std::string AskedToHide(const std::function<void()>& before_answer) {
    auto pair = runtime::MakePacketPair().value();
    Caller caller;
    caller.uid = geteuid();
    auto session = std::make_shared<LaunchSession>(loop_, std::move(pair.first), std::move(caller),
                                                   Party{Party::Kind::kUser, "uid:1"}, refusals_);
    pb::Launch request;
    request.add_argv("true");
    request.set_tenant("default");
    request.set_agent("crew");
    std::vector<UniqueFd> fds;
    for (size_t i = 0; i < 3; ++i) fds.emplace_back(open("/dev/null", O_RDWR | O_CLOEXEC));
    fds.emplace_back(open("/", O_PATH | O_CLOEXEC));
    request.add_folders()->set_path("/0");
    request.add_hide("/0/secret");
    BeginLaunch(*this, std::move(session), std::move(request), std::move(fds));
    const runtime::Timer busy = loop_.After(std::chrono::hours(1), [] {});
    pollfd p{pair.second.get(), POLLIN, 0};
    while (poll(&p, 1, 0) == 0) loop_.RunFor(std::chrono::milliseconds(2));
    before_answer();
    return Said(pair.second.get());
  }
  std::function<void()> before_places = [] {};

 private:
  static std::string Said(int socket) {
    const auto packet = ReceiveLaunchMessage(socket);
    pb::ServerMessage said;
    EXPECT_TRUE(packet.ok() && said.ParseFromArray(packet->body.data(), static_cast<int>(packet->body.size())));
    EXPECT_EQ(said.refused().exit_code(), 125u);
    return said.refused().message();
  }

  runtime::Loop loop_;
  SystemClock clock_;
  ImageDigests images_{loop_, clock_};
  config::Config config_ = config::ParseOrError("trust_domain: example.org\ntenant: default\n", "test.yaml").value();
  std::shared_ptr<RefusalLog> refusals_ = std::make_shared<RefusalLog>(clock_);
  size_t instances_ = 0;
};

TEST(LaunchJobTest, ANodeRunsSoManyAgents) {
  FullHost host;
  EXPECT_TRUE(host.Asked(limits::kMaxInstances - 1, 0).starts_with("agent:"));
  EXPECT_EQ(host.Asked(limits::kMaxInstances, 0), "this node runs as many agents as it can");
}

// launch.sock takes no message with more descriptors than these; what comes by another way is counted again.
TEST(LaunchJobTest, AnAgentIsGivenSoManyFolders) {
  FullHost host;
  EXPECT_TRUE(host.Asked(0, limits::kMaxFoldersGiven).starts_with("agent:"));
  EXPECT_EQ(host.Asked(0, limits::kMaxFoldersGiven + 1), "too many folders for one agent");
}

TEST(LaunchJobTest, SoMuchIsHiddenFromAnAgentAndNothingIsOpenedForMore) {
  FullHost host;
  EXPECT_TRUE(host.Asked(0, 1, limits::kMaxFoldersHidden).starts_with("agent:"));
  EXPECT_EQ(host.Asked(0, 1, limits::kMaxFoldersHidden + 1), "too much is hidden from one agent");
}

// A user is not another one, or nobody, because no descriptor was left to read his name by.
TEST(LaunchJobTest, AUserWhoseNameCannotBeReadNowIsNotNameless) {
  const rlimit none{0, 0};
  const pid_t pid = fork();
  if (pid == 0) {
    setrlimit(RLIMIT_NOFILE, &none);
    const Result<std::string> name = UserName(1);
    _exit(name.ok() ? 1 : name.error().code() == ErrorCode::kResourceExhausted ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(UserName(0).value(), "root");
  EXPECT_EQ(UserName(1'234'567).value(), "uid:1234567");
}

// One whose service had no descriptor left either, and took that for an answer.
TEST(LaunchJobTest, NoUserOfAServiceWithoutDescriptorsIsNoUserUntilThereAreSome) {
  const auto nobody = [](uid_t, passwd*, char*, size_t, passwd** found) {
    *found = nullptr;
    return 0;
  };
  EXPECT_EQ(UserName(1, nobody).value(), "uid:1");
  const FewDescriptors few;
  const Result<std::string> name = UserName(1, nobody);
  ASSERT_FALSE(name.ok()) << *name;
  EXPECT_EQ(name.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_NE(name.error().message().find("try again"), std::string::npos) << name.error().message();
}

// What could not be looked for would be taken for nothing, and shown.
TEST(LaunchJobTest, WhatIsHiddenAndCannotBeLookedForIsNotTakenForNothing) {
  FullHost host;
  for (const bool short_of : {false, true}) {
    std::optional<FewDescriptors> few;
    host.before_places = [&] {
      if (short_of) few.emplace();
    };
    const std::string said = host.AskedToHide([&] { few.reset(); });
    if (short_of)
      EXPECT_NE(said.find("/0/secret cannot be looked for now: try again"), std::string::npos) << said;
    else
      EXPECT_EQ(said, "no such tenant");
  }
}

// The caller may name them by the hundred: what lies there is compared later, and needs no descriptor until then.
TEST(LaunchJobTest, NothingStaysOpenOfWhatIsFoundUnlessItIsHandedDown) {
  const auto root = std::make_shared<const UniqueFd>(open("/", O_PATH | O_CLOEXEC));
  Place place = PlaceIn("/r/etc", "/r", root);
  Find(place);
  EXPECT_TRUE(place.what.has_value());
  EXPECT_FALSE(place.found);
  place.keep = true;
  Find(place);
  EXPECT_TRUE(place.found);
  EXPECT_EQ(place.what, FileIdOf(place.found.get()));
}

}  // namespace
}  // namespace hexr::spawner
