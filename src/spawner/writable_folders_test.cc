// Who shares a writable folder with whom.
#include "spawner/writable_folders.h"

#include <gtest/gtest.h>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

std::vector<Given> GivenAt(const std::string& path, bool writable = true, std::optional<FileId> id = {}) {
  std::vector<Given> out;
  out.push_back({path, {}, writable, false, id});
  return out;
}

TEST(WritableFoldersTest, FoldersAreSharedByPathAndByWhatTheyAre) {
  using Names = std::vector<std::string>;
  WritableFolders all;
  all.Add("outer", GivenAt("/home/u"));
  all.Add("inner", GivenAt("/home/u/p/src"));
  all.Add("beside", GivenAt("/home/u/p-old"));
  all.Add("reader", GivenAt("/home/u/p", false));
  all.Add("alias", GivenAt("/mnt/p", true, FileId{1, 2}));
  EXPECT_EQ(all.SharedWith(GivenAt("/home/u/p")).named, (Names{"inner", "outer"}));
  EXPECT_EQ(all.SharedWith(GivenAt("/home/u/p", true, FileId{1, 2})).named, (Names{"alias", "inner", "outer"}));
  EXPECT_EQ(all.SharedWith(GivenAt("/home/u/p", false, FileId{1, 2})).named, Names{});
  EXPECT_EQ(all.SharedWith(GivenAt("/home/user")).named, Names{});
  all.Remove("inner", GivenAt("/home/u/p/src"));
  all.Remove("outer", GivenAt("/home/u"));
  EXPECT_EQ(all.SharedWith(GivenAt("/home/u/p")).named, Names{});
}

TEST(WritableFoldersTest, TheRestIsCounted) {
  WritableFolders all;
  const size_t n = limits::kMaxSharesNamed + 7;
  for (size_t i = 0; i < n; ++i) all.Add(std::to_string(10'000 + i), GivenAt("/w", true, FileId{1, 2}));
  const Shares shares = all.SharedWith(GivenAt("/w", true, FileId{1, 2}));
  ASSERT_EQ(shares.named.size(), limits::kMaxSharesNamed);
  EXPECT_EQ(shares.named.front(), "10000");
  EXPECT_EQ(shares.more, 7u);
}

}  // namespace
}  // namespace hexr::spawner
