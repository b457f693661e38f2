#include "cli/ledger.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/decimal.h"
#include "cli/admin_client.h"
#include "cli/admin_print.h"
#include "cli/files.h"
#include "cli/node.h"
#include "cli/output.h"
#include "ledger/ledger.h"
#include "ledger/log_reader.h"
#include "ledger/prove.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"
#include "runtime/unique_fd.h"

namespace hexr::cli {
namespace {

constexpr uint64_t kFollowRecords = 256;  // at a time

struct OpenLog {
  std::string folder;
  ledger::DirectoryStorage storage;
  ledger::VerifierKey key;
  std::string_view key_from;  // "argument", "beside" the log, "node"
};

Result<ledger::VerifierKey> OneKey(const std::string& text, const std::string& file) {
  ASSIGN_OR_RETURN(ledger::KeyFile keys, ledger::ParseKeyFile(text));
  if (keys.keys.empty()) return InvalidArgument(file + " holds no key");
  return keys.keys.front();
}

std::string NameOf(const std::string& tenant) { return tenant.empty() ? "the node" : "tenant '" + tenant + "'"; }

// The tenant whose log is meant; "" is the node. The file is read and no node is asked: one that is down, or a restored
// one, has its logs all the same.
Result<std::string> WhoseLog(const Invocation& in) {
  if (in.Has("--tenant") && in.Has("--node")) return InvalidArgument("give either --tenant or --node");
  if (in.Has("--node")) return std::string();
  if (in.Has("--tenant")) {
    const auto tenant = IdSegment::Parse(in.Get("--tenant"));
    if (!tenant.ok()) return tenant.error().WithContext("--tenant");
    return tenant->value();
  }
  const auto config = LoadConfig(in.paths.config_file);
  if (!config.ok()) return config.error().WithContext("name a log with --tenant, --node or --log");
  return config->tenant.value();
}

// The key of a log of this node, from the node itself: it is the authority on it.
Result<ledger::VerifierKey> KeyFromNode(const Invocation& in, const std::string& tenant) {
  ASSIGN_OR_RETURN(const AdminReply reply, Admin(in.paths, "ledger.logs", {}));
  if (const wire::JsonArray* logs = reply.json.FindArray("logs")) {
    for (const wire::Json& log : *logs) {
      if (Text(log, "tenant") == tenant) return ledger::VerifierKey::Parse(Text(log, "key"));
    }
  }
  return NotFound("this node has no log of " + NameOf(tenant) + "; see `hexr ledger list`");
}

// --log and --key, or this node's log that --tenant and --node name. INVALID_ARGUMENT: there is no such log.
Result<OpenLog> Open(const Invocation& in) {
  const bool own = !in.Has("--log");
  std::string tenant, folder = in.Get("--log");
  if (own) {
    ASSIGN_OR_RETURN(tenant, WhoseLog(in));
    folder = ledger::Ledger::LogFolder(in.paths.state_dir + "/ledger", tenant);
  } else if (in.Has("--tenant") || in.Has("--node")) {
    return InvalidArgument("--log names a log already: leave out --tenant and --node");
  }
  // What is not there is a mistake in the arguments: nobody is to take it for a log that was tampered with.
  auto opened = ledger::DirectoryStorage::OpenReadOnly(folder);
  if (!opened.ok() && own && opened.error().code() == ErrorCode::kNotFound)
    return InvalidArgument("there is no log of " + NameOf(tenant) + " here; see `hexr ledger list`");
  if (!opened.ok()) return InvalidArgument(opened.error().message());
  ledger::DirectoryStorage storage = std::move(opened).value();
  if (in.Has("--key")) {
    ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(in.Get("--key")));
    ASSIGN_OR_RETURN(ledger::VerifierKey key, OneKey(text, in.Get("--key")));
    return OpenLog{folder, std::move(storage), std::move(key), "argument"};
  }
  const auto beside = ReadNamedFile(folder + "/" + ledger::kKeyPath);
  if (beside.ok()) {
    ASSIGN_OR_RETURN(ledger::VerifierKey key, OneKey(*beside, ledger::kKeyPath));
    return OpenLog{folder, std::move(storage), std::move(key), "beside"};
  }
  if (!own) return InvalidArgument(folder + " has no " + ledger::kKeyPath + "; name the log's key with --key FILE");
  ASSIGN_OR_RETURN(ledger::VerifierKey key, KeyFromNode(in, tenant));
  return OpenLog{folder, std::move(storage), std::move(key), "node"};
}

struct Witnesses {
  std::vector<ledger::VerifierKey> keys;
  std::vector<std::string> seen;
};

Result<Witnesses> ReadWitnesses(const Invocation& in) {
  Witnesses out;
  for (const std::string& file : in.All("--witness")) {
    ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(file));
    auto keys = ledger::ParseKeyFile(text);
    if (!keys.ok()) return keys.error().WithContext(file);
    for (auto& k : keys->keys) out.keys.push_back(std::move(k));
    for (auto& c : keys->checkpoints) out.seen.push_back(std::move(c));
  }
  return out;
}

