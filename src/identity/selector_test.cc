#include "identity/selector.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/limits/identity.h"
#include "identity/entry.h"

namespace hexr::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TrustDomain kEntryDomain = *TrustDomain::Parse("example.org");

class FakeNames final : public AccountNames {
 public:
  std::optional<std::string> UserName(uint32_t uid) const override {
    return uid == 110 ? std::optional<std::string>("postgres") : std::nullopt;
  }
  std::optional<std::string> GroupName(uint32_t gid) const override {
    return gid == 120 ? std::optional<std::string>("ssl-cert") : std::nullopt;
  }
};

// Everything belongs to root, but what is named here.
class FakeCgroups final : public CgroupOwners {
 public:
  std::map<std::string, uint32_t> owned;
  std::optional<uint32_t> OwnerOf(const std::string& path) const override {
    const auto it = owned.find(path);
    return it == owned.end() ? 0 : it->second;
  }
};

ProcessFacts Database() {
  ProcessFacts facts;
  facts.uid = 110;
  facts.gid = 115;
  facts.groups = {120};
  facts.exe = "/usr/lib/postgresql/15/bin/postgres";
  facts.exe_path_holds = true;
  facts.cgroup = "/system.slice/system-postgresql.slice/postgresql@15-main.service/worker";
  return facts;
}

std::vector<std::string> Texts(const SelectorSet& set) {
  std::vector<std::string> out;
  for (const Selector& s : set) out.push_back(s.ToString());
  return out;
}

std::vector<Selector> Parsed(std::initializer_list<const char*> texts) {
  std::vector<Selector> out;
  for (const char* t : texts) out.push_back(*Selector::Parse(t));
  return out;
}

TEST(Selector, EveryKindRoundTrips) {
  for (const char* text :
       {"unix:uid:110", "unix:user:postgres", "unix:gid:0", "unix:group:ssl-cert", "unix:supplementary_gid:4294967295",
        "unix:supplementary_group:adm", "unix:path:/usr/bin/a:b c",
        "unix:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "systemd:id:db@1.service",
        "cgroup:/system.slice/db.service"}) {
    const auto s = Selector::Parse(text);
    ASSERT_TRUE(s.ok()) << text;
    EXPECT_EQ(s->ToString(), text);
  }
}

TEST(Selector, RefusesWhatNoProcessCanHave) {
  for (const char* text : {"",
                           "unix",
                           "unix:",
                           "unix:uid:",
                           "unix:uid:0110",
                           "unix:uid:-1",
                           "unix:uid:+1",
                           "unix:uid:4294967296",
                           "unix:uid:1x",
                           "unix:uid: 1",
                           "unix:user:",
                           "unix:user:a:b",
                           "unix:path:usr/bin/x",
                           "unix:path:",
                           "unix:sha256:abc",
                           "unix:sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
                           "systemd:id:a/b",
                           "systemd:fragment_path:/x",
                           "cgroup:system.slice",
                           "k8s:ns:default",
                           "Unix:uid:1",
                           "unix:UID:1"}) {
    EXPECT_FALSE(Selector::Parse(text).ok()) << text;
  }
  EXPECT_EQ(Selector::Parse("unix:path:/" + std::string(limits::kMaxSelectorBytes, 'a')).error().code(),
            ErrorCode::kInvalidArgument);
}

TEST(SelectorSource, NamesWhatTheKernelSaid) {
  const FakeNames names;
  const FakeCgroups cgroups;
  const ManualClock clock{WallTime{}};
  DigestCache digests(clock);
  SelectorSource source(names, cgroups, digests, clock);
  EXPECT_THAT(Texts(source.SelectorsOf(Database())),
              ElementsAre("unix:uid:110", "unix:user:postgres", "unix:gid:115", "unix:supplementary_gid:120",
                          "unix:supplementary_group:ssl-cert", "unix:path:/usr/lib/postgresql/15/bin/postgres",
                          "systemd:id:postgresql@15-main.service", "cgroup:/system.slice",
                          "cgroup:/system.slice/system-postgresql.slice",
                          "cgroup:/system.slice/system-postgresql.slice/postgresql@15-main.service",
                          "cgroup:/system.slice/system-postgresql.slice/postgresql@15-main.service/worker"));
}

TEST(SelectorSource, APathUnderAPrivateMountIsNoSelector) {
  const FakeNames names;
  const FakeCgroups cgroups;
  const ManualClock clock{WallTime{}};
  DigestCache digests(clock);
  SelectorSource source(names, cgroups, digests, clock);
  ProcessFacts facts = Database();
  facts.exe_path_holds = false;
  EXPECT_FALSE(source.SelectorsOf(facts).contains(*Selector::Parse("unix:path:/usr/lib/postgresql/15/bin/postgres")));
}

