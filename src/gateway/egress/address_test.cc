#include "gateway/egress/address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/host.h"

namespace hexr::gateway {
namespace {

IpAddress Ip(std::string_view text) {
  Result<IpAddress> a = IpAddress::Parse(text);
  EXPECT_TRUE(a.ok()) << text;
  return *a;
}

AddressPolicy Opening(std::initializer_list<const char*> ranges) {
  std::vector<IpRange> open;
  for (const char* text : ranges) open.push_back(*IpRange::Parse(text));
  return AddressPolicy(std::move(open));
}

TEST(IpAddress, ReadsOneFormOfEachAddress) {
  EXPECT_EQ(Ip("93.184.216.34").ToString(), "93.184.216.34");
  EXPECT_EQ(Ip("2606:4700:0:0::1111").ToString(), "2606:4700::1111");
  EXPECT_TRUE(Ip("::ffff:127.0.0.1").v4()) << "a mapped address is the IPv4 address";
  EXPECT_EQ(Ip("::ffff:7f00:1"), Ip("127.0.0.1"));
  // What inet_aton, browsers and some resolvers would read as 127.0.0.1.
  for (const char* text :
       {"2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.01", "1.2.3.4.",
        " 127.0.0.1", "127.0.0.1 ", "", "fe80::1%eth0", "1.2.3.256", "::ffff:0x7f.0.0.1", "[::1]"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
}

TEST(IpRange, ContainsByPrefixAndSaysWhatItMeans) {
  const IpRange ten = *IpRange::Parse("10.0.0.0/8");
  EXPECT_TRUE(ten.Contains(Ip("10.255.255.255")));
  EXPECT_FALSE(ten.Contains(Ip("11.0.0.0")));
  EXPECT_FALSE(ten.Contains(Ip("::a00:0"))) << "families do not mix";
  EXPECT_TRUE(IpRange::Parse("192.0.2.4/30")->Contains(Ip("192.0.2.7")));
  EXPECT_FALSE(IpRange::Parse("192.0.2.4/30")->Contains(Ip("192.0.2.8")));
  EXPECT_TRUE(IpRange::Parse("0.0.0.0/0")->Contains(Ip("8.8.8.8")));
  EXPECT_TRUE(IpRange::Parse("192.0.2.4")->Contains(Ip("192.0.2.4")));
  for (const char* text :
       {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "::1/129", "10/8", "fe80::/9x"}) {
    EXPECT_FALSE(IpRange::Parse(text).ok()) << text;
  }
}

TEST(AddressClass, FollowsTheRegistries) {
  const std::pair<const char*, AddressClass> cases[] = {
      {"8.8.8.8", AddressClass::kPublic},
      {"172.15.255.255", AddressClass::kPublic},
      {"172.16.0.0", AddressClass::kPrivate},
      {"172.31.255.255", AddressClass::kPrivate},
      {"192.168.1.1", AddressClass::kPrivate},
      {"100.64.0.1", AddressClass::kPrivate},
      {"127.255.0.1", AddressClass::kLoopback},
      {"0.0.0.0", AddressClass::kReserved},
      {"169.254.1.1", AddressClass::kLinkLocal},
      {"169.254.169.254", AddressClass::kMetadata},
      {"169.254.170.2", AddressClass::kMetadata},
      {"168.63.129.16", AddressClass::kMetadata},
      {"100.100.100.200", AddressClass::kMetadata},
      {"198.18.0.1", AddressClass::kReserved},
      {"224.0.0.251", AddressClass::kMulticast},
      {"255.255.255.255", AddressClass::kReserved},
      {"2606:4700::1111", AddressClass::kPublic},
      {"::1", AddressClass::kLoopback},
      {"::", AddressClass::kReserved},
      {"::127.0.0.1", AddressClass::kReserved},         // IPv4-compatible
      {"::ffff:10.0.0.1", AddressClass::kPrivate},      // IPv4-mapped
      {"::ffff:0:127.0.0.1", AddressClass::kReserved},  // IPv4-translated
      {"64:ff9b::127.0.0.1", AddressClass::kLoopback},  // NAT64
      {"64:ff9b::169.254.169.254", AddressClass::kMetadata},
      {"64:ff9b::8.8.8.8", AddressClass::kPublic},
      {"64:ff9b:1::10.0.0.1", AddressClass::kPrivate},
      {"2002:7f00:1::", AddressClass::kReserved},    // 6to4
      {"2001:0:7f00:1::", AddressClass::kReserved},  // Teredo
      {"2001:db8::1", AddressClass::kReserved},
      {"fd00:ec2::254", AddressClass::kMetadata},
      {"fd12::1", AddressClass::kPrivate},
      {"fe80::1", AddressClass::kLinkLocal},
      {"ff02::1", AddressClass::kMulticast},
      {"4000::1", AddressClass::kReserved},  // not assigned
  };
  for (const auto& [text, kind] : cases)
    EXPECT_EQ(AddressClassName(Classify(Ip(text))), AddressClassName(kind)) << text;
}

// INV-GW-05: only public addresses are dialled, and those that the configuration names.
TEST(AddressPolicy, OpensOnlyWhatItNames) {
  const AddressPolicy policy = Opening({"10.1.0.0/16", "127.0.0.1"});
  EXPECT_TRUE(policy.Check({Ip("8.8.8.8"), 443}).ok());
  EXPECT_TRUE(policy.Check({Ip("10.1.2.3"), 443}).ok());
  EXPECT_EQ(policy.Check({Ip("127.0.0.1"), 8080})->endpoint().ToString(), "127.0.0.1:8080");
  EXPECT_TRUE(policy.Check({Ip("::ffff:127.0.0.1"), 8080}).ok());
  const Result<CheckedEndpoint> refused = policy.Check({Ip("10.2.0.1"), 443});
  EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("10.2.0.1 is a private address"));
  EXPECT_FALSE(policy.Check({Ip("64:ff9b::10.1.2.3"), 443}).ok()) << "another spelling is not what was named";
  EXPECT_FALSE(policy.Check({Ip("169.254.169.254"), 80}).ok());
  EXPECT_FALSE(IpRange::Parse("10.0.0.1/8").ok());
}

TEST(Endpoint, RoundTripsThroughTheKernelsForm) {
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    const Endpoint e{Ip(text), 8443};
    sockaddr_storage s;
    EXPECT_GT(e.ToSockaddr(s), 0u);
    EXPECT_EQ(*Endpoint::FromSockaddr(s), e);
  }
  EXPECT_EQ((Endpoint{Ip("::1"), 1}).ToString(), "[::1]:1");
  sockaddr_storage unix_socket{};
  unix_socket.ss_family = AF_UNIX;
  EXPECT_FALSE(Endpoint::FromSockaddr(unix_socket).ok());
}

TEST(Host, NamesAreNamesAndNumbersAreAddresses) {
  EXPECT_EQ(HostName::Parse("WWW.Example.ORG.")->value(), "www.example.org");
  EXPECT_EQ(HostName::Parse("xn--bcher-kva.example")->value(), "xn--bcher-kva.example");
  EXPECT_TRUE(HostName::Parse("_dmarc.example.org").ok());
  EXPECT_TRUE(HostName::Parse("7.example").ok());
  const std::string label(64, 'a');
  for (const std::string& text :
       {std::string(""), std::string("."), std::string("a..b"), std::string(".a"), std::string("-a.b"),
        std::string("a-.b"), label,
        std::string("b\xc3\xbc"
                    "cher.de"),
        std::string("a b"), std::string("a/b"), std::string("2130706433"), std::string("0x7f.1"),
        std::string("example.0x7f"), std::string("1.2.3.4.5"), std::string("0177.0.0.1"), std::string("a@b"),
        std::string("a\0b", 3), std::string("a.b..")}) {
    EXPECT_FALSE(HostName::Parse(text).ok()) << text;
    EXPECT_FALSE(Host::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(Host::Parse("[::1]")->address() != nullptr);
  EXPECT_FALSE(Host::Parse("::1").ok());
  EXPECT_FALSE(Host::Parse("[127.0.0.1]").ok());
  EXPECT_FALSE(Host::Parse("[fe80::1%25eth0]").ok());
  EXPECT_EQ(Host::Parse("[::ffff:127.0.0.1]")->ToString(), "127.0.0.1");
  std::string longest =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd');
  EXPECT_TRUE(HostName::Parse(longest).ok());
  EXPECT_FALSE(HostName::Parse(longest + "d").ok());
}

TEST(HostPort, WantsAPortUnlessOneIsImplied) {
  EXPECT_EQ(HostPort::Parse("example.org:443")->ToString(), "example.org:443");
  EXPECT_EQ(HostPort::Parse("[::1]:8080")->ToString(), "[::1]:8080");
  EXPECT_EQ(HostPort::Parse("example.org", 80)->ToString(), "example.org:80");
  EXPECT_EQ(HostPort::Parse("[::1]", 80)->ToString(), "[::1]:80");
  for (const char* text :
       {"example.org", "example.org:", "example.org:0", "example.org:65536", "example.org:0443", "example.org:+1",
        "example.org:4 3", ":443", "::1:443", "a:1:2", "user@example.org:443", ""}) {
    EXPECT_FALSE(HostPort::Parse(text).ok()) << text;
  }
}

TEST(AddressPolicy, MetadataIsOpenOnlyByItsOneAddress) {
  const auto policy = Opening({"100.64.0.0/10", "fd00::/8", "169.254.0.0/16"});
  EXPECT_TRUE(policy.Check({Ip("100.64.0.1"), 80}).ok());
  for (const char* text : {"100.100.100.200", "fd00:ec2::254", "169.254.169.254"}) {
    EXPECT_EQ(policy.Check({Ip(text), 80}).error().code(), ErrorCode::kPermissionDenied) << text;
    EXPECT_TRUE(Opening({text}).Check({Ip(text), 80}).ok()) << text;
  }
}

// A public address on an interface of ours leads behind our own firewall.
TEST(AddressPolicy, ThisMachinesPublicAddressesAreNotPublic) {
  EXPECT_TRUE(IsOwnAddress(Ip("127.0.0.1")));
  const pid_t child = fork();
  if (child == 0) {
    if (unshare((geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNET) != 0) _exit(77);
    const int s = socket(AF_INET, SOCK_DGRAM, 0);
    ifreq r{};
    std::strcpy(r.ifr_name, "lo");
    auto& in = *reinterpret_cast<sockaddr_in*>(&r.ifr_addr);
    in.sin_family = AF_INET;
    inet_pton(AF_INET, "8.8.4.4", &in.sin_addr);
    if (ioctl(s, SIOCSIFADDR, &r) != 0) _exit(76);
    r.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &r) != 0) _exit(75);
    const auto policy = Opening({});
    if (policy.Check({Ip("8.8.4.4"), 443}).ok()) _exit(1);
    if (!policy.Check({Ip("9.9.9.9"), 443}).ok()) _exit(2);
    if (!Opening({"8.8.4.4"}).Check({Ip("8.8.4.4"), 443}).ok()) _exit(3);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace hexr::gateway
