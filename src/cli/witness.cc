#include "cli/witness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/limits/ledger.h"
#include "base/random.h"
#include "cli/files.h"
#include "cli/output.h"
#include "config/config.h"
#include "crypto/digest.h"
#include "ledger/storage.h"
#include "ledger/verify.h"
#include "ledger/witness.h"
#include "net/http_server.h"

namespace hexr::cli {
namespace {

constexpr char kKeyFile[] = "witness.key";
constexpr char kVerifierFile[] = "witness.vkey";
constexpr size_t kMaxKeyBytes = 1024;
constexpr size_t kMaxConnections = 256;

// The private key's file: one line "NAME SEED", the seed in base64. Whoever reads it can sign as this witness.
Result<ledger::NoteSigner> ParseKey(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return InvalidArgument("a witness's private key is NAME and seed on one line");
  ASSIGN_OR_RETURN(const Bytes seed, Base64Decode(text.substr(space + 1)));
  ASSIGN_OR_RETURN(crypto::Ed25519PrivateKey key, crypto::Ed25519PrivateKey::FromSeed(crypto::Secret::Copy(seed)));
  return ledger::NoteSigner::Make(text.substr(0, space), ledger::NoteKeyType::kCosignatureV1, std::move(key));
}

Status WriteNew(const std::string& path, std::string_view text, mode_t mode) {
  const runtime::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return ErrnoError(path, errno);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fsync(fd.get()) != 0) {
    return ErrnoError(path, errno);
  }
  return Ok();
}

// --key, or the one in the state's folder, which is made at the first start.
Result<ledger::NoteSigner> OpenKey(const Invocation& in, Random& random) {
  const bool own = !in.Has("--key");
  const std::string path = own ? in.Get("--state") + "/" + kKeyFile : in.Get("--key");
  auto text = ReadFile(path);
  if (!text.ok() && text.error().code() == ErrorCode::kNotFound && own) {
    if (!in.Has("--name")) {
      return InvalidArgument("this witness has no key yet: name it with --name, for example witness.example.org/w1");
    }
    const crypto::Secret seed = crypto::Ed25519PrivateKey::Generate(random).Seed();
    text =
        in.Get("--name") + " " + Base64Encode(seed.Reveal(crypto::RevealToken::For("witness key, to its file"))) + "\n";
    ASSIGN_OR_RETURN(const ledger::NoteSigner made, ParseKey(*text));
    RETURN_IF_ERROR(WriteNew(path, *text, 0600));
    RETURN_IF_ERROR(WriteNew(in.Get("--state") + "/" + kVerifierFile, made.verifier().ToString() + "\n", 0644));
  }
  if (!text.ok()) return InvalidArgument(text.error().message());
  if (text->size() > kMaxKeyBytes) return InvalidArgument(path + " is no witness's key");
  auto signer = ParseKey(*text);
  if (!signer.ok()) return signer.error().WithContext(path);
  if (in.Has("--name") && signer->verifier().name() != in.Get("--name")) {
    return InvalidArgument(path + " is the key of " + signer->verifier().name() + ", not of " + in.Get("--name"));
  }
  return signer;
}

Result<std::vector<ledger::VerifierKey>> ReadLogKeys(const Invocation& in) {
  std::vector<ledger::VerifierKey> logs;
  for (const std::string& file : in.All("--log")) {
    const auto text = ReadFile(file);
    if (!text.ok()) return InvalidArgument("--log " + text.error().message());
    auto keys = ledger::ParseKeyFile(*text);
    if (!keys.ok()) return keys.error().WithContext(file);
    for (ledger::VerifierKey& k : keys->keys) logs.push_back(std::move(k));
  }
  if (logs.empty()) return InvalidArgument("no log is known: name files with their keys with --log");
  return logs;
}

// POST /add-checkpoint, and for auditors GET /{SHA-256 of the origin, hex}/checkpoint.
void Answer(ledger::Witness& witness, const std::map<std::string, std::string>& origins,
            const net::HttpRequest& request, net::HttpResponder& responder) {
  const auto refuse = [&](int status, std::string_view why) {
    responder.Send(status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(why) + "\n");
  };
  if (request.head.target == "/add-checkpoint") {
    if (request.head.method != "POST") return refuse(405, "only POST");
    const ledger::WitnessAnswer answer = witness.AddCheckpoint(request.body);
    return responder.Send(answer.status, {{"Content-Type", answer.content_type}}, answer.body);
  }
  const auto origin = origins.find(request.head.target);
  if (origin == origins.end()) return refuse(404, "not found");
  if (request.head.method != "GET") return refuse(405, "only GET");
  const auto latest = witness.Latest(origin->second);
  if (latest.ok()) return responder.Send(200, {{"Content-Type", "text/plain; charset=utf-8"}}, *latest);
  const bool none = latest.error().code() == ErrorCode::kNotFound;
  refuse(none ? 404 : 500, none ? "nothing of this log was cosigned yet" : "the state of this witness cannot be read");
}

Status Serve(const Invocation& in) {
  ASSIGN_OR_RETURN(const config::ListenAddress listen, config::ListenAddress::Parse(in.Get("--listen")));
  ASSIGN_OR_RETURN(ledger::DirectoryStorage state, ledger::DirectoryStorage::Open(in.Get("--state")));
  SystemRandom random;
  const SystemClock clock;
  ASSIGN_OR_RETURN(const ledger::NoteSigner signer, OpenKey(in, random));
  ASSIGN_OR_RETURN(std::vector<ledger::VerifierKey> logs, ReadLogKeys(in));
  std::map<std::string, std::string> origins;  // by path
  for (const ledger::VerifierKey& log : logs) {
    origins["/" + HexEncode(crypto::Sha256(log.name())) + "/checkpoint"] = log.name();
  }
  ASSIGN_OR_RETURN(ledger::Witness witness, ledger::Witness::Open(state, signer, std::move(logs), clock));
  ASSIGN_OR_RETURN(runtime::UniqueFd socket, net::BindTcp(listen.address, listen.port));

  runtime::Loop loop;
  signal(SIGPIPE, SIG_IGN);
  ASSIGN_OR_RETURN(const auto signals,
                   runtime::SignalWatch::Create(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int) { loop.Stop(); }));
  net::HttpServerOptions options;
  options.max_body_bytes = limits::kMaxAddCheckpointBytes;
  options.max_connections = kMaxConnections;
  const net::HttpServer server(
      loop, std::move(socket),
      [&](net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder) {
        Answer(witness, origins, request, *responder);
      },
      options);
  if (in.output == Output::kJson)
    PrintLine(wire::ToJson(wire::JsonObject{{"key", signer.verifier().ToString()}, {"listen", listen.ToString()}}));
  else
    PrintLine("witness " + signer.verifier().ToString() + " listens on " + listen.ToString());
  std::fflush(stdout);
  loop.Run();
  return Ok();
}

int RunLedgerWitness(const Invocation& in) {
  const Status s = Serve(in);
  return s.ok() ? kYes : Fail(s.error());
}

}  // namespace

std::vector<Command> WitnessCommands() {
  return {
      {"ledger witness",
       "Serve a witness (C2SP tlog-witness) for the logs of others",
       "hexr ledger witness --listen 127.0.0.1:7070 --state w1 --name witness.example.org/w1 --log log.vkey",
       {{"--listen", "ADDRESS", "IP address and port; plain HTTP, for a proxy in front or a private network", "", true},
        {"--state", "FOLDER", "what it remembers; losing it is losing the witness", "", true},
        {"--name", "NAME", "its name, for the key that is made at the first start"},
        {"--key", "FILE", "its private key (STATE/witness.key)"},
        {"--log", "FILE", "keys of logs that it knows", "", true, true}},
       {},
       RunLedgerWitness},
  };
}

}  // namespace hexr::cli