// The owner of a delegated subtree can make "db.service" in it and move processes there.
TEST(SelectorSource, NothingBelowADirectoryOfAUserIsEvidence) {
  const FakeNames names;
  FakeCgroups cgroups;
  const ManualClock clock{WallTime{}};
  DigestCache digests(clock);
  SelectorSource source(names, cgroups, digests, clock);
  ProcessFacts facts = Database();
  facts.cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/db.service";
  cgroups.owned["/user.slice/user-1000.slice/user@1000.service"] = 1000;
  cgroups.owned["/user.slice/user-1000.slice/user@1000.service/app.slice"] = 1000;
  const SelectorSet set = source.SelectorsOf(facts);
  EXPECT_TRUE(set.contains(*Selector::Parse("systemd:id:user@1000.service")));
  EXPECT_FALSE(set.contains(*Selector::Parse("systemd:id:db.service")));
  EXPECT_TRUE(set.contains(*Selector::Parse("cgroup:/user.slice/user-1000.slice/user@1000.service")));
  EXPECT_FALSE(
      set.contains(*Selector::Parse("cgroup:/user.slice/user-1000.slice/user@1000.service/app.slice/db.service")));

  cgroups.owned["/"] = 1000;
  EXPECT_THAT(source.TrustedCgroups(facts.cgroup), IsEmpty());
  EXPECT_THAT(source.TrustedCgroups("/../x"), IsEmpty());
  EXPECT_THAT(source.TrustedCgroups(""), IsEmpty());
}

TEST(FileCgroupOwners, AWritableDirectoryIsNobodysWord) {
  char dir[] = "/tmp/hexr-cgroup-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  std::filesystem::create_directory(std::string(dir) + "/a.slice");
  const FileCgroupOwners owners(dir);
  EXPECT_EQ(owners.OwnerOf("/a.slice"), ::geteuid());
  std::filesystem::permissions(std::string(dir) + "/a.slice", std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(owners.OwnerOf("/a.slice"), std::nullopt);
  EXPECT_EQ(owners.OwnerOf("/none"), std::nullopt);
  std::filesystem::remove_all(dir);
}

TEST(FileAccountNames, ReadsTheFilesAlone) {
  char dir[] = "/tmp/hexr-names-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const std::string file = std::string(dir) + "/passwd";
  std::ofstream(file)
      << "# comment\nbroken\n:x:5:\nroot:x:0:0:root:/root:/bin/sh\ndb:x:110:115::/:/bin/false\nlast:x:7";
  const FileAccountNames names(file, file);
  EXPECT_EQ(names.UserName(110), "db");
  EXPECT_EQ(names.UserName(0), "root");
  EXPECT_EQ(names.GroupName(7), "last");
  EXPECT_EQ(names.UserName(11), std::nullopt);
  EXPECT_EQ(names.UserName(5), std::nullopt);
  EXPECT_EQ(FileAccountNames("/nonexistent").UserName(0), std::nullopt);
  std::filesystem::remove_all(dir);
}

class Entries : public ::testing::Test {
 protected:
  static Entry Make(std::string id, std::initializer_list<const char*> selectors) {
    return {id, *SpiffeId::Parse("spiffe://example.org/" + id), Parsed(selectors), {}, "", {}, {}};
  }
  static SelectorSet Process(std::initializer_list<const char*> selectors) {
    const auto parsed = Parsed(selectors);
    return {parsed.begin(), parsed.end()};
  }
  EntryTable table_{kEntryDomain};
  WallTime now_{std::chrono::hours(1000)};
};

TEST_F(Entries, MatchWhenAllTheirSelectorsAreThere) {
  ASSERT_TRUE(table_.Set(Make("service/db", {"unix:uid:110", "unix:path:/bin/db"})).ok());
  ASSERT_TRUE(table_.Set(Make("service/any", {"unix:uid:110"})).ok());
  const auto both = table_.Match(Process({"unix:uid:110", "unix:path:/bin/db", "unix:gid:1"}), now_);
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].entry_id, "service/db");
  EXPECT_EQ(table_.Match(Process({"unix:uid:110"}), now_).size(), 1U);
  EXPECT_THAT(table_.Match(Process({"unix:path:/bin/db"}), now_), IsEmpty());
  EXPECT_THAT(table_.Match({}, now_), IsEmpty());
  ASSERT_TRUE(table_.Remove("service/any").ok());
  EXPECT_EQ(table_.Remove("service/any").error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(table_.Match(Process({"unix:uid:110"}), now_), IsEmpty());
}

TEST_F(Entries, Expire) {
  Entry entry = Make("service/db", {"unix:uid:110"});
  entry.expires_at = now_;
  ASSERT_TRUE(table_.Set(entry).ok());
  EXPECT_EQ(table_.Match(Process({"unix:uid:110"}), now_ - std::chrono::seconds(1)).size(), 1U);
  EXPECT_THAT(table_.Match(Process({"unix:uid:110"}), now_), IsEmpty());
  EXPECT_EQ(table_.Explain(Process({"unix:uid:110"}), now_)->ToString(), "entry service/db has expired");
}

