// Bundles: archives that attack, signatures that lie, manifests that claim too much, servers that come and go.
#include "policy/bundle/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "policy/bundle/poller.h"
#include "policy/bundle/signature.h"
#include "policy/policy.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::policy {
namespace {

using ::testing::HasSubstr;

std::string Data(const std::string& name) { return HEXR_SOURCE_DIR "/test/data/bundles/" + name; }

std::vector<BundleFile> Small() {
  return {{".manifest", R"({"revision": "r1", "roots": ["hexr", "roles"]})"},
          {"authz/policy.rego", "package hexr.authz\n\nallow if input.role in data.roles\n"},
          {"data.json", R"({"roles": ["writer"]})"}};
}

std::string WhyNot(std::vector<BundleFile> files) {
  auto b = ParseBundle(std::move(files));
  return b.ok() ? "" : b.error().message();
}

TEST(BundleArchive, ReadsWhatItWrites) {
  auto files = Small();
  files.push_back({std::string(200, 'd') + "/long.rego", "package x\n"});
  const auto archive = WriteTarGz(files);
  ASSERT_TRUE(archive.ok());
  EXPECT_EQ(*archive, *WriteTarGz(files));
  const auto read = ReadTarGz(*archive);
  ASSERT_TRUE(read.ok()) << read.error().message();
  ASSERT_EQ(read->size(), files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ((*read)[i].path, files[i].path);
    EXPECT_EQ((*read)[i].bytes, files[i].bytes);
  }
}

TEST(BundleArchive, StopsAtABomb) {
  const auto bomb = WriteTarGz({{"data.json", std::string(8 << 20, ' ')}});
  ASSERT_LT(bomb->size(), 64u << 10);
  const auto read = ReadTarGz(*bomb, {.unpacked_bytes = 1 << 20});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(ReadTarGz(*bomb).ok());
  EXPECT_EQ(ReadTarGz(*WriteTarGz(Small()), {.files = 2}).error().code(), ErrorCode::kResourceExhausted);
}

TEST(BundleArchive, RefusesPathsThatLeave) {
  for (const char* path : {"../etc/x.rego", "a/../../x.rego", "a\\b.rego", "..", "."}) {
    EXPECT_FALSE(ReadTarGz(*WriteTarGz({{path, ""}})).ok()) << path;
  }
  EXPECT_FALSE(ReadTarGz(*WriteTarGz({{std::string(limits::kMaxBundlePathBytes + 1, 'a'), ""}})).ok());
  EXPECT_THAT(ReadTarGz(*WriteTarGz({{"a.rego", ""}, {"./a.rego", ""}})).error().message(), HasSubstr("twice"));
}

TEST(BundleArchive, RefusesWhatIsBroken) {
  const std::string good = *WriteTarGz(Small());
  EXPECT_FALSE(ReadTarGz("").ok());
  EXPECT_FALSE(ReadTarGz("not gzip at all").ok());
  for (size_t cut = 0; cut < good.size(); cut += 7) EXPECT_FALSE(ReadTarGz(good.substr(0, cut)).ok()) << cut;
  EXPECT_FALSE(ReadTarGz(good + "x").ok());
}

TEST(BundleManifest, HoldsPoliciesAndDataToTheirRoots) {
  EXPECT_EQ(WhyNot(Small()), "");
  auto files = Small();
  files[0].bytes = R"({"roots": ["hexr"]})";
  EXPECT_EQ(WhyNot(files), "manifest roots [hexr] do not permit data at path '/roles'");
  files[0].bytes = R"({"roots": ["roles", "hexr/other"]})";
  EXPECT_THAT(WhyNot(files), HasSubstr("do not permit 'package hexr.authz' in module 'authz/policy.rego'"));
  files[0].bytes = R"({"roots": ["hexr", "hexr/authz"]})";
  EXPECT_THAT(WhyNot(files), HasSubstr("overlap"));
  files[0].bytes = "{";
  EXPECT_THAT(WhyNot(files), HasSubstr(".manifest"));
  Manifest a, b;
  a.roots = {"x/y"};
  b.roots = {"x"};
  EXPECT_FALSE(CheckRootsApart({&a, &b}).ok());
  b.roots = {"xy", "x/z"};
  EXPECT_TRUE(CheckRootsApart({&a, &b}).ok());
}

TEST(BundleManifest, NamesFileAndPlaceOfErrors) {
  auto files = Small();
  files[1].bytes = "package hexr.authz\nallow if {\n";
  EXPECT_THAT(WhyNot(files), HasSubstr("authz/policy.rego:"));
  files[1].bytes = "package hexr.authz\n";
  files[2].bytes = "{\"roles\": ";
  EXPECT_THAT(WhyNot(files), HasSubstr("data.json"));
}

TEST(BundleManifest, ReadsVersions) {
  auto files = Small();
  files[0].bytes = R"({"rego_version": 0, "file_rego_versions": {"/new/*.rego": 1}})";
  files[1].bytes = "package hexr.authz\nallow { input.x }\n";
  files.push_back({"new/a.rego", "package new\np if input.x\n"});
  EXPECT_EQ(WhyNot(files), "");
  files[3].path = "old/a.rego";
  EXPECT_NE(WhyNot(files), "");
}

TEST(BundleDelta, ChangesDataAlone) {
  auto delta = ParseBundle({{".manifest", R"({"roots": ["a", "b"]})"},
                            {"patch.json", R"({"data": [{"op": "upsert", "path": "/a/x/y", "value": 1},
                              {"op": "replace", "path": "/b/0", "value": 7}, {"op": "remove", "path": "/a/old"},
                              {"op": "upsert", "path": "/b/-", "value": 9}]})"}});
  ASSERT_TRUE(delta.ok()) << delta.error().message();
  rego::Arena arena;
  const auto base = *rego::ParseJson(arena, R"({"a": {"old": true, "kept": 2}, "b": [1, 2], "c": 3})");
  const auto v = ApplyPatch(arena, base, *delta);
  ASSERT_TRUE(v.ok()) << v.error().message();
  EXPECT_EQ(rego::ToJson(*v), R"({"a":{"kept":2,"x":{"y":1}},"b":[7,2,9],"c":3})");
  EXPECT_EQ(rego::ToJson(base), R"({"a":{"kept":2,"old":true},"b":[1,2],"c":3})");
  EXPECT_FALSE(ApplyPatch(arena, rego::EmptyObject(), *delta).ok());
  delta->manifest.roots = {"a"};
  EXPECT_FALSE(ApplyPatch(arena, base, *delta).ok());
  EXPECT_THAT(WhyNot({{"patch.json", R"({"data": []})"}, {"a.rego", "package a\n"}}), HasSubstr("no policies"));
  EXPECT_NE(WhyNot({{"patch.json", R"({"data": [{"op": "add", "path": "/a"}]})"}}), "");
}

Verification OpasKeys(const char* file, const char* algorithm) {
  auto key = ParseVerificationKey(*ReadPolicyFile(Data(file)), algorithm);
  EXPECT_TRUE(key.ok());
  Verification v;
  v.keys.emplace("default", *key);
  return v;
}

TEST(BundleSignature, TakesWhatOpaSigned) {
  for (const auto& [bundle, key, algorithm] :
       {std::tuple{"es.tar.gz", "ec.pub", "ES256"}, std::tuple{"rs.tar.gz", "rsa.pub", "RS256"}}) {
    auto files = ReadBundlePath(Data(bundle));
    ASSERT_TRUE(files.ok()) << files.error().message();
    const Status s = VerifyBundle(*files, OpasKeys(key, algorithm));
    EXPECT_TRUE(s.ok()) << s.error().message();
    EXPECT_EQ(ParseBundle(*files)->manifest.revision, "r7");
  }
}

TEST(BundleSignature, RefusesEveryChange) {
  const auto good = *ReadBundlePath(Data("es.tar.gz"));
  const Verification keys = OpasKeys("ec.pub", "ES256");
  auto refused = [&](std::vector<BundleFile> files, const char* why) {
    const Status s = VerifyBundle(files, keys);
    ASSERT_FALSE(s.ok()) << why;
    EXPECT_EQ(s.error().code(), ErrorCode::kUnauthenticated);
    EXPECT_THAT(s.error().message(), HasSubstr(why));
  };
  for (size_t i = 0; i < good.size(); ++i) {
    auto files = good;
    if (files[i].path == kSignaturesFile) {
      files.erase(files.begin() + static_cast<std::ptrdiff_t>(i));
      refused(files, "no .signatures.json");
      continue;
    }
    if (files[i].path.ends_with(".rego")) {
      files[i].bytes += "\nallow := true\n";
      refused(files, "was changed");
    }
    files = good;
    files.erase(files.begin() + static_cast<std::ptrdiff_t>(i));
    refused(files, "does not hold");
  }
  auto more = good;
  more.push_back({"extra.rego", "package hexr.authz\nallow := true\n"});
  refused(more, "does not list extra.rego");
  auto data = good;
  for (auto& f : data) {
    if (f.path == "data.json") f.bytes = R"({"roles": ["everyone"], "n": 3.50, "u": "x"})";
  }
  refused(data, "was changed");
  Verification other = keys;
  other.scope = "write";
  EXPECT_FALSE(VerifyBundle(good, other).ok());
  other = keys;
  other.keys.begin()->second.algorithm = crypto::SignatureAlgorithm::kEs384;
  EXPECT_FALSE(VerifyBundle(good, other).ok());
  EXPECT_FALSE(VerifyBundle(good, {}).ok());
  EXPECT_FALSE(VerifyBundle(good, OpasKeys("rsa.pub", "RS256")).ok());
}

TEST(BundleSignature, WhiteSpaceOfDocumentsDoesNotCount) {
  auto files = *ReadBundlePath(Data("es.tar.gz"));
  for (auto& f : files) {
    if (f.path == "data.json") f.bytes = " " + f.bytes + " \n";
  }
  EXPECT_TRUE(VerifyBundle(files, OpasKeys("ec.pub", "ES256")).ok());
}

TEST(BundleSignature, SignsAndVerifies) {
  const auto key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  auto files = Small();
  auto signature = SignBundle(files, key, crypto::SignatureAlgorithm::kEs256, "k1", "read");
  ASSERT_TRUE(signature.ok());
  files.push_back({std::string(kSignaturesFile), *signature});
  Verification v;
  v.keys.emplace("k1", VerificationKey{key.public_key(), crypto::SignatureAlgorithm::kEs256, "read"});
  EXPECT_TRUE(VerifyBundle(files, v).ok());
  v.keys.begin()->second.scope = "";
  EXPECT_FALSE(VerifyBundle(files, v).ok());
  EXPECT_FALSE(FileDigest(files[1], "SHA-1").ok());
}

class Server final : public BundleFetcher {
 public:
  void Fetch(BundleRequest request, UniqueFunction<void(Result<BundleResponse>)> done) override {
    asked.push_back(request.etag);
    done(answer);
  }
  std::vector<std::string> asked;
  Result<BundleResponse> answer = Unavailable("down");
};

TEST(BundlePoller, AsksWithTheLastEtagAndBacksOff) {
  ManualClock clock{WallTime{}};
  SeededRandom random{1};
  Server server;
  Status verdict = Ok();
  BundlePoller poller(
      {.url = "https://bundles/b"}, server, [&](const std::string&) { return verdict; }, clock, random);
  poller.Tick();
  EXPECT_EQ(poller.state().error, "down");
  EXPECT_EQ(poller.next_due() - clock.Mono(), std::chrono::seconds(1));
  clock.Advance(std::chrono::seconds(1));
  server.answer = BundleResponse{200, "v1", "bytes"};
  poller.Tick();
  EXPECT_EQ(poller.state().etag, "v1");
  EXPECT_GE(poller.next_due() - clock.Mono(), std::chrono::seconds(60));
  EXPECT_LE(poller.next_due() - clock.Mono(), std::chrono::seconds(120));
  poller.Tick();
  EXPECT_EQ(server.asked.size(), 2u);
  // A bundle that is not taken is asked for again.
  clock.Advance(std::chrono::minutes(2));
  server.answer = BundleResponse{200, "v2", "bad"};
  verdict = InvalidArgument("does not compile");
  poller.Tick();
  EXPECT_EQ(poller.state().etag, "v1");
  EXPECT_EQ(poller.state().error, "does not compile");
  clock.Advance(std::chrono::minutes(2));
  server.answer = BundleResponse{304, "", ""};
  poller.Tick();
  EXPECT_EQ(server.asked, (std::vector<std::string>{"", "", "v1", "v1"}));
  EXPECT_EQ(poller.state().error, "");
  EXPECT_EQ(poller.state().activations, 1u);
}

class PolicyStoreTest : public ::testing::Test {
 protected:
  PolicyStoreTest()
      : store_({.bundle = "", .require_signature = false}, [this](const PolicyChange& c) { log_.push_back(c); }) {}
  static std::string Archive(std::string_view policy, std::string_view data = "{}") {
    return *WriteTarGz({{"p.rego", "package hexr.authz\n" + std::string(policy)}, {"data.json", std::string(data)}});
  }
  Call AnyCall() const {
    Call c;
    c.role = "writer";
    return c;
  }
  std::vector<PolicyChange> log_;
  PolicyStore store_;
  ManualClock clock_{WallTime{}};
  SeededRandom random_{1};
};

TEST_F(PolicyStoreTest, NothingInForceDenies) {
  Authorizer a(store_, clock_, random_);
  EXPECT_FALSE(a.Decide(AnyCall()).allow);
}

TEST_F(PolicyStoreTest, ABadBundleLeavesTheOldInForce) {
  Authorizer a(store_, clock_, random_);
  ASSERT_TRUE(store_.ActivateArchive(Archive("allow if input.role == \"writer\"\n")).ok());
  const Decision before = a.Decide(AnyCall());
  EXPECT_TRUE(before.allow);
  EXPECT_EQ(before.rules, (std::vector<std::string>{"p.rego:2"}));
  for (const std::string& bad : {Archive("allow if {\n"), Archive("allow := x\n"), Archive("allow := true\n", "[1]"),
                                 std::string("junk"), Archive("allow := true\n").substr(0, 80)}) {
    EXPECT_FALSE(store_.ActivateArchive(bad).ok());
    EXPECT_TRUE(a.Decide(AnyCall()).allow);
    EXPECT_FALSE(log_.back().taken);
    EXPECT_NE(log_.back().error, "");
    EXPECT_EQ(log_.back().digest, before.digest);
  }
  ASSERT_TRUE(store_.ActivateArchive(Archive("allow if input.role == \"nobody\"\n")).ok());
  const Decision after = a.Decide(AnyCall());
  EXPECT_FALSE(after.allow);
  EXPECT_NE(after.digest, before.digest);
  EXPECT_TRUE(log_.back().taken);
}

TEST_F(PolicyStoreTest, UnsignedBundlesAreRefusedWhereSignaturesAreRequired) {
  PolicyStore strict({.bundle = "", .require_signature = true});
  const Status s = strict.ActivateArchive(Archive("allow := true\n"));
  EXPECT_EQ(s.error().code(), ErrorCode::kUnauthenticated);
  EXPECT_EQ(strict.current(), nullptr);
}

TEST_F(PolicyStoreTest, DeltasChangeDataInForce) {
  Authorizer a(store_, clock_, random_);
  ASSERT_TRUE(store_.ActivateArchive(Archive("allow if input.role in data.roles\n", R"({"roles": ["editor"]})")).ok());
  EXPECT_FALSE(a.Decide(AnyCall()).allow);
  ASSERT_TRUE(store_
                  .ActivateArchive(*WriteTarGz(
                      {{"patch.json", R"({"data": [{"op": "upsert", "path": "/roles/-", "value": "writer"}]})"}}))
                  .ok());
  EXPECT_TRUE(a.Decide(AnyCall()).allow);
  EXPECT_FALSE(PolicyStore({.bundle = "", .require_signature = false})
                   .ActivateArchive(*WriteTarGz({{"patch.json", R"({"data": []})"}}))
                   .ok());
}

TEST_F(PolicyStoreTest, LoadsFoldersOnce) {
  const std::string folder = testing::TempDir() + "policy_store_folder";
  std::filesystem::create_directories(folder + "/roles");
  std::ofstream(folder + "/p.rego") << "package hexr.authz\nallow if input.role in data.roles.all\n";
  std::ofstream(folder + "/roles/data.json") << R"({"all": ["writer"]})";
  PolicyStore store({.bundle = folder, .require_signature = false});
  ASSERT_TRUE(store.Load().ok());
  ASSERT_TRUE(store.Load().ok());
  EXPECT_EQ(store.epoch(), 1u);
  Authorizer a(store, clock_, random_);
  EXPECT_TRUE(a.Decide(AnyCall()).allow);
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(store.Load().ok());
  EXPECT_TRUE(a.Decide(AnyCall()).allow);
}

TEST(PolicyDoor, AuditAllowsAndSaysSo) {
  Decision d;
  d.deny.push_back({"", "no"});
  const Decision audited = Apply(Mode::kAudit, d);
  EXPECT_TRUE(audited.allow);
  EXPECT_TRUE(audited.would_deny);
  EXPECT_EQ(audited.deny.size(), 1u);
  EXPECT_FALSE(Apply(Mode::kEnforce, d).allow);
}

TEST(PolicyDoor, BothOnlyNarrows) {
  Decision yes, no;
  yes.allow = true;
  yes.obligations_json = R"({"max_ttl": "15m", "redact": ["pii"]})";
  no.obligations_json = "{}";
  no.deny.push_back({"", "not here"});
  EXPECT_FALSE(Both(yes, no).allow);
  EXPECT_FALSE(Both(no, yes).allow);
  Decision also = yes;
  also.obligations_json = R"({"max_ttl": "5m", "redact": ["secrets"], "label": ["x"]})";
  const Decision joined = Both(yes, also);
  EXPECT_TRUE(joined.allow);
  EXPECT_EQ(joined.obligations_json, R"({"label":["x"],"max_ttl":"5m","redact":["pii","secrets"]})");
  also.obligations_json = R"({"max_ttl": 5})";
  EXPECT_FALSE(Both(yes, also).allow);
}

}  // namespace
}  // namespace hexr::policy
