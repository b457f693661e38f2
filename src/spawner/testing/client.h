// A `hexr run` as the spawner sees it, under a test's hand.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <vector>

#include "spawner/launch_socket.h"

namespace hexr::spawner::testing {

using runtime::UniqueFd;

// One `hexr run` as seen from the test: the raw protocol.
struct Client {
  explicit Client(const std::string& path) {
    socket = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path.c_str());
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    fcntl(socket.get(), F_SETFL, O_NONBLOCK);
    int out[2], in[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    output = UniqueFd(out[0]);
    output_end = UniqueFd(out[1]);
    input = UniqueFd(in[1]);
    input_end = UniqueFd(in[0]);
    fcntl(output.get(), F_SETFL, O_NONBLOCK);
  }
  void Launch(const std::string& folder, std::vector<std::string> argv, const std::string& agent = "crew",
              const std::string& role = "main") {
    pb::ClientMessage m;
    auto& l = *m.mutable_launch();
    l.set_agent(agent);
    l.set_role(role);
    for (auto& a : argv) l.add_argv(a);
    for (const char* e : {"PATH=/usr/bin:/bin", "HOME=/home/u", "MY_TOKEN=x", "HEXR_ROLE=forged"}) l.add_env(e);
    l.set_working_folder(folder);
    auto& f = *l.add_folders();
    f.set_path(folder);
    f.set_writable(true);
    for (const std::string& path : hide) l.add_hide(path);
    const UniqueFd fd(open(folder.c_str(), O_PATH | O_CLOEXEC));
    std::vector<int> fds = {input_end.get(), output_end.get(), output_end.get(), fd.get()};
    for (size_t i = 0; i < 3; ++i) {
      if (in_place[i] >= 0) fds[i] = in_place[i];
    }
    const Status s = SendLaunchMessage(socket.get(), m, fds);
    EXPECT_TRUE(s.ok()) << s.error().ToString();
    output_end.reset();
    input_end.reset();
  }
  void Send(const pb::ClientMessage& m) { EXPECT_TRUE(SendLaunchMessage(socket.get(), m, {}).ok()); }
  // Takes in what has come.
  void Poll() {
    char buffer[4096];
    for (ssize_t n = 0; (n = read(output.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
    for (;;) {
      auto p = ReceiveLaunchMessage(socket.get());
      if (!p.ok()) {
        closed |= p.error().code() == ErrorCode::kUnavailable;
        return;
      }
      pb::ServerMessage m;
      ASSERT_TRUE(m.ParseFromArray(p->body.data(), static_cast<int>(p->body.size())));
      if (m.has_started()) started = m.started();
      if (m.has_refused()) refused = m.refused();
      if (m.has_ended()) ended = m.ended();
      if (m.has_warning()) warnings += m.warning().text() + "\n";
    }
  }

  UniqueFd socket, output, output_end, input, input_end;
  std::vector<std::string> hide;
  int in_place[3] = {-1, -1, -1};  // of stdin, stdout, stderr: what is sent instead of our pipes
  std::string text, warnings;
  std::optional<pb::Started> started;
  std::optional<pb::Refused> refused;
  std::optional<pb::Ended> ended;
  bool closed = false;
};

}  // namespace hexr::spawner::testing