TEST_F(Entries, SayWhichSelectorMissed) {
  ASSERT_TRUE(table_.Set(Make("service/far", {"unix:uid:1", "unix:gid:1", "unix:path:/x"})).ok());
  ASSERT_TRUE(table_.Set(Make("service/db", {"unix:uid:110", "unix:path:/bin/db"})).ok());
  const auto miss = table_.Explain(Process({"unix:uid:110", "unix:path:/usr/bin/python3"}), now_);
  ASSERT_TRUE(miss.has_value());
  EXPECT_EQ(miss->ToString(),
            "nearest entry service/db asks for unix:path:/bin/db; this process has unix:path:/usr/bin/python3");
  EXPECT_FALSE(EntryTable(kEntryDomain).Explain({}, now_).has_value());
}

TEST_F(Entries, RefuseWhatWouldBeTooWideOrForeign) {
  EXPECT_THAT(table_.Set(Make("service/db", {})).error().message(), HasSubstr("every process"));
  Entry foreign = Make("service/db", {"unix:uid:1"});
  foreign.spiffe_id = *SpiffeId::Parse("spiffe://other.org/service/db");
  EXPECT_FALSE(table_.Set(foreign).ok());
  Entry root = Make("service/db", {"unix:uid:1"});
  root.spiffe_id = SpiffeId::ForTrustDomain(kEntryDomain);
  EXPECT_FALSE(table_.Set(root).ok());
  Entry hint = Make("service/db", {"unix:uid:1"});
  hint.hint.assign(limits::kMaxHintBytes + 1, 'x');
  EXPECT_FALSE(table_.Set(hint).ok());
  Entry many = Make("service/db", {});
  for (size_t i = 0; i <= limits::kMaxSelectorsPerEntry; ++i)
    many.selectors.push_back(*Selector::Parse("unix:uid:" + std::to_string(i)));
  EXPECT_FALSE(table_.Set(many).ok());
}

TEST_F(Entries, AreBounded) {
  for (size_t i = 0; i < limits::kMaxEntries; ++i) {
    ASSERT_TRUE(table_.Set(Make("service/s" + std::to_string(i), {"unix:uid:1"})).ok());
  }
  EXPECT_EQ(table_.Set(Make("service/more", {"unix:uid:1"})).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(table_.Set(Make("service/s0", {"unix:uid:2"})).ok());  // replacing adds nothing
}

TEST_F(Entries, AHintBelongsToTheOldest) {
  Entry a = Make("service/a", {"unix:uid:1"});
  Entry b = Make("service/b", {"unix:uid:1"});
  a.hint = b.hint = "internal";
  ASSERT_TRUE(table_.Set(a).ok());
  ASSERT_TRUE(table_.Set(b).ok());
  const auto matched = table_.Match(Process({"unix:uid:1"}), now_);
  EXPECT_EQ(matched[0].hint, "internal");
  EXPECT_EQ(matched[1].hint, "");
}

TEST_F(Entries, ADigestIsAskedForOnlyWhereItDecides) {
  const std::string digest = "unix:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  EXPECT_FALSE(table_.DigestDecides(Process({"unix:uid:1"}), now_));
  Entry e = Make("service/a", {"unix:uid:1", digest.c_str()});
  ASSERT_TRUE(table_.Set(e).ok());
  EXPECT_TRUE(table_.DigestDecides(Process({"unix:uid:1"}), now_));
  EXPECT_FALSE(table_.DigestDecides(Process({"unix:uid:2"}), now_));
  e.expires_at = now_;
  ASSERT_TRUE(table_.Set(e).ok());
  EXPECT_FALSE(table_.DigestDecides(Process({"unix:uid:1"}), now_));
  ASSERT_TRUE(table_.Set(Make("service/a", {"unix:uid:1"})).ok());
  EXPECT_FALSE(table_.DigestDecides(Process({"unix:uid:1"}), now_));
}

// A file that was touched just now is read again each time: who touches it in a loop must not keep the loop reading.
TEST(SelectorSource, AUserHasFewNewFilesRead) {
  const FakeNames names;
  const FakeCgroups cgroups;
  const ManualClock clock{WallTime{}};
  DigestCache digests(clock);
  SelectorSource source(names, cgroups, digests, clock);
  ProcessFacts facts = Database();
  facts.exe_fd = runtime::UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  facts.exe_file = *FileIdentityOf(facts.exe_fd.get());  // changed after this clock's now: never remembered
  SelectorSet set;
  int read = 0;
  while (source.AddDigest(facts, set).ok() && read < 100) ++read;
  EXPECT_EQ(read, 8);
  EXPECT_EQ(set.size(), 1U);
  facts.uid += 1;
  EXPECT_TRUE(source.AddDigest(facts, set).ok()) << "another user's";
}

}  // namespace
}  // namespace hexr::identity
