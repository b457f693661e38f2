// One live agent: what it is, what watches it, and what is said about it to keeper and gateway. One loop's thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"
#include "config/config.h"
#include "runtime/loop.h"
#include "spawner/exec_watch.h"
#include "spawner/folders.h"
#include "spawner/image.h"
#include "spawner/launch.h"
#include "spawner/launch_socket.h"
#include "spawner/links.h"
#include "spawner/owner.h"
#include "spawner/roles.h"
#include "spawner/writable_folders.h"

namespace hexr::spawner {

struct InstanceFacts {
  InstanceId id;
  RoleName name;
  std::optional<InstanceId> parent;
  uid_t caller_uid = 0;  // who stands behind it, through all parents: whose folders it was given
  std::string caller_user;
  std::vector<gid_t> caller_gids;
  std::string on_behalf_of;    // token; for the first registration only, never parked
  config::Role entry;          // of `roles`, by which it was started
  Image image;                 // at the last attestation
  std::vector<Given> folders;  // for its sub-agents, who get no more than it has
  std::vector<Hidden> hidden;  // from it, and so from all below it
  std::vector<ListenerSpec> listeners;
  Shares shares;
  std::string sockets;  // FolderNotes::sockets
  std::string cgroup;   // version 2, as /proc/PID/cgroup names it from outside; empty: none of its own
  // From the keeper's Registered.
  std::string spiffe_id;
  std::vector<std::string> lineage;
  std::string subject, subject_issuer, subject_claims;
};

class Instance {
 public:
  // Runs once, from the loop, never inside a call of this class; may destroy the instance.
  using OnEnded = UniqueFunction<void(Instance& self, int wait_status)>;

  // `launching`: its first exec is still to come.
  Instance(runtime::Loop& loop, ImageDigests& images, OwnerTurns& owners, Links& links, InstanceFacts facts,
           AgentHandles handles, ExecJournal journal, bool launching, OnEnded on_ended);
  // From what a predecessor parked.
  static Result<std::unique_ptr<Instance>> Adopt(runtime::Loop& loop, ImageDigests& images, OwnerTurns& owners,
                                                 Links& links, const Cgroups& cgroups,
                                                 const std::vector<config::Role>& roles, const std::string& state,
                                                 std::vector<UniqueFd> fds, OnEnded on_ended);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const InstanceFacts& facts() const { return facts_; }
  InstanceFacts& facts() { return facts_; }
  const AgentHandles& handles() const { return handles_; }

  // Tells the keeper what and who it is; `done` with its answer taken in.
  void Register(UniqueFunction<void(Status)> done);
  // After a restart of the keeper. While an exec is under way, as soon as it is over: what runs then is what is
  // registered. One that the keeper does not take back ends: nobody would see or end it otherwise. `turn` is held until
  // the keeper has answered once, or for no longer than that needs no answer.
  void RegisterAgain(std::shared_ptr<void> turn, int attempt = 0);
  // Gives its listeners to its tenant's gateway. Also after a restart of the gateway.
  void Announce(UniqueFunction<void(Status)> done);
  // Hands what a successor needs to the supervisor. Once.
  void Park();

  // The terminal's master, once, where it has one.
  UniqueFd TakeTerminal() { return std::move(handles_.terminal); }
  void SetOnEnded(OnEnded on_ended) { on_ended_ = std::move(on_ended); }

  void Signal(int signal);
  void Kill(const std::string& why);
  // As Kill, and nothing of it gets out any more, however long its processes take to end.
  void Expel(const std::string& why);
  // Another program than it was launched with has been asked for.
  bool has_execed() const { return begun_ > 0; }
  bool has_session() const { return session_ && !session_->gone(); }
  pb::Ended Ended(int wait_status) const;
  void AttachSession(std::shared_ptr<LaunchSession> session);
  void TellSession(const pb::ServerMessage& message, std::vector<int> fds = {});

  // Replies to the gateway: who holds a connection; a socket made inside.
  void FindOwner(const ::hexr::node::v1::FindOwner& question, runtime::Channel::Reply reply);
  void OpenSocket(bool v6, runtime::Channel::Reply reply);

  bool quarantined = false;

 private:
  void OnControl();
  void OnInitEnded();
  void TellEnd();
  void OnRegisteredAgain(const Status& s, int attempt);
  void OnExecStarting(UniqueFunction<void(bool)> answer, int attempt);
  void OnExecSettled();
  void OnMeasured(Image image, bool measured, uint64_t begun, uint64_t counter);
  void OnHolder(const Result<pid_t>& holder, runtime::Channel::Reply reply);
  void TellExec(bool measured) const;
  void FillRegistration(::hexr::node::v1::RegisterInstance& r) const;

  runtime::Loop& loop_;
  ImageDigests& images_;
  OwnerTurns& owners_;
  Links& links_;
  InstanceFacts facts_;
  AgentHandles handles_;
  ExecJournal journal_;
  OnEnded on_ended_;
  std::optional<int> status_;
  bool ended_ = false, end_told_ = false;
  std::string why_;
  pid_t last_owner_ = 0;
  bool register_when_settled_ = false;
  ExecCounters::Counter counter_;
  bool keeper_reads_ = false;      // and gives nothing while it is raised over what was attested
  uint64_t begun_ = 0;             // execs of the registered process
  uint64_t attested_ = 0;          // of these, when facts_.image was measured
  uint64_t attested_counter_ = 0;  // what counter_ was then
  bool registering_ = false;       // the keeper has been asked, and has not answered
  struct {
    int64_t from = 0, to = 0;
  } revoked_;  // of the last exec, in nanoseconds: the keeper asked, its answer there
  std::shared_ptr<LaunchSession> session_;
  std::deque<runtime::Channel::Reply> sockets_;  // PID 1 answers in order
  runtime::Timer exec_retry_, settle_retry_, register_retry_, hang_up_;
  runtime::FdWatch init_watch_, control_watch_;
  std::unique_ptr<ExecWatch> execs_;
  std::shared_ptr<Instance*> self_;  // answers that come after our end are dropped
};

void FillImage(const Image& image, ::hexr::node::v1::Image& out);

}  // namespace hexr::spawner
