// Each rule of what records must be to each other, broken alone.
#include "ledger/record_rules.h"

#include <gtest/gtest.h>

#include <vector>

namespace hexr::ledger {
namespace {

class RecordRulesTest : public ::testing::Test {
 protected:
  using Codes = std::vector<std::string>;

  // What is wrong with the next record, where `record` says all but its number.
  Codes Add(RecordView record) {
    record.seq = index_;
    return AddAt(record);
  }
  Codes AddAt(const RecordView& record) {
    Codes codes;
    rules_.Check(record, index_++, [&](std::string_view code, const std::string&) { codes.emplace_back(code); });
    return codes;
  }
  // The sequencer's own.
  Codes About(std::string_view body) {
    return Add({.body = body, .instance_seq = ++own_, .kind = RecordKind::kLog, .tenant = "acme", .writer = "s"});
  }
  static RecordView Of(std::string_view writer, uint64_t instance_seq, std::string_view instance = "i") {
    return {.instance = instance,
            .instance_seq = instance_seq,
            .kind = RecordKind::kDecision,
            .tenant = "acme",
            .writer = writer};
  }
  void Open() {
    ASSERT_EQ(About(R"({"event":"started"})"), Codes());
    ASSERT_EQ(About(R"({"event":"writer_opened","label":"gateway/acme","writer":"g"})"), Codes());
    ASSERT_EQ(About(R"({"event":"writer_opened","label":"keeper","writer":"k"})"), Codes());
    ASSERT_EQ(Add(Of("g", 1)), Codes());
  }

  RecordRules rules_;
  uint64_t index_ = 0, own_ = 0;
};

TEST_F(RecordRulesTest, NumbersHaveNoHoles) {
  Open();
  EXPECT_EQ(Add(Of("g", 2)), Codes());
  EXPECT_EQ(Add(Of("g", 1, "another")), Codes()) << "each instance counts for itself";
  EXPECT_EQ(Add(Of("g", 4)), Codes{"counter"});
  EXPECT_EQ(Add(Of("g", 4)), Codes{"counter"}) << "said twice";
  RecordView elsewhere = Of("g", 5);
  elsewhere.seq = index_ + 1;
  EXPECT_EQ(AddAt(elsewhere), Codes{"seq"});
}

TEST_F(RecordRulesTest, AHoleThatIsAdmittedIsAProblemOnceAndCoversNoOther) {
  Open();
  EXPECT_EQ(About(R"({"event":"gap","first_missing":2,"last_missing":3,"of":"i","writer":"g"})"), Codes{"gap"});
  EXPECT_EQ(Add(Of("g", 4)), Codes());
  EXPECT_EQ(About(R"({"event":"gap","first_missing":5,"last_missing":5,"of":"i","writer":"g"})"), Codes{"gap"});
  EXPECT_EQ(Add(Of("g", 7)), Codes{"counter"}) << "larger than what was admitted";
  EXPECT_EQ(About(R"({"event":"gap","first_missing":8,"last_missing":8,"of":"i","writer":"g"})"), Codes{"gap"});
  EXPECT_EQ(Add(Of("g", 3, "another")), Codes{"counter"}) << "of another instance";
}

TEST_F(RecordRulesTest, AnInstanceEndsWithAllItsRecords) {
  Open();
  EXPECT_EQ(Add(Of("g", 2)), Codes());
  EXPECT_EQ(About(R"({"event":"instance_closed","of":"i","records":1,"writer":"g"})"), Codes{"counter"});
  EXPECT_EQ(About(R"({"event":"instance_closed","of":"i","records":1,"writer":"x"})"), Codes{"writer"});
}

TEST_F(RecordRulesTest, WritersAreOpenedAndStayClosed) {
  Open();
  EXPECT_EQ(Add(Of("stranger", 1)), Codes{"writer"});
  EXPECT_EQ(About(R"({"event":"writer_closed","frames":2,"how":"clean","writer":"g"})"), Codes());
  EXPECT_EQ(Add(Of("g", 1)), Codes{"writer"});
  EXPECT_EQ(About(R"({"event":"writer_closed","frames":0,"how":"damaged","writer":"k"})"), Codes{"journal"});
  EXPECT_EQ(About(R"({"event":"writer_closed","frames":0,"how":"clean","writer":"x"})"), Codes{"writer"});
}

TEST_F(RecordRulesTest, AWriterRecordsWhatItsLabelMay) {
  Open();
  RecordView kill = Of("g", 2);
  kill.kind = RecordKind::kKill;
  EXPECT_EQ(Add(kill), Codes{"kind"});
  kill.writer = "k";
  kill.instance_seq = 1;
  EXPECT_EQ(Add(kill), Codes());
  EXPECT_EQ(Add(Of("k", 2)), Codes{"kind"}) << "a decision is a gateway's";
}

TEST_F(RecordRulesTest, ALogIsOneTenants) {
  Open();
  RecordView other = Of("g", 2);
  other.tenant = "evil";
  EXPECT_EQ(Add(other), Codes{"tenant"});
}

TEST_F(RecordRulesTest, ARefusedRecordIsAProblem) {
  Open();
  EXPECT_EQ(About(R"({"event":"record_refused","field":"tenant","frame":3,"writer":"g"})"), Codes{"refused"});
}

}  // namespace
}  // namespace hexr::ledger
