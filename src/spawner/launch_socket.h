// launch.sock: connections of `hexr run`, their messages, and who is behind each (launch.proto). One loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"
#include "spawner/caller.h"
#include "spawner/launch_message.h"

namespace hexr::spawner {

// One `hexr run`. Kept alive by whoever serves it; gone() once the other end has closed.
class LaunchSession {
 public:
  LaunchSession(runtime::UniqueFd socket, Caller caller) : socket_(std::move(socket)), caller_(std::move(caller)) {}
  const Caller& caller() const { return caller_; }
  bool gone() const { return !socket_; }
  // Lost when the other end has gone or does not read: what it missed is of no use to it later.
  void Send(const pb::ServerMessage& message, std::vector<int> fds = {});
  // Says why and closes.
  void Refuse(int exit_code, const std::string& message);
  void Close();

  // At most one of each; unset: messages of that kind close the connection.
  UniqueFunction<void(int signal)> on_signal;
  UniqueFunction<void()> on_gone;

 private:
  friend class LaunchSocket;
  runtime::UniqueFd socket_;
  Caller caller_;
  runtime::FdWatch watch_;
  bool opened_ = false;  // its first message has come
};

class LaunchSocket {
 public:
  struct Events {
    UniqueFunction<void(std::shared_ptr<LaunchSession>, pb::Launch, std::vector<runtime::UniqueFd>)> launch;
    UniqueFunction<void(std::shared_ptr<LaunchSession>, pb::Attach)> attach;
  };
  LaunchSocket(runtime::Loop& loop, runtime::UniqueFd listener, Events events);

  size_t sessions() const { return sessions_.size(); }

 private:
  void Accept();
  void Readable(const std::shared_ptr<LaunchSession>& session);
  Status Handle(const std::shared_ptr<LaunchSession>& session, LaunchPacket packet);
  void Drop(const std::shared_ptr<LaunchSession>& session);

  runtime::Loop& loop_;
  runtime::UniqueFd listener_;
  Events events_;
  std::map<LaunchSession*, std::shared_ptr<LaunchSession>> sessions_;
  runtime::FdWatch watch_;
};

}  // namespace hexr::spawner