// What one `prove` printed, with the keys alone: no log and no node, unless the key is to come from one.
Result<ledger::ProvenRecord> CheckProof(const Invocation& in, const std::vector<ledger::VerifierKey>& witnesses) {
  ASSIGN_OR_RETURN(const std::string proof, ReadNamedFile(in.Get("--proof")));
  if (!in.Has("--key")) {
    ASSIGN_OR_RETURN(const OpenLog log, Open(in));
    return ledger::VerifyProof(proof, log.key, witnesses, witnesses.size());
  }
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(in.Get("--key")));
  ASSIGN_OR_RETURN(const ledger::VerifierKey key, OneKey(text, in.Get("--key")));
  return ledger::VerifyProof(proof, key, witnesses, witnesses.size());
}

Result<uint64_t> Number(const Invocation& in, const char* name) {
  const auto n = ParseDecimal<uint64_t>(in.Get(name));
  if (!n) return InvalidArgument(std::string(name) + ": a number is expected, not '" + in.Get(name) + "'");
  return *n;
}

// A record that is not there is an answer, and not a mistake.
int FailOf(const Error& error) {
  return Fail(error.code() == ErrorCode::kOutOfRange ? NotFound(error.message() + ", numbered from 0") : error);
}

void PrintRecord(const Invocation& in, const ledger::Record& r) {
  const auto json = wire::ParseJson(r.ToJson());
  if (in.output == Output::kJson || !json.ok()) return PrintLine(r.ToJson());
  const wire::Json* body = json->Find("body");
  PrintLine(Text(*json, "seq") + "  " + Text(*json, "time") + "  " + Paint(Colour::kBold, Text(*json, "kind")) + "  " +
            Text(*json, "spiffe_id") + "  " + (body != nullptr ? wire::ToJson(*body) : ""));
}

int RunLedgerList(const Invocation& in) {
  const auto r = Admin(in.paths, "ledger.logs", {});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* logs = r->json.FindArray("logs")) {
    for (const wire::Json& log : *logs) {
      std::string witnessed, trouble;
      if (const wire::JsonArray* witnesses = log.FindArray("witnesses")) {
        for (const wire::Json& w : *witnesses) {
          witnessed += (witnessed.empty() ? "" : " ") + Text(w, "name") + ":" + Text(w, "records");
          if (!Text(w, "error").empty()) trouble += (trouble.empty() ? "" : "; ") + Text(w, "error");
        }
      }
      const std::string tenant = Text(log, "tenant");
      rows.push_back({tenant.empty() ? "(node)" : tenant, Text(log, "records"), witnessed, Paint(Colour::kRed, trouble),
                      Text(log, "key")});
    }
  }
  PrintTable({"TENANT", "RECORDS", "WITNESSED", "ERROR", "KEY"}, rows);
  return kYes;
}

// The number of the first of the last `count` records.
Result<uint64_t> FirstOf(const OpenLog& log, uint64_t count) {
  ASSIGN_OR_RETURN(const ledger::VerifiedCheckpoint head, ledger::ReadCheckpoint(log.storage, log.key));
  const uint64_t size = head.checkpoint().size;
  return size > count ? size - count : 0;
}

// Every record that is in the log from then on, as soon as a checkpoint is over it: until somebody ends us.
Status Follow(const Invocation& in, const OpenLog& log, uint64_t count) {
  const runtime::UniqueFd watch(inotify_init1(IN_CLOEXEC));
  if (!watch || inotify_add_watch(watch.get(), log.folder.c_str(), IN_MOVED_TO | IN_ONLYDIR | IN_DELETE_SELF) < 0)
    return ErrnoError("watch " + log.folder, errno);
  ASSIGN_OR_RETURN(uint64_t next, FirstOf(log, count));
  for (;;) {
    ASSIGN_OR_RETURN(const ledger::VerifiedCheckpoint head, ledger::ReadCheckpoint(log.storage, log.key));
    while (next < head.checkpoint().size) {
      ASSIGN_OR_RETURN(const auto records, ledger::ReadRecords(log.storage, log.key, next, kFollowRecords));
      if (records.empty()) break;
      for (const ledger::Record& r : records) PrintRecord(in, r);
      next += records.size();
    }
    if (std::fflush(stdout) != 0) return ErrnoError("stdout", errno);
    alignas(inotify_event) char events[4096];
    if (read(watch.get(), events, sizeof events) < 0 && errno != EINTR) return ErrnoError("watch " + log.folder, errno);
  }
}

