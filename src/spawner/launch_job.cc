#include "spawner/launch_job.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <map>
#include <set>

#include "base/exit_codes.h"
#include "base/limits/agents.h"
#include "base/limits/identity.h"
#include "base/log.h"
#include "spawner/environment.h"
#include "spawner/filter.h"
#include "spawner/landlock.h"
#include "spawner/script.h"
#include "spawner/sight.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

constexpr uint16_t kProxyPort = 15001;
constexpr uint16_t kDnsPort = 53;
constexpr size_t kHostnameBytes = 63;
constexpr std::chrono::seconds kBuildDeadline{10};
// The inner ids of an agent on a node that runs as root: an ordinary user's, whatever the host calls them.
constexpr uid_t kInnerId = 1000;
constexpr char kDefaultPath[] = "/usr/local/bin:/usr/bin:/bin";

std::string Variable(const std::vector<std::string>& env, std::string_view name) {
  for (const std::string& v : env) {
    if (v.size() > name.size() && v[name.size()] == '=' && v.starts_with(name)) return v.substr(name.size() + 1);
  }
  return "";
}

int SocketOption(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// Connected for good: one without a connection, or that can take another, would reach the sockets of the network
// namespace that it was made in, those without a path among them.
bool IsConnectedStream(int fd) {
  const int type = SocketOption(fd, SO_TYPE);
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return SocketOption(fd, SO_DOMAIN) == AF_UNIX && (type == SOCK_STREAM || type == SOCK_SEQPACKET) &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

// What can be read and written and leads nowhere else. A network socket would be a way out of the network namespace; a
// folder, open for whatever, one out of the root: fchdir(2), and connect(2) to the sockets below it.
Status CheckStdio(int fd) {
  struct statx st {};
  const bool known = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0;
  const bool named_only = (fcntl(fd, F_GETFL) & O_PATH) != 0;
  const mode_t type = st.stx_mode & S_IFMT;
  const bool file = type == S_IFREG || type == S_IFIFO || type == S_IFCHR;
  if (known && !named_only && (file || (type == S_IFSOCK && IsConnectedStream(fd)))) return Ok();
  return PermissionDenied(
      "standard input and output are files, pipes, terminals or connected local streams, no folders and no network "
      "sockets; put a pipe between (… | hexr run …)");
}

// The caller's limits, as the kernel has them: an agent gets no more than its caller had.
std::vector<std::pair<int, rlimit>> LimitsOf(pid_t pid) {
  static constexpr std::array<int, 9> kResources = {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_AS,
                                                    RLIMIT_DATA,   RLIMIT_FSIZE, RLIMIT_STACK,
                                                    RLIMIT_CPU,    RLIMIT_CORE,  RLIMIT_MEMLOCK};
  std::vector<std::pair<int, rlimit>> out;
  for (const int resource : kResources) {
    rlimit theirs{}, ours{};
    if (prlimit(pid, static_cast<__rlimit_resource>(resource), nullptr, &theirs) != 0) continue;
    if (getrlimit(static_cast<__rlimit_resource>(resource), &ours) != 0) continue;
    theirs.rlim_max = std::min(theirs.rlim_max, ours.rlim_max);
    if (resource == RLIMIT_NPROC) theirs.rlim_max = std::min<rlim_t>(theirs.rlim_max, limits::kMaxAgentProcesses);
    theirs.rlim_cur = std::min(theirs.rlim_cur, theirs.rlim_max);
    out.emplace_back(resource, theirs);
  }
  return out;
}

// Where argv[0] may lie, as execvp(3) looks for it.
std::vector<std::string> Candidates(const std::string& program, const std::string& folder, std::string path) {
  if (program.find('/') != std::string::npos) return {program[0] == '/' ? program : folder + "/" + program};
  std::vector<std::string> out;
  if (path.empty()) path = kDefaultPath;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    out.push_back((part.empty() ? folder : part[0] == '/' ? part : folder + "/" + part) + "/" + program);
    begin = end + 1;
  }
  return out;
}

struct Found {
  std::optional<FileId> what;
  UniqueFd fd;  // of what is handed down
};

class LaunchJob : public std::enable_shared_from_this<LaunchJob> {
 public:
  LaunchJob(LaunchHost& host, std::shared_ptr<LaunchSession> session, pb::Launch request, std::vector<UniqueFd> fds)
      : host_(host), session_(std::move(session)), request_(std::move(request)), fds_(std::move(fds)) {}

  void Begin() {
    const Status s = Check();
    std::vector<Place> places = s.ok() ? PlacesToFind() : std::vector<Place>();
    parent_ = nullptr;
    if (!s.ok()) return Fail(s.error());
    if (places.empty()) return Planned();
    deadline_ = host_.loop().After(kBuildDeadline, [self = shared_from_this()] {
      self->Fail(DeadlineExceeded("the file systems of the folders that were given do not answer"));
    });
    host_.images().files().Run<std::vector<Place>>(
        party(),
        [places = std::move(places)]() mutable {
          for (Place& p : places) Find(p);
          return std::move(places);
        },
        [self = shared_from_this()](Result<std::vector<Place>> found) {
          if (self->done_) return;
          if (!found.ok()) return self->Fail(found.error());
          for (Place& p : *found) {
            // What is hidden would be taken for nothing, and shown.
            if (p.shortage != 0)
              return self->Fail(ErrnoError(p.path + " cannot be looked for now: try again", p.shortage));
            Found& kept = self->found_[p.path];
            kept.what = p.what;
            if (p.found) kept.fd = std::move(p.found);
          }
          self->Planned();
        });
  }

 private:
  void Planned() {
    const Status s = FindParent() ? Plan() : Status(PermissionDenied("the agent that asked has ended"));
    parent_ = nullptr;
    if (!s.ok()) {
      // A request that comes to nothing does not cost the next one its process.
      if (launch_ && !launch_->begun()) {
        host_.nursery().Return(name_->tenant, {.id = std::move(*id_),
                                               .launch = std::move(launch_),
                                               .origins = std::move(origins_),
                                               .weaker = std::move(ground_weaker_)});
      }
      return Fail(s.error());
    }
    times_.planned = Elapsed();
    Watch();
  }

  bool FindParent() {
    if (parent_instance_) parent_ = host_.FindInstance(*parent_instance_);
    return !parent_instance_ || parent_ != nullptr;
  }

  // What the plan has to know of the file systems that are given: what lies at hidden places, and at those that an
  // agent hands down. Found beside the loop, since the owner of a file system can let a look-up take as long as he
  // likes.
  std::vector<Place> PlacesToFind() const {
    std::vector<Place> out;
    std::map<int, std::shared_ptr<const UniqueFd>> kept;
    const auto in = [&](const std::string& path, const std::string& folder, const UniqueFd& fd, bool keep) {
      std::shared_ptr<const UniqueFd>& its = kept[fd.get()];
      if (!its) its = Keep(fd);
      out.push_back(PlaceIn(path, folder, its));
      out.back().keep = keep;
    };
    const auto add = [&](const std::string& path, bool keep = false) {
      if (parent_ != nullptr) {
        if (const Given* g = GrantOf(path); g != nullptr && g->path != path) in(path, g->path, g->fd, keep);
        return;
      }
      int nearest = -1;
      for (int i = 0; i < request_.folders_size(); ++i) {
        const std::string& folder = request_.folders(i).path();
        if (IsBelow(path, folder) && (nearest < 0 || folder.size() > request_.folders(nearest).path().size()))
          nearest = i;
      }
      if (nearest >= 0 && request_.folders(nearest).path() != path)
        in(path, request_.folders(nearest).path(), fds_[3 + static_cast<size_t>(nearest)], keep);
    };
    for (const std::string& path : request_.hide()) add(path);
    if (parent_ == nullptr) return out;
    for (const Hidden& h : parent_->facts().hidden) add(h.path);
    for (const pb::Folder& f : request_.folders()) add(f.path(), /*keep=*/true);
    return out;
  }

  static int64_t Micros(std::chrono::nanoseconds d) {
    return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
  }
  int64_t Elapsed() const { return Micros(host_.clock().Mono() - begun_); }

  // ---- who and what

  Status Check() {
    const Caller& caller = session_->caller();
    if (host_.instances() >= limits::kMaxInstances) return ResourceExhausted("this node runs as many agents as it can");
    if (request_.argv_size() == 0 || request_.argv(0).empty()) return InvalidArgument("no command");
    if (fds_.size() != 3 + static_cast<size_t>(request_.folders_size()))
      return InvalidArgument("one descriptor per folder, after three");
    if (request_.folders_size() > static_cast<int>(limits::kMaxFoldersGiven))
      return ResourceExhausted("too many folders for one agent");
    // Before any of them is looked for.
    if (request_.hide_size() > static_cast<int>(limits::kMaxFoldersHidden))
      return ResourceExhausted("too much is hidden from one agent");
    for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(CheckStdio(fds_[static_cast<size_t>(i)].get()));
    // By the namespaces that the kernel sees it in, never by what it says. One that is in a container of the machine,
    // whatever it calls itself there, is nobody that a launch could be answered for.
    if (!caller.pid_namespaces.empty()) {
      parent_ = host_.FindByPidNamespace(caller.pid_namespaces);
      if (parent_ == nullptr)
        return PermissionDenied("the caller is in a PID namespace that is no agent's of this node");
      RETURN_IF_ERROR(CheckLaunched(caller, parent_->facts().cgroup));
      parent_instance_ = parent_->facts().id;
      if (parent_->quarantined) return PermissionDenied("this agent is quarantined; an operator can release it");
      if (HiddenInAll() > limits::kMaxFoldersHidden)
        return ResourceExhausted("too much is hidden from one agent and from the agent that starts it");
    }
    RETURN_IF_ERROR(Name());
    return Authorise(caller);
  }

  Status Name() {
    const auto parse = [](const char* what, const std::string& text) -> Result<IdSegment> {
      Result<IdSegment> s = IdSegment::Parse(text);
      if (!s.ok()) return s.error().WithContext(what);
      return s;
    };
    std::string tenant = request_.tenant();
    if (tenant.empty())
      tenant = parent_ != nullptr ? parent_->facts().name.tenant.value() : host_.config().tenant.value();
    ASSIGN_OR_RETURN(IdSegment t, parse("tenant", tenant));
    ASSIGN_OR_RETURN(IdSegment a, parse("agent", request_.agent()));
    ASSIGN_OR_RETURN(IdSegment r, parse("role", request_.role().empty() ? "main" : request_.role()));
    name_.emplace(RoleName{std::move(t), std::move(a), std::move(r)});
    return Ok();
  }

  Status Authorise(const Caller& caller) {
    const std::vector<config::Role>& roles = host_.config().roles;
    if (parent_ != nullptr) {
      // Who stands behind a sub-agent is who stands behind its parent.
      caller_uid_ = parent_->facts().caller_uid;
      caller_user_ = parent_->facts().caller_user;
      caller_gids_ = parent_->facts().caller_gids;
      if (!request_.on_behalf_of().empty()) {
        return PermissionDenied("a sub-agent acts for whom its parent acts; --on-behalf-of is for people");
      }
      ASSIGN_OR_RETURN(candidates_, RolesForSubAgent(roles, *name_, parent_->facts().name, parent_->facts().entry.spawn,
                                                     caller_user_));
      return Ok();
    }
    caller_uid_ = caller.uid;
    ASSIGN_OR_RETURN(caller_user_, UserName(caller.uid));
    caller_gids_ = caller.groups;
    // A node that does not run as root has one user's rights to give: that user's.
    if (host_.idmapper() == nullptr && caller.uid != geteuid())
      return PermissionDenied("this node belongs to uid " + std::to_string(geteuid()));
    const bool owner = caller.uid == geteuid() || caller.uid == 0;
    ASSIGN_OR_RETURN(candidates_, RolesFor(roles, *name_, caller_user_, owner));
    return Ok();
  }

  // ---- how

  Status Plan() {
    ASSIGN_OR_RETURN(ids_, host_.IdsOf(name_->tenant));
    // First, so that a process that has to be made now lays its ground while the rest is planned.
    ASSIGN_OR_RETURN(Prepared prepared, TakePrepared());
    id_ = std::move(prepared.id);
    launch_ = std::move(prepared.launch);
    origins_ = std::move(prepared.origins);
    ground_weaker_ = std::move(prepared.weaker);
    times_.ahead = prepared.ahead;
    times_.clone = Micros(prepared.made - prepared.begun);
    plan_ = std::make_unique<ChildPlan>();
    plan_->uid = launch_->ground().uid;
    plan_->gid = launch_->ground().gid;
    plan_->hostname = name_->agent.value().substr(0, kHostnameBytes);
    plan_->umask = static_cast<mode_t>(request_.umask() & 0777);
    plan_->rlimits = LimitsOf(session_->caller().pid);
    PlanEnvironment();
    RETURN_IF_ERROR(PlanFiles());
    for (const std::string& a : request_.argv()) plan_->argv.push_back(a);
    plan_->candidates = Candidates(plan_->argv[0], plan_->working_folder, Variable(plan_->env, "PATH"));
    for (size_t i = 0; i < 3; ++i) {
      plan_->stdio[i] = std::move(fds_[i]);
      plan_->terminal[i] = static_cast<int>(i) < request_.terminal_size() && request_.terminal(static_cast<int>(i));
    }
    return launch_->Begin(std::move(plan_));
  }

  Result<Prepared> TakePrepared() {
    taken_ = true;
    return host_.nursery().Take(name_->tenant);
  }

  void PlanEnvironment() {
    EnvironmentRequest e;
    e.caller.assign(request_.env().begin(), request_.env().end());
    e.keep.assign(request_.keep_env().begin(), request_.keep_env().end());
    const std::string proxy = "http://127.0.0.1:" + std::to_string(kProxyPort);
    for (const char* name : {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}) e.set.emplace_back(name, proxy);
    for (const char* name : {"NO_PROXY", "no_proxy"}) e.set.emplace_back(name, "localhost,127.0.0.1,::1");
    e.set.emplace_back("SPIFFE_ENDPOINT_SOCKET", "unix:///run/hexr/api.sock");
    e.set.emplace_back("HEXR_AGENT", name_->agent.value());
    e.set.emplace_back("HEXR_ROLE", name_->role.value());
    e.set.emplace_back("HEXR_TENANT", name_->tenant.value());
    e.set.emplace_back("HEXR_INSTANCE", id_->value());
    EnvironmentResult r = BuildEnvironment(e);
    plan_->env = std::move(r.variables);
    for (const auto& [name, what] : r.dropped) {
      warnings_.push_back(name + " looks like " + what + " and was not passed on; --keep-env " + name + " passes it");
    }
  }

  Status PlanFiles() {
    FolderRequest r;
    r.working_folder = request_.working_folder();
    for (const std::string& path : request_.hide()) r.hidden.push_back({path, std::nullopt, false});
    if (parent_ != nullptr) Inherit(r);
    r.own = NodePlacesOf(host_.paths());
    r.home = Variable(plan_->env, "HOME");
    r.caller_uid = caller_uid_;
    r.caller_gids = caller_gids_;
    for (int i = 0; i < request_.folders_size(); ++i) {
      const pb::Folder& f = request_.folders(i);
      UniqueFd fd = std::move(fds_[3 + static_cast<size_t>(i)]);
      // Anything but a name of a place could be read and written by whoever gets it.
      if ((fcntl(fd.get(), F_GETFL) & O_PATH) == 0)
        return InvalidArgument(f.path() + ": folders are passed as O_PATH descriptors");
      if (parent_ == nullptr) {
        r.given.push_back({f.path(), std::move(fd), f.writable()});
      } else {
        AddFromParent(f, fd, r);
      }
    }
    if (parent_ != nullptr) AddNarrower(r);
    for (const auto& [path, found] : found_) r.found[path] = found.what;
    std::vector<std::string> writable;
    ASSIGN_OR_RETURN(FolderNotes notes, PlanFolders(r, ids_, host_.idmapper(), *plan_, writable));
    warnings_.insert(warnings_.end(), notes.warnings.begin(), notes.warnings.end());
    weaker_ = ground_weaker_;
    weaker_.insert(weaker_.end(), notes.weaker.begin(), notes.weaker.end());
    hidden_ = std::move(notes.hidden);
    sockets_ = std::move(notes.sockets);
    const int abi = LandlockAbi();
    if (abi == 0) weaker_.push_back("Landlock is missing in this kernel: file access rests on mounts alone");
    PlanLandlock(abi, writable, *plan_);
    folders_ = std::move(r.given);
    for (Given& g : folders_) g.id = FileIdOf(g.fd.get());
    shares_ = host_.Sharing(folders_);
    return Ok();
  }

  // The nearest grant is the one that the parent itself has there.
  const Given* GrantOf(const std::string& path) const {
    const Given* nearest = nullptr;
    for (const Given& each : parent_->facts().folders) {
      if (IsBelow(path, each.path) && (nearest == nullptr || each.path.size() > nearest->path.size())) nearest = &each;
    }
    return nearest;
  }

  // What an agent hands down lies in what it was given itself: found again from there, on the host's side, and compared
  // with what it showed. Its own /tmp and home are its own.
  void AddFromParent(const pb::Folder& f, const UniqueFd& shown, FolderRequest& r) {
    const Given* g = GrantOf(f.path());
    UniqueFd found;
    if (g != nullptr && f.path() == g->path) {
      found = UniqueFd(fcntl(g->fd.get(), F_DUPFD_CLOEXEC, 0));
    } else if (const auto it = found_.find(f.path()); g != nullptr && it != found_.end()) {
      found = UniqueFd(fcntl(it->second.fd.get(), F_DUPFD_CLOEXEC, 0));
    }
    if (const auto is = FileIdOf(found.get()); !is || is != FileIdOf(shown.get())) {
      if (!IsSystemPath(f.path()))
        warnings_.push_back(f.path() + " was not given to the parent: its sub-agent does not see it");
      return;
    }
    r.given.push_back({f.path(), std::move(found), f.writable() && g->writable, g->writable});
    if (f.writable() && !g->writable)
      warnings_.push_back(f.path() + " is read-only for the parent, and so for its sub-agent");
  }

  // What the parent has more narrowly inside of what it hands down comes along as narrow.
  void AddNarrower(FolderRequest& r) const {
    const size_t asked = r.given.size();
    for (const Given& g : parent_->facts().folders) {
      bool named = false, inside = false, writable = false;
      for (size_t i = 0; i < asked; ++i) {
        named |= r.given[i].path == g.path;
        if (!IsBelow(g.path, r.given[i].path)) continue;
        inside = true;
        writable |= r.given[i].writable;
      }
      if (!named && inside)
        r.given.push_back(
            {g.path, UniqueFd(fcntl(g.fd.get(), F_DUPFD_CLOEXEC, 0)), writable && g.writable, g.writable});
    }
  }

  // What is asked for and what comes from the parent, the same place once.
  size_t HiddenInAll() const {
    std::set<std::string_view> paths(request_.hide().begin(), request_.hide().end());
    for (const Hidden& h : parent_->facts().hidden) paths.insert(h.path);
    return paths.size();
  }

  // What is hidden from a parent is hidden from all below it.
  void Inherit(FolderRequest& r) const {
    for (const Hidden& h : parent_->facts().hidden) {
      std::erase_if(r.hidden, [&](const Hidden& own) { return own.path == h.path; });
      r.hidden.push_back({h.path, h.what, true});
    }
  }

  // ---- making

  void Watch() {
    deadline_ = host_.loop().After(kBuildDeadline, [self = shared_from_this()] {
      self->Fail(DeadlineExceeded("the agent's process does not come up"));
    });
    event_watch_ = host_.loop().Watch(launch_->event_fd(), [self = shared_from_this()] { self->Advance(); });
  }

  void Advance() {
    const auto self = shared_from_this();
    const Launch::State state = launch_->Advance();
    if (state == Launch::State::kBuilding) return;
    event_watch_ = runtime::FdWatch();
    if (state == Launch::State::kFailed) return Fail(launch_->failure().error, launch_->failure().exit_code);
    times_.ready = Elapsed();
    TakeTimes();
    for (const std::string& path : launch_->PlainlyBound()) weaker_.push_back(PlainlyBoundNote(path));
    CheckProgram();
  }

  void TakeTimes() {
    const ChildTimes& t = launch_->times();
    const auto between = [](int64_t from, int64_t to) { return Micros(std::chrono::nanoseconds(to - from)); };
    const int64_t begun = std::chrono::nanoseconds(begun_.time_since_epoch()).count();
    times_.listeners = between(t.mapped, t.listening);
    times_.ground = between(t.listening, t.ground);
    times_.mounted = between(begun, t.mounted);
    times_.guard = between(t.ground, t.guarded);
    times_.confined = between(begun, t.confined);
  }

  // Beside the loop: the program may lie in a file system of the caller's. Not one in the machine's own folders, which
  // only root fills.
  void CheckProgram() {
    UniqueFd file = launch_->TakeProgram();
    const std::string exe = PathOf(file.get());
    script_at_ = ScriptArgument(exe, launch_->plan().argv);
    std::vector<Place> scripts = Scripts();
    if (scripts.empty() && IsSystemPath(exe)) return OnSight(LookAt(std::move(file), {}));
    host_.images().files().Run<Sight>(
        party(),
        [program = std::move(file), places = std::move(scripts)]() mutable {
          return LookAt(std::move(program), places);
        },
        [self = shared_from_this()](Result<Sight> s) {
          if (!self->done_) self->OnSight(std::move(s));
        });
  }

  void OnSight(Result<Sight> s) {
    const Status seen = s.ok() ? Seen(std::move(*s)) : Status(s.error());
    if (!seen.ok()) Fail(seen.error());
  }

  Status Seen(Sight s) {
    const std::string& path = launch_->program_path();
    ASSIGN_OR_RETURN(const FileKey key, std::move(s.key));
    ASSIGN_OR_RETURN(entry_, FindByProgram(candidates_, *name_, EffectiveProgram(path, s.head)));
    // The kernel is given this very file, so that its first line says who reads it, whatever follows.
    const bool itself = IsScriptOfTheMachine(s.head);
    if (InterpreterOf(s.head).empty()) {
      script_path_ = s.script.path;
      script_key_ = s.script_key;
    } else {
      s.script = {};
    }
    launched_.emplace(Launched{path, std::move(s.head), key});
    host_.images().MeasureImage(party(), {path, std::move(s.program)}, std::move(s.script),
                                [self = shared_from_this(), itself](Image image) {
                                  if (itself) {
                                    image.script = image.exe;
                                    image.script_sha256 = image.exe_sha256;
                                  }
                                  if (!self->done_) self->Register(std::move(image));
                                });
    return Ok();
  }

  // Who waits for what is done for this launch: an agent for its sub-agents, else a user.
  const std::string& party() const { return session_->party().name; }

  // The script argument, where it lies in a folder that was given: system folders hold no agent's script.
  std::vector<Place> Scripts() const {
    const std::vector<std::string>& argv = launch_->plan().argv;
    std::vector<Place> out;
    if (!script_at_) return out;
    const std::string& script = argv[*script_at_];
    const std::string path = script[0] == '/' ? script : launch_->plan().working_folder + "/" + script;
    for (const Given& g : instance_ ? instance_->facts().folders : folders_) {
      if (path.starts_with(g.path + "/")) out.push_back(PlaceIn(path, g.path, Keep(g.fd)));
    }
    return out;
  }

  void Register(Image image) {
    Result<ExecJournal> journal = ExecJournal::Create();
    if (!journal.ok()) return Fail(journal.error());
    InstanceFacts facts{std::move(*id_), std::move(*name_)};
    facts.parent = parent_instance_;
    facts.caller_uid = caller_uid_;
    facts.caller_user = caller_user_;
    facts.caller_gids = caller_gids_;
    facts.hidden = std::move(hidden_);
    facts.on_behalf_of = std::move(*request_.mutable_on_behalf_of());
    facts.entry = std::move(*entry_);
    facts.image = std::move(image);
    facts.folders = std::move(folders_);
    facts.listeners = launch_->ground().listeners;
    facts.shares = std::move(shares_);
    facts.sockets = std::move(sockets_);
    facts.cgroup = launch_->handles().cgroup.path();
    instance_ = std::make_unique<Instance>(host_.loop(), host_.images(), host_.owners(), host_.links(),
                                           std::move(facts), launch_->Take(), std::move(*journal), /*launching=*/true,
                                           [weak = weak_from_this()](Instance&, int) {
                                             if (const auto self = weak.lock()) self->EndedEarly();
                                           });
    instance_->Register([self = shared_from_this()](Status s) {
      if (self->done_) return;
      if (!s.ok()) return self->Fail(Explained(s.error(), "the keeper"));
      self->times_.registered = self->Elapsed();
      self->Announce();
    });
  }

  void Announce() {
    instance_->Announce([self = shared_from_this()](Status s) {
      if (self->done_) return;
      if (!s.ok()) return self->Fail(Explained(s.error(), "the tenant's gateway"));
      self->times_.announced = self->Elapsed();
      self->Execute();
    });
    // While the gateway takes it in. One that is refused ends, and its end takes it away again.
    if (instance_) instance_->Park();
  }

  static Error Explained(const Error& e, const std::string& who) {
    if (e.code() != ErrorCode::kUnavailable) return e;
    return Unavailable(who + " is not there: " + e.message() + "; try again, or look at `hexr doctor`");
  }

  void Execute() {
    if (session_->gone()) return Fail(Error(ErrorCode::kCancelled, "hexr run has gone"));
    for (const std::string& w : warnings_) {
      pb::ServerMessage m;
      m.mutable_warning()->set_text(w);
      session_->Send(m);
    }
    if (launch_->plan().WantsTerminal() && request_.rows() > 0 && request_.rows() < 65536 &&
        request_.columns() < 65536) {
      winsize size{};
      size.ws_row = static_cast<unsigned short>(request_.rows());
      size.ws_col = static_cast<unsigned short>(request_.columns());
      (void)ioctl(instance_->handles().terminal.get(), TIOCSWINSZ, &size);
    }
    error_watch_ = host_.loop().Watch(launch_->error_fd(), [self = shared_from_this()] { self->Executed(); });
    launch_->Exec();
  }

  void Executed() {
    const auto self = shared_from_this();
    const Launch::State state = launch_->Advance();
    if (state == Launch::State::kExecuting) return;
    if (state == Launch::State::kFailed) return Fail(launch_->failure().error, launch_->failure().exit_code);
    Finish();
    pb::ServerMessage m;
    m.mutable_started()->set_instance(instance_->facts().id.value());
    m.mutable_started()->set_spiffe_id(instance_->facts().spiffe_id);
    for (const std::string& w : weaker_) m.mutable_started()->add_weaker(w);
    m.mutable_started()->set_sockets(instance_->facts().sockets);
    Log(LogLevel::kInfo, "instance.started",
        {{"instance", instance_->facts().id},
         {"spiffe_id", instance_->facts().spiffe_id},
         {"pid", instance_->handles().agent_pid},
         {"exe", instance_->facts().image.exe},
         {"caller", caller_user_},
         {"ahead", times_.ahead},
         {"us_clone", times_.clone},
         {"us_listeners", times_.listeners},
         {"us_ground", times_.ground},
         {"us_guard", times_.guard},
         {"us_planned", times_.planned},
         {"us_mounted", times_.mounted},
         {"us_confined", times_.confined},
         {"us_ready", times_.ready},
         {"us_registered", times_.registered},
         {"us_announced", times_.announced},
         {"us_started", Elapsed()}});
    // The terminal is the caller's from now on: copies here would keep it open when the caller has closed it.
    std::vector<int> fds;
    const UniqueFd terminal = instance_->TakeTerminal();
    if (terminal) fds.push_back(terminal.get());
    session_->Send(m, fds);
    instance_->SetOnEnded(host_.OnEnded());
    instance_->AttachSession(session_);
    const InstanceId id = instance_->facts().id;
    const pid_t pid = instance_->handles().agent_pid;
    std::vector<Place> scripts = script_key_ ? Scripts() : std::vector<Place>();
    host_.Adopt(std::move(instance_));
    CheckRunning(id, pid, std::move(scripts));
  }

  // What ran under its path may not be what was measured there: whoever can rename in its folder had the time to. What
  // lies outside of the machine's folders is executed by descriptor (child.cc) and can only have been written to; a
  // script is opened by its interpreter, by name.
  void CheckRunning(const InstanceId& id, pid_t pid, std::vector<Place> scripts) {
    if (scripts.empty()) {
      const Result<RunningProgram> runs = OpenRunningProgram(pid);
      const Result<FileKey> key = runs.ok() ? FileKeyOf(runs->fd.get(), /*cached=*/true) : runs.error();
      if (key.ok() && *key == launched_->key) return;
    }
    host_.images().files().Run<std::optional<Error>>(
        party(),
        [pid, launched = *launched_, scripts = std::move(scripts), path = script_path_,
         key = script_key_]() -> std::optional<Error> {
          Status s = CheckRuns(pid, launched);
          if (s.ok() && key && !scripts.empty()) s = CheckScript(scripts, path, *key);
          return s.ok() ? std::nullopt : std::optional<Error>(s.error());
        },
        [host = &host_, id](const Result<std::optional<Error>>& found) {
          Instance* instance = host->FindInstance(id);
          // An exec of its own has taken its identity away; what runs since is attested by itself.
          if (instance == nullptr || instance->has_execed() || (found.ok() && !*found)) return;
          const Error& e = found.ok() ? **found : found.error();
          Log(LogLevel::kError, "instance.not_what_was_measured", {{"instance", id}, {"error", e}});
          instance->Expel(e.message());
        });
  }

  void EndedEarly() {
    host_.loop().Post([gone = std::shared_ptr<Instance>(std::move(instance_))] {});  // it is on the stack of this turn
    Fail(Internal("the agent's process ended before its program ran"));
  }

  void Finish() {
    done_ = true;
    session_->Settled();
    if (std::exchange(taken_, false)) host_.nursery().Done();
    deadline_ = runtime::Timer();
    event_watch_ = runtime::FdWatch();
    error_watch_ = runtime::FdWatch();
  }

  void Fail(const Error& e, int exit_code = kRunRefused) {
    if (done_) return;
    const auto self = shared_from_this();
    Finish();
    for (const std::string& w : warnings_) {
      pb::ServerMessage m;
      m.mutable_warning()->set_text(w);
      session_->Send(m);
    }
    session_->Refuse(exit_code, e.message(), request_.agent());
    if (instance_) {
      // Its own end says so to keeper and gateway; it is kept until then.
      instance_->Kill(e.message());
      instance_->SetOnEnded(host_.OnEnded());
      host_.Adopt(std::move(instance_));
    }
    launch_.reset();
  }

  LaunchHost& host_;
  std::shared_ptr<LaunchSession> session_;
  pb::Launch request_;
  std::vector<UniqueFd> fds_;
  Instance* parent_ = nullptr;  // while Prepare runs, not longer: it may end at any time
  std::optional<InstanceId> parent_instance_;
  std::optional<RoleName> name_;
  std::optional<InstanceId> id_;
  uid_t caller_uid_ = 0;
  std::string caller_user_;
  std::vector<gid_t> caller_gids_;
  std::vector<config::Role> candidates_;
  std::optional<config::Role> entry_;
  HostIds ids_;
  std::unique_ptr<ChildPlan> plan_;
  std::unique_ptr<Launch> launch_;
  std::unique_ptr<Instance> instance_;
  std::vector<Given> folders_;
  std::vector<Hidden> hidden_;
  Origins origins_;                     // of what was laid ahead, for whoever gets it where this launch does not
  std::map<std::string, Found> found_;  // what lies at the places that the plan has to know of
  Shares shares_;
  std::string sockets_;
  std::vector<std::string> warnings_, weaker_, ground_weaker_;
  std::optional<Launched> launched_;
  std::optional<size_t> script_at_;  // in argv
  std::string script_path_;
  std::optional<FileKey> script_key_;
  runtime::FdWatch event_watch_, error_watch_;
  runtime::Timer deadline_;
  bool done_ = false, taken_ = false;
  const MonoTime begun_ = host_.clock().Mono();
  // Microseconds. What making the process took, whenever that was: clone3 and the maps; network; first mounts. Then
  // from the request to: the plan handed over; the root entered; under Landlock; standing
  // before its exec; known to the keeper; to the gateway.
  struct {
    bool ahead = false;
    int64_t clone = 0, listeners = 0, ground = 0, guard = 0;
    int64_t planned = 0, mounted = 0, confined = 0, ready = 0, registered = 0, announced = 0;
  } times_;
};

}  // namespace

