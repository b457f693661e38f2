// Namespaces of id maps: kept for the next launch, so many of them.
#include "spawner/idmap.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include "base/limits/agents.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

size_t DescriptorsHere() {
  size_t n = 0;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), &closedir);
  while (folder && readdir(folder.get()) != nullptr) ++n;
  return n;
}

TEST(IdmapperTest, SoManyMapsAreKept) {
  As(Who::kRoot, [] {
    Idmapper idmapper;
    const size_t before = DescriptorsHere();
    // Nothing to mount: the map is made before that is found out.
    const auto make = [&](size_t i) {
      EXPECT_FALSE(idmapper.Apply(-1, {static_cast<uid_t>(1000 + i), 1000, kTenantUid, kTenantUid}, 0).ok());
    };
    for (size_t i = 0; i < limits::kMaxOwnerMaps; ++i) make(i);
    EXPECT_EQ(DescriptorsHere(), before + limits::kMaxOwnerMaps);
    make(0);
    EXPECT_EQ(DescriptorsHere(), before + limits::kMaxOwnerMaps) << "that one is kept";
    make(limits::kMaxOwnerMaps);
    EXPECT_EQ(DescriptorsHere(), before + 1);
  });
}

}  // namespace
}  // namespace hexr::spawner
