#include "keeper/operator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "identity/testing/puppet.h"
#include "runtime/process.h"

namespace hexr::keeper {
namespace {

using identity::testing::Puppet;

// By the handle of who connected: a number is somebody else's as soon as its owner has gone.
TEST(OperatorNames, TheProgramIsThatOfTheHandleOrNobodys) {
  const SystemClock clock;
  const identity::ProcessReader reader;
  OperatorNames names(reader, clock);
  Puppet somebody, another;
  const auto name = [&](const Puppet& number, const runtime::UniqueFd& handle) {
    const Operator who{::geteuid(), ::getegid(), number.pid(),
                       std::make_shared<const runtime::UniqueFd>(::dup(handle.get()))};
    return names.Name(who, /*may_read=*/true).ToJson();
  };
  const runtime::UniqueFd handle = std::move(*runtime::OpenPidfd(somebody.pid()));
  EXPECT_NE(name(somebody, handle).find("exe_sha256"), std::string::npos);
  const std::string of_another = name(another, handle);
  EXPECT_EQ(of_another.find("exe_sha256"), std::string::npos) << of_another;
  EXPECT_NE(of_another.find("\"pid\":" + std::to_string(another.pid())), std::string::npos) << of_another;
  somebody.KillOnly();
  EXPECT_EQ(name(somebody, handle).find("exe_sha256"), std::string::npos) << "it has ended";
  const Operator without{::geteuid(), ::getegid(), another.pid(), nullptr};
  EXPECT_EQ(names.Name(without, true).ToJson().find("exe_sha256"), std::string::npos);
}

}  // namespace
}  // namespace hexr::keeper
