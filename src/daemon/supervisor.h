// The parent of a node's processes: starts them, connects them to each other, restarts what dies, drains on request.
//
// Holds what a child cannot get again: the listening sockets that agents have bound into their namespaces, and whatever
// a child parks (Park/Unpark). Holds no keys and reads no agent's bytes. Belongs to its loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "config/config.h"
#include "config/paths.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "runtime/process.h"

namespace hexr::daemon {

struct SupervisorOptions {
  std::vector<std::string> child_argv;  // how a child is started; the role's name is appended
  std::vector<std::string> child_env;
  config::Paths paths;
  std::string config_yaml;
  bool courier = false;                     // config::NeedsCourier
  std::vector<config::Listener> listeners;  // for the courier, config::Listeners
  bool privileged = false;
  std::chrono::milliseconds first_backoff{100};
  std::chrono::milliseconds longest_backoff{5000};
  std::chrono::milliseconds stable_after{2000};  // a child that lived this long starts again without waiting
  std::chrono::milliseconds drain_deadline{5000};
  std::chrono::milliseconds repair_after{200};  // a pair that broke between two living children
};

class Supervisor {
 public:
  Supervisor(runtime::Loop& loop, const Clock& clock, SupervisorOptions options);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Makes the folders and sockets, takes the node's lock (ALREADY_EXISTS: another node runs here), starts the children.
  // `on_ready` runs each time every child has become ready after a start or restart.
  Status Start(UniqueFunction<void()> on_ready);
  // A child's first word was that the configuration, or what it names, is mistaken: the loop was stopped, and starting
  // it again helps nobody.
  bool gave_up() const { return gave_up_; }
  // Everybody else first, so that the keeper can still record what they end; then the keeper. `done` runs once.
  void Drain(UniqueFunction<void()> done);

  struct ChildState {
    std::string name;  // "keeper", "gateway/default"
    pid_t pid;
    bool ready;
    uint64_t starts;
  };
  std::vector<ChildState> children() const;

 private:
  struct Child;
  struct Parked {
    std::string state;
    runtime::SharedFds fds;
  };

  Status MakeFolders();
  Status BindSockets();
  void StartChild(Child& child);
  void ChildEnded(Child& child);
  static bool Strangers(const Child& a, const Child& b);
  void Connect(Child& fresh);
  void Pair(Child& a, Child& b);
  void PairAgain(const Child& from, const std::string& lost);
  void SendTenants();
  void Handle(Child& from, runtime::Message message, runtime::Channel::Reply reply);
  void SendMetrics(runtime::Channel::Reply reply) const;
  void Unpark(Child& from, const std::string& key, runtime::Channel::Reply reply);
  void CheckReady();
  void DrainNext();
  Child* Find(const std::string& name);

  runtime::Loop& loop_;
  const Clock& clock_;
  SupervisorOptions options_;
  UniqueFunction<void()> on_ready_;
  UniqueFunction<void()> on_drained_;
  runtime::UniqueFd lock_;
  runtime::UniqueFd api_, admin_, launch_;
  std::vector<runtime::UniqueFd> listeners_;  // in the order of the options
  std::vector<std::unique_ptr<Child>> children_;
  std::set<std::string> frozen_;                                 // tenants that are there without a gateway
  std::map<std::string, std::map<std::string, Parked>> parked_;  // child → key → what it left here
  std::map<std::string, runtime::Timer> repairs_;                // by the names of both ends
  std::string boot_id_;
  bool draining_ = false;
  bool announced_ = false;
  bool was_ready_ = false;
  bool gave_up_ = false;
  runtime::Timer drain_timer_;
};

}  // namespace hexr::daemon
