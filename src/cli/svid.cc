#include "cli/svid.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "cli/files.h"
#include "cli/output.h"
#include "cli/workload_client.h"
#include "crypto/pem.h"
#include "crypto/svid.h"
#include "crypto/x509.h"
#include "identity/bundle.h"
#include "spiffe/workload.pb.h"

namespace hexr::cli {
namespace {

std::string Endpoint(const Invocation& in) {
  if (in.Has("--socket")) return in.Get("--socket");
  // Inside an agent the variable names the socket that was bound in; outside it is the node's own.
  const char* variable = std::getenv("SPIFFE_ENDPOINT_SOCKET");
  return variable != nullptr ? variable : in.paths.ApiSocket();
}

Result<wire::Json> Describe(const X509SVID& svid) {
  ASSIGN_OR_RETURN(const auto chain, crypto::Certificate::ParseChain(AsBytes(svid.x509_svid())));
  if (chain.empty()) return DataLoss("the node sent an empty chain");
  wire::JsonObject o{{"spiffe_id", svid.spiffe_id()},
                     {"serial", HexEncode(chain.front().serial())},
                     {"not_before", FormatRfc3339(chain.front().not_before(), 0)},
                     {"not_after", FormatRfc3339(chain.front().not_after(), 0)},
                     {"certificates", chain.size()}};
  if (!svid.hint().empty()) o.Set("hint", svid.hint());
  return wire::Json(std::move(o));
}

Status WriteFile(const std::string& path, std::string_view text, mode_t mode) {
  // A new file each time: whoever holds the old one open keeps the old content, whole.
  const std::string fresh = path + ".new";
  (void)unlink(fresh.c_str());
  const runtime::UniqueFd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return ErrnoError(fresh, errno);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return ErrnoError(fresh, errno);
  if (rename(fresh.c_str(), path.c_str()) != 0) return ErrnoError(path, errno);
  return Ok();
}

Status WriteSvid(const std::string& folder, const X509SVID& svid) {
  ASSIGN_OR_RETURN(const auto chain, crypto::Certificate::ParseChain(AsBytes(svid.x509_svid())));
  std::string pem;
  for (const auto& c : chain) pem += c.ToPem();
  ASSIGN_OR_RETURN(const auto authorities, crypto::Certificate::ParseChain(AsBytes(svid.bundle())));
  std::string bundle;
  for (const auto& c : authorities) bundle += c.ToPem();
  RETURN_IF_ERROR(
      WriteFile(folder + "/svid_key.pem", crypto::PemEncode("PRIVATE KEY", AsBytes(svid.x509_svid_key())), 0600));
  RETURN_IF_ERROR(WriteFile(folder + "/svid.pem", pem, 0644));
  return WriteFile(folder + "/bundle.pem", bundle, 0644);
}

void PrintSvid(const wire::Json& d) {
  PrintFields(
      {{"SPIFFE ID", Text(d, "spiffe_id")}, {"Serial", Text(d, "serial")}, {"Valid until", Text(d, "not_after")}});
}

// Where --write names no folder that is there; an SVID that is on its way already would be lost with it.
Status CheckWritable(const Invocation& in) {
  std::error_code e;
  if (!in.Has("--write") || std::filesystem::is_directory(in.Get("--write"), e)) return Ok();
  return InvalidArgument("--write " + in.Get("--write") + ": no such folder");
}

// One response: print it, write it. False when something went wrong, which is told.
bool Show(const Invocation& in, ByteView message, bool last) {
  X509SVIDResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    PrintError("the node sent something else than SVIDs");
    return false;
  }
  wire::JsonArray all;
  for (const X509SVID& svid : response.svids()) {
    auto d = Describe(svid);
    if (!d.ok()) {
      PrintError(d.error());
      return false;
    }
    if (in.output == Output::kText) PrintSvid(*d);
    all.push_back(std::move(*d));
  }
  if (in.Has("--write") && response.svids_size() > 0) {
    if (const Status s = WriteSvid(in.Get("--write"), response.svids(0)); !s.ok()) {
      PrintError(s.error());
      return false;
    }
  }
  if (in.output == Output::kJson) {
    wire::JsonArray federated;
    std::vector<std::string> names;
    for (const auto& [td, bundle] : response.federated_bundles()) names.push_back(td);
    std::ranges::sort(names);
    for (std::string& td : names) federated.push_back(std::move(td));
    const wire::Json document =
        wire::JsonObject{{"svids", std::move(all)}, {"federated_bundles", std::move(federated)}};
    if (last)
      PrintJson(document);
    else
      PrintLine(wire::ToJson(document));  // a stream: one document a line
  }
  std::fflush(stdout);
  return true;
}

// A call on a connection of its own. A process whose image is still being attested, such as one that has just started,
// is told to ask again (UNAVAILABLE), and does, for a second or two.
Status Ask(const Invocation& in, const std::string& method, const google::protobuf::MessageLite& request,
           UniqueFunction<bool(ByteView)> each) {
  bool told = false;
  for (std::chrono::milliseconds pause(5);; pause *= 2) {
    ASSIGN_OR_RETURN(WorkloadClient client, WorkloadClient::Connect(Endpoint(in)));
    Status s = client.Call(method, request, [&](ByteView message) {
      told = true;
      return each(message);
    });
    if (s.ok() || told || s.error().code() != ErrorCode::kUnavailable || pause > std::chrono::seconds(1)) return s;
    (void)poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

int FetchX509(const Invocation& in, bool watch) {
  bool good = true;
  const Status s = Ask(in, "FetchX509SVID", X509SVIDRequest(), [&](ByteView message) {
    good = Show(in, message, !watch);
    return good && watch;
  });
  if (!s.ok()) return Fail(s.error());
  return good ? kYes : kFault;
}

int FetchJwt(const Invocation& in) {
  JWTSVIDRequest request;
  for (const std::string& a : in.All("--audience")) request.add_audience(a);
  JWTSVIDResponse response;
  const Status s = Ask(in, "FetchJWTSVID", request, [&](ByteView message) {
    return response.ParseFromArray(message.data(), static_cast<int>(message.size()));
  });
  if (!s.ok()) return Fail(s.error());
  wire::JsonArray all;
  for (const JWTSVID& svid : response.svids()) {
    if (in.output == Output::kText) PrintLine(svid.svid());
    all.push_back(wire::JsonObject{{"spiffe_id", svid.spiffe_id()}, {"svid", svid.svid()}});
  }
  if (in.output == Output::kJson) PrintJson(wire::JsonObject{{"svids", std::move(all)}});
  return kYes;
}

// A bundle file: PEM certificates, or a SPIFFE bundle document.
Result<crypto::X509Bundle> ReadBundle(const std::string& path, const TrustDomain& td) {
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(path));
  if (text.find("-----BEGIN") != std::string::npos) {
    ASSIGN_OR_RETURN(auto authorities, crypto::Certificate::ParsePemChain(text));
    return crypto::X509Bundle::Create(td, std::move(authorities));
  }
  ASSIGN_OR_RETURN(identity::TrustBundle bundle, identity::TrustBundle::Parse(td, text));
  return crypto::X509Bundle::Create(td, std::move(bundle.x509_authorities));
}

Result<crypto::VerifiedSvid> Verify(const Invocation& in) {
  ASSIGN_OR_RETURN(const std::string pem, ReadNamedFile(in.Get("FILE")));
  ASSIGN_OR_RETURN(const auto chain, crypto::Certificate::ParsePemChain(pem));
  if (chain.empty()) return InvalidArgument(in.Get("FILE") + " holds no certificate");
  ASSIGN_OR_RETURN(const SpiffeId id, crypto::CheckSvidLeaf(chain.front()));
  ASSIGN_OR_RETURN(crypto::X509Bundle bundle, ReadBundle(in.Get("--bundle"), id.trust_domain()));
  crypto::X509BundleSet bundles;
  bundles.Set(std::move(bundle));
  return crypto::VerifySvid(chain, bundles, SystemClock().Wall());
}

int RunSvidFetch(const Invocation& in) {
  if (const Status s = CheckWritable(in); !s.ok()) return Fail(s.error());
  return in.Has("--audience") ? FetchJwt(in) : FetchX509(in, false);
}
int RunSvidWatch(const Invocation& in) {
  if (const Status s = CheckWritable(in); !s.ok()) return Fail(s.error());
  return FetchX509(in, true);
}

int RunSvidVerify(const Invocation& in) {
  const auto r = Verify(in);
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(wire::JsonObject{{"spiffe_id", r->id().ToString()}, {"not_after", FormatRfc3339(r->not_after(), 0)}});
  } else {
    PrintLine(r->id().ToString() + ", valid until " + FormatRfc3339(r->not_after(), 0));
  }
  return kYes;
}

}  // namespace