std::vector<ListenerSpec> StandardListeners(const config::Config& config) {
  std::vector<ListenerSpec> out;
  ListenerSpec proxy;
  proxy.kind = "proxy";
  proxy.address = {127, 0, 0, 1};
  proxy.port = kProxyPort;
  out.push_back(proxy);
  for (const bool v6 : {false, true}) {
    ListenerSpec l;
    l.v6 = v6;
    // Both families of every port: getaddrinfo's users try the IPv6 answer first, and would pay a refused attempt each
    // time.
    for (const uint16_t port : config.egress.ports) {
      l.kind = "capture";
      l.port = port;
      out.push_back(l);
    }
    l.port = kDnsPort;
    l.kind = "dns_tcp";
    out.push_back(l);
    l.kind = "dns_udp";
    l.transport = ListenerSpec::Transport::kUdp;
    out.push_back(l);
  }
  return out;
}

Result<Prepared> PrepareAgent(LaunchHost& host, const IdSegment& tenant) {
  const MonoTime begun = host.clock().Mono();
  ASSIGN_OR_RETURN(const HostIds ids, host.IdsOf(tenant));
  std::array<uint8_t, 10> random{};
  host.random().Fill(random);
  const auto unix_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(host.clock().Wall().time_since_epoch()).count();
  InstanceId id = InstanceId::Make(static_cast<uint64_t>(unix_ms), AsText(random));
  auto ground = std::make_unique<Groundwork>();
  const bool mapped = host.idmapper() != nullptr;
  ground->uid = mapped ? kInnerId : ids.uid;
  ground->gid = mapped ? kInnerId : ids.gid;
  ground->listeners = StandardListeners(host.config());
  ground->filter = BuildAgentFilter(ExecCalls::kNotify);
  ground->filter_flags = static_cast<unsigned>(SECCOMP_FILTER_FLAG_NEW_LISTENER) | kSeccompWaitKillableRecv;
  std::vector<std::string> weaker;
  ASSIGN_OR_RETURN(
      Origins origins,
      PlanGround({host.paths().ApiSocket(), host.paths().LaunchSocket(), ids, host.idmapper()}, *ground, weaker));
  ASSIGN_OR_RETURN(ground->cgroup, host.cgroups().NewLeaf(id, DefaultCgroupLimits()));
  ASSIGN_OR_RETURN(std::unique_ptr<Launch> launch, Launch::Prepare(std::move(ground), ids, host.Reaper()));
  return Prepared{std::move(id),      std::move(launch), begun, host.clock().Mono(), false,
                  std::move(origins), std::move(weaker)};
}

void BeginLaunch(LaunchHost& host, std::shared_ptr<LaunchSession> session, pb::Launch request,
                 std::vector<UniqueFd> fds) {
  std::make_shared<LaunchJob>(host, std::move(session), std::move(request), std::move(fds))->Begin();
}

}  // namespace hexr::spawner
