#include "gateway/egress/dns_door.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits/gateway.h"

namespace hexr::gateway {
namespace {

constexpr int kIpv6Freebind = 78;  // IPV6_FREEBIND, linux/in6.h, which cannot be included beside netinet/in.h
constexpr size_t kMaxUdpQuery = 4096;
constexpr uint16_t kDnsTypePtr = 12;

std::string TypeName(uint16_t type) {
  if (type == wire::kDnsTypeA) return "A";
  if (type == wire::kDnsTypeAaaa) return "AAAA";
  return "TYPE" + std::to_string(type);  // RFC 3597
}

wire::DnsRecord ToRecord(const IpAddress& address) {
  wire::DnsRecord record;
  record.ttl_seconds = limits::kDnsTtlSeconds;
  const ByteView b = address.bytes();
  if (address.v4()) {
    std::array<uint8_t, 4> v4{};
    std::copy(b.begin(), b.end(), v4.begin());
    record.address = v4;
  } else {
    std::array<uint8_t, 16> v6{};
    std::copy(b.begin(), b.end(), v6.begin());
    record.address = v6;
  }
  return record;
}

}  // namespace

DnsResponder::DnsResponder(ConnectionHost& host)
    : host_(host), tokens_(2 * limits::kMaxDnsQueriesPerSecond), refilled_(host.shared().clock.Mono()) {}

void DnsResponder::Refuse(Denial denial, std::string question, std::shared_ptr<ProcessLookup> process) {
  auto call = MakeCall(host_, Door::kDns, Nowhere(), "", std::move(process));
  call->service = Service::kDns;
  call->target = std::move(question);
  RecordRefusal(host_, *call, std::move(denial));
}

// A flood of names is either a mistake or somebody writing into the records; either way it is held to a rate.
bool DnsResponder::TakeToken() {
  const MonoTime now = host_.shared().clock.Mono();
  const double elapsed = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  tokens_ = std::min(2.0 * limits::kMaxDnsQueriesPerSecond, tokens_ + elapsed * limits::kMaxDnsQueriesPerSecond);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void DnsResponder::Respond(ByteView message, size_t max_bytes, std::shared_ptr<ProcessLookup> process, Done done) {
  Metrics& metrics = host_.shared().metrics;
  if (!TakeToken() || pending_.size() >= limits::kMaxDnsQueriesPending) {
    ++metrics.dns_dropped;
    return Refuse({DenialKind::kLimit, "dns_rate", "too many DNS queries"}, "", std::move(process));
  }
  Result<wire::DnsQuery> query = wire::ParseDnsQuery(message);
  if (!query.ok()) {
    ++metrics.dns_dropped;
    Refuse({DenialKind::kMalformed, "dns", query.error().message()}, "", std::move(process));
    const auto code = query.error().code() == ErrorCode::kUnimplemented ? wire::DnsCode::kNotImplemented
                                                                        : wire::DnsCode::kFormatError;
    if (std::optional<Bytes> answer = wire::BuildDnsError(message, code)) done(std::move(*answer));
    return;
  }
  const size_t room = max_bytes != 0 ? max_bytes : query->UdpLimit();
  Result<HostName> name = HostName::Parse(query->name);
  // Reverse look-ups name no destination, and what is no host name cannot be one: neither exists.
  if (!name.ok() || query->type == kDnsTypePtr) {
    ++metrics.dns_refused;
    // As with host names: recorded once. No host name has a space.
    if (recorded_.size() >= limits::kMaxSyntheticNames) recorded_.clear();
    if (std::string text = TypeName(query->type) + " " + query->name; recorded_.emplace(text, false).second)
      Refuse({DenialKind::kDenied, "no_host_name", "this names no host"}, std::move(text), std::move(process));
    return done(wire::BuildDnsAnswer(*query, wire::DnsCode::kNoSuchName, {}, room));
  }
  auto call = MakeCall(host_, Door::kDns, {*name, 0}, TypeName(query->type), std::move(process));
  // Decided anew each time; recorded again only when the answer is another one.
  if (const auto it = recorded_.find(name->value()); it != recorded_.end()) call->recorded_as = it->second;
  const uint64_t key = next_++;
  Pending& pending = pending_[key];
  pending.query = std::move(*query);
  pending.max_bytes = room;
  pending.done = std::move(done);
  pending.ticket = host_.shared().pipeline.Admit(
      std::move(call), [this, key](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
        Decided(key, *c, admitted.has_value());
      });
}

void DnsResponder::Decided(uint64_t key, const Call& call, bool allowed) {
  auto node = pending_.extract(key);
  Pending& p = node.mapped();
  Metrics& metrics = host_.shared().metrics;
  const HostName& name = *call.destination.host.name();
  if (recorded_.size() >= limits::kMaxSyntheticNames) recorded_.clear();
  const bool unrecorded = call.denial && call.denial->kind == DenialKind::kUnavailable;
  if (!unrecorded) recorded_[name.value()] = allowed;
  const auto answer = [&p](wire::DnsCode code, const std::vector<wire::DnsRecord>& records) {
    p.done(wire::BuildDnsAnswer(p.query, code, records, p.max_bytes));
  };
  if (!allowed) {
    ++metrics.dns_refused;
    return answer(unrecorded ? wire::DnsCode::kServerFailure : wire::DnsCode::kNoSuchName, {});
  }
  Result<SyntheticNames::Addresses> addresses = host_.names().Assign(name);
  if (!addresses.ok()) {
    ++metrics.dns_refused;
    return answer(wire::DnsCode::kServerFailure, {});
  }
  ++metrics.dns_answered;
  if (p.query.type == wire::kDnsTypeA) return answer(wire::DnsCode::kNoError, {ToRecord(addresses->v4)});
  if (p.query.type == wire::kDnsTypeAaaa) return answer(wire::DnsCode::kNoError, {ToRecord(addresses->v6)});
  // The name exists and has nothing else: no HTTPS records (and so no ECH keys), no TXT, no MX.
  answer(wire::DnsCode::kNoError, {});
}

// ---- UDP

DnsUdpServer::DnsUdpServer(ConnectionHost& host, DnsResponder& responder, runtime::UniqueFd socket)
    : responder_(responder), socket_(std::make_shared<runtime::UniqueFd>(std::move(socket))) {
  // The address that was asked comes with each query, and answers may leave with it. Whichever family the socket is of,
  // the options of the other one fail, which changes nothing.
  const int on = 1;
  setsockopt(socket_->get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  setsockopt(socket_->get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  setsockopt(socket_->get(), IPPROTO_IPV6, kIpv6Freebind, &on, sizeof on);
  watch_ = host.shared().loop.Watch(socket_->get(), [this] { Readable(); });
}

namespace {

// What a datagram came with, kept to answer it: who asked, and by which address.
struct Datagram {
  sockaddr_storage from{};
  socklen_t from_size = sizeof from;
  alignas(cmsghdr) std::array<char, 128> control{};
  size_t control_size = 0;
};

// The control message of the answer: the address that was asked as source, on whichever interface.
void KeepPacketInfo(msghdr& m, Datagram& d) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      info.ipi_ifindex = 0;
      info.ipi_spec_dst = info.ipi_addr;
      std::memcpy(CMSG_DATA(c), &info, sizeof info);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      info.ipi6_ifindex = 0;
      std::memcpy(CMSG_DATA(c), &info, sizeof info);
    }
  }
  d.control_size = m.msg_controllen;
}

}  // namespace

void DnsUdpServer::Readable() {
  for (int i = 0; i < 32; ++i) {
    Datagram received;
    std::array<uint8_t, kMaxUdpQuery> buffer;
    iovec io{buffer.data(), buffer.size()};
    msghdr m{};
    m.msg_name = &received.from;
    m.msg_namelen = received.from_size;
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = received.control.data();
    m.msg_controllen = received.control.size();
    const ssize_t n = recvmsg(socket_->get(), &m, MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if ((m.msg_flags & MSG_TRUNC) != 0) continue;  // no query is that long
    received.from_size = m.msg_namelen;
    KeepPacketInfo(m, received);
    auto d = std::make_shared<Datagram>(received);
    responder_.Respond(ByteView(buffer.data(), static_cast<size_t>(n)), 0, nullptr,
                       [socket = std::weak_ptr<runtime::UniqueFd>(socket_), d](const Bytes& answer) {
                         const auto s = socket.lock();
                         if (!s) return;
                         iovec out{const_cast<uint8_t*>(answer.data()), answer.size()};
                         msghdr reply{};
                         reply.msg_name = &d->from;
                         reply.msg_namelen = d->from_size;
                         reply.msg_iov = &out;
                         reply.msg_iovlen = 1;
                         reply.msg_control = d->control_size > 0 ? d->control.data() : nullptr;
                         reply.msg_controllen = d->control_size;
                         sendmsg(s->get(), &reply, MSG_DONTWAIT | MSG_NOSIGNAL);  // a lost answer is asked for again
                       });
  }
}

// ---- TCP

DnsTcpConnection::DnsTcpConnection(ConnectionHost& host, DnsResponder& responder, Accepted accepted)
    : host_(host), responder_(responder), process_(std::move(accepted.process)) {
  stream_ =
      std::make_shared<net::Connection>(host.shared().loop, std::move(accepted.socket),
                                        net::Connection::Handlers{.on_data = [this](ByteView data) { OnData(data); },
                                                                  .on_end = [this] { End(); },
                                                                  .on_error = [this](const Error&) { End(); }});
  ArmIdle();
}

void DnsTcpConnection::ArmIdle() {
  idle_ = host_.shared().loop.After(host_.shared().deadlines.dns_idle, [this] { End(); });
}

void DnsTcpConnection::OnData(ByteView data) {
  ArmIdle();
  reader_.Append(data);
  for (;;) {
    const Result<std::optional<Bytes>> message = reader_.Next();
    if (!message.ok()) return End();
    if (!message->has_value()) return;
    responder_.Respond(**message, UINT16_MAX, process_,
                       [stream = std::weak_ptr<net::Connection>(stream_)](const Bytes& answer) {
                         if (const auto s = stream.lock()) s->Write(wire::DnsStreamFrame(answer));
                       });
  }
}

void DnsTcpConnection::End() {
  stream_->Close();
  host_.Ended(*this);
}

void DnsTcpConnection::Cut() {
  idle_.Cancel();
  stream_->Reset();
}

}  // namespace hexr::gateway
