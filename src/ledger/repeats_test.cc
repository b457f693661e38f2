#include "ledger/repeats.h"

#include <gtest/gtest.h>

#include "base/limits/ledger.h"
#include "ledger/record_scan.h"
#include "ledger/testing/events.h"

namespace hexr::ledger {
namespace {

using testing::TestInstance;

constexpr uint32_t kPerSecond = 4;
constexpr uint32_t kBurst = kPerSecond * limits::kRepeatBurstSeconds;

class RepeatsTest : public ::testing::Test {
 protected:
  static Event Of(unsigned instance, uint64_t sort) {
    Event event = testing::TestEvent(instance, 1);
    event.body = Body();
    event.body.Set("sort", sort);
    return event;
  }
  // How many of `n` alike are written.
  uint64_t Written(uint64_t n, unsigned instance = 1, uint64_t sort = 1) {
    uint64_t written = 0;
    for (uint64_t i = 0; i < n; ++i) written += repeats_.Admit(Of(instance, sort), clock_.Mono());
    return written;
  }

  ManualClock clock_{testing::kTestTime};
  Repeats repeats_{kPerSecond};
};

TEST_F(RepeatsTest, AFloodBecomesItsFirstAndACount) {
  EXPECT_EQ(Written(100'000), kBurst);
  EXPECT_TRUE(repeats_.counted());
  EXPECT_EQ(Written(3, 2), 3u) << "another instance has its own budget";
  std::vector<Event> counts = repeats_.Take(clock_.Wall());
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].instance, TestInstance(1));
  EXPECT_EQ(counts[0].kind, RecordKind::kDecision);
  EXPECT_NE(counts[0].body.ToJson().find("\"count\":" + std::to_string(100'000 - kBurst)), std::string::npos);
  EXPECT_NE(counts[0].body.ToJson().find("\"what\":{\"sort\":1}"), std::string::npos);
  std::string json;
  AppendUnsequenced(counts[0], "0123456789abcdef", 1, json);
  EXPECT_TRUE(ScanRecord(json, SeqField::kAbsent).ok()) << json;
  EXPECT_FALSE(repeats_.counted());
  EXPECT_TRUE(repeats_.Take(clock_.Wall()).empty());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(Written(100), kPerSecond);
}

TEST_F(RepeatsTest, TheFirstOfEachSortIsWrittenHoweverManyCameBefore) {
  (void)Written(1000);
  for (uint64_t sort = 2; sort < 50; ++sort) EXPECT_EQ(Written(1, 1, sort), 1u) << sort;
  Event other_kind = Of(1, 1);
  other_kind.kind = RecordKind::kIdentity;
  EXPECT_TRUE(repeats_.Admit(other_kind, clock_.Mono()));
  Event of_none = Of(1, 1);
  of_none.instance.reset();
  EXPECT_TRUE(repeats_.Admit(of_none, clock_.Mono()));
}

TEST_F(RepeatsTest, SortsAreBoundedAndNoCountIsLost) {
  uint64_t seen = 0;
  uint64_t written = 0;
  for (int round = 0; round < 20; ++round) {
    for (uint64_t sort = 0; sort < 3 * limits::kMaxRepeatSorts; ++sort) {
      seen += 5;
      written += Written(5, 1, sort);
    }
  }
  const std::vector<Event> counts = repeats_.Take(clock_.Wall());
  EXPECT_LE(counts.size(), limits::kMaxRepeatSorts);
  for (const Event& event : counts) {
    const std::string body = event.body.ToJson();
    written += std::stoull(body.substr(body.find(':') + 1));  // count comes first
  }
  EXPECT_EQ(written, seen);
}

TEST_F(RepeatsTest, AnInstanceThatEndedLeavesNothing) {
  (void)Written(1000);
  repeats_.Forget(TestInstance(1));
  EXPECT_TRUE(repeats_.Take(clock_.Wall()).empty());
  EXPECT_EQ(Written(1000), kBurst);
}

}  // namespace
}  // namespace hexr::ledger