int RunLedgerTail(const Invocation& in) {
  const auto count = Number(in, "-n");
  if (!count.ok()) return Fail(count.error());
  const auto log = Open(in);
  if (!log.ok()) return Fail(log.error());
  if (in.Has("--follow")) {
    const Status s = Follow(in, *log, *count);
    return s.ok() ? kYes : Fail(s.error());
  }
  const auto from = FirstOf(*log, *count);
  if (!from.ok()) return Fail(from.error());
  const auto records = ledger::ReadRecords(log->storage, log->key, *from, *count);
  if (!records.ok()) return Fail(records.error());
  for (const ledger::Record& r : *records) PrintRecord(in, r);
  return kYes;
}

int RunLedgerShow(const Invocation& in) {
  const auto n = Number(in, "N");
  if (!n.ok()) return Fail(n.error());
  const auto log = Open(in);
  if (!log.ok()) return Fail(log.error());
  const auto record = ledger::ReadRecord(log->storage, log->key, *n);
  if (!record.ok()) return FailOf(record.error());
  const auto json = wire::ParseJson(record->ToJson());
  if (!json.ok()) return Fail(json.error());
  PrintJson(*json);
  return kYes;
}

int VerifyOneProof(const Invocation& in, const std::vector<ledger::VerifierKey>& witnesses) {
  const auto proven = CheckProof(in, witnesses);
  if (!proven.ok() && proven.error().code() == ErrorCode::kDataLoss) {  // an answer, and not a fault of ours
    PrintError(proven.error());
    return kNo;
  }
  if (!proven.ok()) return Fail(proven.error());
  if (in.output == Output::kJson) {
    const auto record = wire::ParseJson(proven->record.ToJson());
    if (!record.ok()) return Fail(record.error());
    wire::JsonArray names;
    for (const std::string& name : proven->witnesses) names.push_back(name);
    PrintJson(wire::JsonObject{{"origin", proven->checkpoint.origin},
                               {"records", proven->checkpoint.size},
                               {"witnesses", std::move(names)},
                               {"record", *record}});
    return kYes;
  }
  PrintRecord(in, proven->record);
  PrintLine("is in the log " + proven->checkpoint.origin + " of " + std::to_string(proven->checkpoint.size) +
            " records, cosigned by " + std::to_string(proven->witnesses.size()) + " witnesses");
  return kYes;
}

int RunLedgerVerify(const Invocation& in) {
  auto witnesses = ReadWitnesses(in);
  if (!witnesses.ok()) return Fail(witnesses.error());
  if (in.Has("--proof")) return VerifyOneProof(in, witnesses->keys);
  const auto log = Open(in);
  if (!log.ok()) return Fail(log.error());
  const ledger::VerifyOptions options{
      .log_key = log->key, .witnesses = std::move(witnesses->keys), .seen = std::move(witnesses->seen)};
  const auto report = ledger::VerifyLog(log->storage, options);
  if (!report.ok()) return Fail(report.error());
  // Whoever writes a log anew under a key of his own puts that key beside it.
  if (log->key_from == "beside" && in.Has("--log"))
    PrintError("the key is the one beside the log, " + log->key.ToString() +
               ": whether it is that of the log you mean is yours to know; --key FILE names one from elsewhere");
  if (in.output == Output::kJson) {
    auto json = wire::ParseJson(ledger::ToJson(*report));
    if (!json.ok()) return Fail(json.error());
    json->as_object()->Set("key", log->key.ToString());
    json->as_object()->Set("key_from", std::string(log->key_from));
    PrintJson(*json);
  } else {
    for (const ledger::Problem& p : report->problems) PrintLine(Paint(Colour::kRed, p.code) + "  " + p.message);
    PrintLine(report->origin + ": " + std::to_string(report->records) + " records, " +
              std::to_string(report->checkpoints) + " checkpoints, " + std::to_string(report->problems_total) +
              " problems");
  }
  return report->problems_total == 0 ? kYes : kNo;
}

int RunLedgerProve(const Invocation& in) {
  const auto n = Number(in, "N");
  if (!n.ok()) return Fail(n.error());
  const auto log = Open(in);
  if (!log.ok()) return Fail(log.error());
  const auto proof = ledger::Prove(log->storage, log->key, *n);
  if (!proof.ok()) return FailOf(proof.error());
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"record", *n}, {"proof", *proof}, {"key", log->key.ToString()}});
  else
    std::fputs(proof->c_str(), stdout);
  return kYes;
}