std::vector<Command> SvidCommands() {
  return {
      {"svid fetch",
       "Fetch this process's SVID from the Workload API",
       "hexr svid fetch --write .",
       {{"--socket", "ADDRESS", "unix:///path ($SPIFFE_ENDPOINT_SOCKET, or the node's own)"},
        {"--audience", "AUDIENCE", "fetch a JWT-SVID for this audience instead", "", false, true},
        {"--write", "FOLDER", "write svid.pem, svid_key.pem and bundle.pem here"}},
       {},
       RunSvidFetch},
      {"svid watch",
       "Print every SVID that is pushed, until identity ends",
       "hexr svid watch --output json",
       {{"--socket", "ADDRESS", "unix:///path ($SPIFFE_ENDPOINT_SOCKET, or the node's own)"},
        {"--write", "FOLDER", "write svid.pem, svid_key.pem and bundle.pem here, anew each time"}},
       {},
       RunSvidWatch},
      {"svid verify",
       "Verify an SVID file against a trust bundle, without a node",
       "hexr svid verify svid.pem --bundle bundle.pem",
       {{"--bundle", "FILE", "PEM certificates or a SPIFFE bundle document", "", true}},
       {{"FILE", "PEM certificates, leaf first"}},
       RunSvidVerify},
  };
}

}  // namespace hexr::cli
