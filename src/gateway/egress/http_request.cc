#include "gateway/egress/http_request.h"

namespace hexr::gateway {
namespace {

constexpr uint16_t kHttpPort = 80;

Result<HostPort> ToHostPort(const wire::HttpAuthority& authority, uint16_t default_port) {
  return HostPort::Parse(authority.ToString(), default_port);
}

void AddVia(std::vector<wire::HttpField>& fields) { fields.push_back({"Via", "1.1 hexr"}); }

}  // namespace

Result<HttpAsk> ReadProxyRequest(const wire::Http1Request& head) {
  ASSIGN_OR_RETURN(const wire::HttpTarget target, wire::HttpTarget::Parse(head.method, head.target));
  switch (target.form) {
    case wire::HttpTarget::Form::kAuthority: {
      ASSIGN_OR_RETURN(HostPort destination, ToHostPort(target.authority, 0));
      return HttpAsk{true, std::move(destination), {}};
    }
    case wire::HttpTarget::Form::kAbsolute: {
      if (target.scheme != "http") return InvalidArgument("https goes through this proxy by CONNECT");
      ASSIGN_OR_RETURN(HostPort destination, ToHostPort(target.authority, kHttpPort));
      return HttpAsk{false, std::move(destination), target.path};
    }
    case wire::HttpTarget::Form::kOrigin:
    case wire::HttpTarget::Form::kAsterisk: break;
  }
  return InvalidArgument("this is an HTTP proxy: it takes CONNECT host:port and absolute http:// targets");
}

HostPort CapturedDestination(SyntheticNames& names, const Endpoint& destination,
                             const std::optional<HostName>& claimed) {
  if (const HostName* name = names.Find(destination.address)) return {*name, destination.port};
  if (claimed && names.WouldGive(*claimed, destination.address) && names.Assign(*claimed).ok())
    return {*claimed, destination.port};
  return {destination.address, destination.port};
}

Result<HttpAsk> ReadCapturedRequest(const wire::Http1Request& head, const Endpoint& destination,
                                    SyntheticNames& names) {
  ASSIGN_OR_RETURN(const wire::HttpTarget target, wire::HttpTarget::Parse(head.method, head.target));
  if (target.form == wire::HttpTarget::Form::kAuthority)
    return InvalidArgument("this is no proxy: CONNECT is not served here");
  std::string claimed_text;
  if (target.form == wire::HttpTarget::Form::kAbsolute) {
    if (target.scheme != "http") return InvalidArgument("this is no proxy: https is not served here");
    claimed_text = target.authority.ToString();
  } else if (const auto host = wire::OnlyField(head.fields, "host")) {
    claimed_text = *host;
  }
  std::optional<HostPort> claimed;
  if (!claimed_text.empty()) {
    ASSIGN_OR_RETURN(claimed, HostPort::Parse(claimed_text, destination.port));
  }
  const HostName* name = claimed ? claimed->host.name() : nullptr;
  HttpAsk ask{false, CapturedDestination(names, destination, name != nullptr ? std::optional(*name) : std::nullopt),
              target.form == wire::HttpTarget::Form::kAsterisk ? "*" : target.path};
  // An HTTP/1.0 client may leave Host out: then the connection alone says where it goes.
  if (claimed && *claimed != ask.destination) {
    ask.denial = Denial{
        DenialKind::kDenied, "host_mismatch",
        "the Host field names " + claimed->ToString() + ", but the connection goes to " + ask.destination.ToString()};
  }
  return ask;
}

wire::Http1Request ForwardedRequest(const wire::Http1Request& head, const HttpAsk& ask) {
  wire::Http1Request out{head.method, ask.target, 1, head.fields};
  wire::RemoveHopByHop(out.fields);
  wire::RemoveField(out.fields, "host");
  const std::string host =
      ask.destination.port == kHttpPort ? ask.destination.host.ToString() : ask.destination.ToString();
  out.fields.insert(out.fields.begin(), {"Host", host});
  AddVia(out.fields);
  out.fields.push_back({"Connection", "close"});
  return out;
}

wire::Http1Response ForwardedResponse(const wire::Http1Response& head) {
  wire::Http1Response out{head.status, head.reason, 1, head.fields};
  wire::RemoveHopByHop(out.fields);
  AddVia(out.fields);
  return out;
}

}  // namespace hexr::gateway