int RunLedgerExport(const Invocation& in) {
  const auto log = Open(in);
  if (!log.ok()) return Fail(log.error());
  const std::string folder = in.Get("--output-dir");
  std::error_code e;
  if (std::filesystem::exists(folder, e) && !std::filesystem::is_empty(folder, e)) {
    return Fail(AlreadyExists(folder + " is not empty; name a new folder"));
  }
  auto to = ledger::DirectoryStorage::Open(folder);
  if (!to.ok()) return Fail(to.error());
  if (const Status s = ledger::Export(log->storage, log->key, *to); !s.ok()) return Fail(s.error());
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"folder", folder}, {"key", log->key.ToString()}});
  else
    PrintLine("exported to " + folder + "; check it with: hexr ledger verify --log " + folder +
              " --key FILE, where FILE holds " + log->key.ToString());
  return kYes;
}

int RunLedgerErase(const Invocation& in) {
  if (in.Has("--instance") + in.Has("--before") + in.Has("--sha256") != 1) {
    PrintError("say which texts: one of --instance ID, --before TIME and --sha256 DIGEST");
    return kUsage;
  }
  const auto tenant = WhoseLog(in);
  if (!tenant.ok()) return Fail(tenant.error());
  const auto r = Admin(in.paths, "ledger.erase",
                       {{"tenant", *tenant},
                        {"instance", in.Get("--instance")},
                        {"before", in.Get("--before")},
                        {"sha256", in.Get("--sha256")}});
  if (!r.ok()) return Fail(r.error());
  return PrintDone(in, r, "erased " + Text(r->json, "texts") + " texts; the log says so and stays valid");
}

std::vector<Flag> WhichLog(std::vector<Flag> flags) {
  flags.push_back({"--tenant", "TENANT", "a tenant's log (the node's own tenant)"});
  flags.push_back({"--node", "", "the node's log, of what is no tenant's"});
  flags.push_back({"--log", "FOLDER", "a copied log"});
  flags.push_back({"--key", "FILE", "the log's key"});
  return flags;
}

}  // namespace

std::vector<Command> LedgerCommands() {
  return {
      {"ledger list",
       "List the node's logs, their keys and how far they are witnessed",
       "hexr ledger list",
       {},
       {},
       RunLedgerList},
      {"ledger tail",
       "Print the last records of a log",
       "hexr ledger tail -n 20",
       WhichLog({{"-n", "N", "how many", "10"}, {"-f,--follow", "", "go on with those that come, until Ctrl-C"}}),
       {},
       RunLedgerTail,
       false,
       true},
      {"ledger show",
       "Print one record, checked against the signed checkpoint",
       "hexr ledger show 17",
       WhichLog({}),
       {{"N", "the record's number"}},
       RunLedgerShow,
       false,
       true},
      {"ledger verify",
       "Check a whole log from its files alone, or the proof of one record",
       "hexr ledger verify --log copy --key log.vkey --witness witness.vkey\n"
       "  hexr ledger verify --proof proof --key log.vkey",
       WhichLog({{"--witness", "FILE", "a witness's key, and checkpoints it has seen", "", false, true},
                 {"--proof", "FILE", "what `prove` printed: needs no log, and every witness has to have cosigned it"}}),
       {},
       RunLedgerVerify,
       false,
       true},
      {"ledger prove",
       "Print a proof that a record is in the log",
       "hexr ledger prove 17 > proof",
       WhichLog({}),
       {{"N", "the record's number"}},
       RunLedgerProve,
       false,
       true},
      {"ledger export",
       "Copy a log with all that `verify` needs",
       "hexr ledger export --output-dir copy",
       WhichLog({{"--output-dir", "FOLDER", "a new folder", "", true}}),
       {},
       RunLedgerExport,
       false,
       true},
      {"ledger erase",
       "Erase texts behind records; the log stays valid and says that they were erased",
       "hexr ledger erase --before 2026-01-01T00:00:00Z",
       {{"--tenant", "TENANT", "a tenant's log (the node's own tenant)"},
        {"--node", "", "the node's log, of what is no tenant's"},
        {"--instance", "INSTANCE", "all texts of one instance"},
        {"--before", "TIME", "all texts before a time (RFC 3339)"},
        {"--sha256", "DIGEST", "the text of one digest of a record"}},
       {},
       RunLedgerErase,
       false,
       true},
  };
}

}  // namespace hexr::cli
