// launch.sock: connections of `hexr run`, their messages, and who is behind each (launch.proto). One loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits/agents.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "net/listener.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"
#include "spawner/caller.h"
#include "spawner/launch_message.h"

namespace hexr::spawner {

// To whose share something counts: nobody's loop keeps another from being served.
struct Party {
  enum class Kind : uint8_t {
    kOwner,  // root, or the user whose node this is: bounded by what there is
    kUser,
    kAgent,  // a process of an instance, whoever it runs as
  };
  Kind kind = Kind::kUser;
  std::string name;  // "uid:1000", an instance
};

// So many of something for each party and in all, a quarter of them for the owner alone. One loop's thread.
class Allowance {
 public:
  explicit Allowance(size_t all) : all_(all) {}
  // Null: its share, or that of all, is used up. Given back when the last copy of the token goes.
  std::shared_ptr<void> Take(const Party& party, size_t most);

 private:
  struct Counts {
    size_t all = 0;
    std::map<std::string, size_t> of;
  };
  const size_t all_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();  // tokens may outlive this object
};

// What was refused to whom, in the log: at a rate for each party, beyond which it is counted. One loop's thread.
class RefusalLog {
 public:
  explicit RefusalLog(const Clock& clock) : clock_(clock) {}
  void Write(const Party& party, const Caller& caller, std::string_view agent, int exit_code, std::string_view message);
  size_t written() const { return written_; }

 private:
  struct Budget {
    double tokens;
    MonoTime refilled;
    uint64_t left_out = 0;
  };
  const Clock& clock_;
  std::map<std::string, Budget> budgets_;
  size_t written_ = 0;
};

struct LaunchTimes {
  std::chrono::milliseconds request = limits::kLaunchRequestDeadline;
  std::chrono::milliseconds linger = limits::kLaunchLinger;
};

// One `hexr run`. Kept alive by whoever serves it; gone() once the other end has closed.
class LaunchSession {
 public:
  LaunchSession(runtime::Loop& loop, runtime::UniqueFd socket, Caller caller, Party party,
                std::shared_ptr<RefusalLog> refusals)
      : loop_(loop),
        socket_(std::move(socket)),
        caller_(std::move(caller)),
        party_(std::move(party)),
        refusals_(std::move(refusals)) {}
  const Caller& caller() const { return caller_; }
  const Party& party() const { return party_; }
  bool gone() const { return !socket_; }
  // Lost when the other end has gone or does not read: what it missed is of no use to it later.
  void Send(const pb::ServerMessage& message, std::vector<int> fds = {});
  // Says why, here and in the log, and closes. `agent`: what was asked for.
  void Refuse(int exit_code, const std::string& message, const std::string& agent = "");
  void Close();
  // What was asked for runs, or was refused: it counts among the launches under way no more.
  void Settled() { under_way_.reset(); }

  // At most one of each; unset: messages of that kind close the connection.
  UniqueFunction<void(int signal)> on_signal;
  UniqueFunction<void()> on_gone;

 private:
  friend class LaunchSocket;
  runtime::Loop& loop_;
  runtime::UniqueFd socket_;
  Caller caller_;
  Party party_;
  std::shared_ptr<RefusalLog> refusals_;
  LaunchTimes times_;
  std::shared_ptr<void> place_, under_way_;
  UniqueFunction<void()> drop_;  // set while the socket that it came from lives
  runtime::Timer deadline_;      // for the first message; later for the other end to close
  runtime::FdWatch watch_;
  bool opened_ = false;  // its first message has come
};

class LaunchSocket {
 public:
  struct Events {
    UniqueFunction<void(std::shared_ptr<LaunchSession>, pb::Launch, std::vector<runtime::UniqueFd>)> launch;
    UniqueFunction<void(std::shared_ptr<LaunchSession>, pb::Attach)> attach;
    UniqueFunction<Party(const Caller&)> party;
  };
  LaunchSocket(runtime::Loop& loop, const Clock& clock, runtime::UniqueFd listener, Events events,
               LaunchTimes times = {});
  ~LaunchSocket();
  LaunchSocket(const LaunchSocket&) = delete;
  LaunchSocket& operator=(const LaunchSocket&) = delete;

  size_t sessions() const { return sessions_.size(); }
  const RefusalLog& refusals() const { return *refusals_; }

 private:
  void Accepted(runtime::UniqueFd socket);
  void Readable(const std::shared_ptr<LaunchSession>& session);
  Status Handle(const std::shared_ptr<LaunchSession>& session, LaunchPacket packet);
  void Drop(const std::shared_ptr<LaunchSession>& session);

  runtime::Loop& loop_;
  Events events_;
  const LaunchTimes times_;
  Allowance places_, launches_;
  std::shared_ptr<RefusalLog> refusals_;
  std::map<LaunchSession*, std::shared_ptr<LaunchSession>> sessions_;
  net::Listener listener_;
};

}  // namespace hexr::spawner
